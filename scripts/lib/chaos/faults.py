"""The faults to inject. An action injects one, schedules its end, and returns its description, or None if it cannot."""

import os
from collections.abc import Callable
from pathlib import Path

from support.faults import Fault, Status

from flowhub_jobs.values.enums import State
from lib.chaos.database import PostgresqlServer
from lib.chaos.run import Run

Action = Callable[[Run], str | None]
PASSING_S = (0.3, 1.2)  # duration of a fault of the origin or the disk
SAFE_FROM = 1 << 16  # a flipped byte before that may change the kind of file


# Workers ------------------------------------------------------------------------------------------------------------


def kill(run: Run) -> str | None:
    if not (living := run.workers.living):
        return None
    worker = run.chance.choice(living)
    was = "suspended " if worker.suspended else ""
    run.workers.kill(worker)
    return f"SIGKILL {was}{worker.token}"


def kill_all(run: Run) -> str | None:
    living = run.workers.living
    for worker in living:
        run.workers.kill(worker)
    return f"SIGKILL {' and '.join(worker.token for worker in living)}" if living else None


def suspend(run: Run) -> str | None:
    if not (awake := run.workers.awake):
        return None
    worker, seconds = run.chance.choice(awake), run.chance.uniform(*run.suspended_s)
    worker.suspend()
    run.later(seconds, worker.wake)
    return f"SIGSTOP {worker.token} for {seconds:.1f} s"


def stop(run: Run) -> str | None:
    run.workers.learn_names()  # its name is removed with its row
    if not (awake := [worker for worker in run.workers.awake if worker.name]):
        return None
    worker = run.chance.choice(awake)
    worker.request_stop()
    return f"SIGTERM {worker.token}"


# The queue ----------------------------------------------------------------------------------------------------------


def lose_queue(run: Run) -> str:
    also = run.chance.random() < 0.5
    for suffix in ("", "-wal", "-shm") if also else ("",):
        Path(f"{run.app.settings.queue_path}{suffix}").unlink(missing_ok=True)
    return f"queue.db removed{' with its log' if also else ''}"


def spoil_queue(run: Run) -> str | None:
    if run.disk.full:
        return None
    way = run.chance.choice(["overwritten", "replaced", "emptied", "cut short"])
    path, junk = run.app.settings.queue_path, os.urandom(20_000)
    if way == "replaced" or not path.exists():
        other = path.with_name("other")
        other.write_bytes(junk)
        other.replace(path)
    elif way == "overwritten":
        with path.open("r+b") as file:
            file.write(junk)
    else:
        os.truncate(path, 0 if way == "emptied" else path.stat().st_size // 2)
    return f"queue.db {way}"


# The server --------------------------------------------------------------------------------------------------------


def restart_server(run: Run) -> str | None:
    run.workers.learn_names()
    if not isinstance(run.database, PostgresqlServer) or not all(worker.name for worker in run.workers.living):
        return None  # a worker that starts without a database ends at once
    mode = run.chance.choice(["fast", "immediate"])
    run.database.restart(mode)
    return f"the server is restarted, -m {mode}"


# A person -----------------------------------------------------------------------------------------------------------


def _asks(verb: str, *states: State) -> Action:
    def inject(run: Run) -> str | None:
        fit = [] if run.disk.full else run.live_jobs(*states)
        if not fit:
            return None
        job = run.chance.choice(fit)
        return f"{verb} job {job.id} ({job.ref}, {job.state})" if run.ask(verb, job.id) else None

    return inject


# The disk -----------------------------------------------------------------------------------------------------------


def fill_disk(run: Run) -> str | None:
    if run.disk.full:
        return None
    leave = run.chance.choice([0, 0, 100_000, 3_000_000])
    seconds = run.chance.uniform(*PASSING_S)
    run.disk.fill(leave)
    run.later(seconds, run.disk.free)
    return f"the disk is filled but for {leave:,} bytes, for {seconds:.1f} s"


# The origin ---------------------------------------------------------------------------------------------------------


def reset(run: Run) -> str:
    run.network.drop_connections()
    return "every connection is reset"


def _answers(fault: Fault, what: str) -> Action:
    def inject(run: Run) -> str:
        seconds = run.chance.uniform(*PASSING_S)
        run.network.inject_fault(fault)
        run.later(seconds, run.network.clear_up)
        return f"the origin says {what} for {seconds:.1f} s"

    return inject


def go_down(run: Run) -> str:
    seconds = run.chance.uniform(*PASSING_S)
    run.network.go_down()
    run.later(seconds, run.network.clear_up)
    return f"the origin is down for {seconds:.1f} s"


def turn_byte(run: Run) -> str | None:
    """Only in a file with a digest, which detects it, and that a job fetches, so that the fault is likely to occur."""
    fetched = {job.model for job in run.live_jobs()}
    fit = [
        (model, path, item.content.size)
        for model in run.models
        for path, item in model.items.items()
        if model.model in fetched and item.pin and item.content.size > SAFE_FROM
    ]
    if not fit:
        return None
    model, path, size = run.chance.choice(fit)
    at = run.chance.randrange(SAFE_FROM, size)
    run.network.turn(f"/{model.model}/{path}", at)
    return f"byte {at:,} of {model.model}/{path} will come wrong"


def faults_of(run: Run) -> dict[str, tuple[int, Action]]:
    """Return the faults for the run's database: with PostgreSQL the queue is not a file."""
    if not isinstance(run.database, PostgresqlServer):
        return FAULTS
    others = {name: fault for name, fault in FAULTS.items() if fault[1] not in (lose_queue, spoil_queue)}
    return others | {"restart server": (4, restart_server)}


FAULTS: dict[str, tuple[int, Action]] = {
    "kill": (5, kill),
    "kill all": (1, kill_all),
    "suspend": (4, suspend),
    "stop": (3, stop),
    "lose queue": (2, lose_queue),
    "spoil queue": (2, spoil_queue),
    "cancel": (2, _asks("cancel", State.QUEUED, State.RUNNING, State.PAUSED)),
    "retry": (3, _asks("retry", State.CANCELLED, State.FAILED)),
    "pause": (2, _asks("pause", State.QUEUED, State.RUNNING)),
    "resume": (3, _asks("resume", State.PAUSED)),
    "fill disk": (2, fill_disk),
    "reset": (2, reset),
    "503": (1, _answers(Status(503), "503")),
    "429": (1, _answers(Status(429, {"Retry-After": "1"}), "429, wait 1 s,")),
    "down": (1, go_down),
    "turn byte": (2, turn_byte),
}
