"""Real workers: signals, requested actions, a removed queue, two workers at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.app import LONG_TIMEOUTS, app_of
from support.faults import StallAfterHeaders
from support.models import gguf_pattern, one_file_model
from support.origin import Origin

from flowhub_jobs.values.enums import State

MIB = 1 << 20
IN_FLIGHT = MIB  # bytes that an origin counts as sent although its connection was cut
STOP_BOUND_S = 60  # a tenth of the timeouts for a silent origin; the documented time is 5 s on an idle machine


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("stalled", [False, True], ids=["while bytes come", "while the origin is silent"])
def test_a_signal_hands_the_job_back_with_all_that_came(
    home: Path, origin: Origin, stop_signal: int, stalled: bool
) -> None:
    content = gguf_pattern(64 * MIB, 1)
    url = origin.serve("/m.gguf", content)
    origin.limit(total_bps=8 * MIB)
    with app_of(home, one_file_model("m", url, content)) as app:
        job = app.enqueue("m")
        worker = app.start_worker(**LONG_TIMEOUTS)
        origin.wait_for(lambda: origin.sent("/m.gguf") > 6 * MIB)
        if stalled:
            origin.break_with(StallAfterHeaders(), path="/m.gguf")
            origin.drop_connections()
            origin.wait_for(lambda: origin.open_connections > 0)
        worker.send_signal(stop_signal)
        assert worker.wait(timeout=STOP_BOUND_S) == 0
        handed_back = app.job(job)
        assert (handed_back.state, handed_back.attempt, handed_back.stage) == (State.QUEUED, 0, None)
        assert handed_back.bytes_done > 4 * MIB
        kept, sent = handed_back.bytes_done, origin.sent("/m.gguf")
        origin.serve("/m.gguf", content)
        origin.limit(total_bps=None)
        assert app.drain() == 0
        assert origin.sent("/m.gguf") - sent <= content.size - kept + IN_FLIGHT
        assert app.job(job).bytes_fetched <= content.size + IN_FLIGHT


@contextmanager
def sighup_handler(handler: signal.Handlers) -> Iterator[None]:
    """Set the handler of SIGHUP in this process; the workers that it starts inherit it."""
    before = signal.signal(signal.SIGHUP, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_worker_under_nohup_outlives_its_terminal(home: Path, origin: Origin) -> None:
    content = gguf_pattern(16 * MIB, 1)
    url = origin.serve("/m.gguf", content)
    origin.limit(total_bps=4 * MIB)
    with sighup_handler(signal.SIG_IGN), app_of(home, one_file_model("m", url, content)) as app:  # as nohup sets it
        job = app.enqueue("m")
        worker = app.start_worker("--drain")
        origin.wait_for(lambda: origin.sent("/m.gguf") > MIB)
        worker.send_signal(signal.SIGHUP)
        assert worker.wait(timeout=60) == 0
        assert (app.job(job).state, app.job(job).attempt) == (State.COMPLETED, 1)


def test_a_worker_whose_terminal_is_closed_hands_its_job_back(home: Path, origin: Origin) -> None:
    content = gguf_pattern(64 * MIB, 1)
    url = origin.serve("/m.gguf", content)
    origin.limit(total_bps=8 * MIB)
    with sighup_handler(signal.SIG_DFL), app_of(home, one_file_model("m", url, content)) as app:
        job = app.enqueue("m")
        worker = app.start_worker()
        origin.wait_for(lambda: origin.sent("/m.gguf") > MIB)
        worker.send_signal(signal.SIGHUP)
        assert worker.wait(timeout=STOP_BOUND_S) == 0
        assert (app.job(job).state, app.job(job).attempt) == (State.QUEUED, 0)


def test_a_second_signal_ends_the_worker_at_once_and_loses_nothing(home: Path, origin: Origin) -> None:
    content = gguf_pattern(2 * MIB, 1)
    url = origin.serve("/m.gguf", content)
    with app_of(home, one_file_model("m", url, content)) as app:
        worker = app.start_worker()
        app.until(lambda: app.home.living_workers(), "a worker")
        app.until(lambda: "runs" in app.log(), "the start of the worker")
        worker.send_signal(signal.SIGTERM)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=STOP_BOUND_S) in (0, 128 + signal.SIGTERM)
        job = app.enqueue("m")
        assert app.drain() == 0
        assert app.job(job).state is State.COMPLETED


@pytest.mark.parametrize(("verb", "state"), [("cancel", State.CANCELLED), ("pause", State.PAUSED)])
def test_the_running_worker_carries_out_a_request_and_keeps_the_partial(
    home: Path, origin: Origin, verb: str, state: State
) -> None:
    content = gguf_pattern(64 * MIB, 1)
    url = origin.serve("/m.gguf", content)
    origin.limit(total_bps=8 * MIB)
    with app_of(home, one_file_model("m", url, content)) as app:
        job = app.enqueue("m")
        app.start_worker()
        origin.wait_for(lambda: origin.sent("/m.gguf") > 3 * MIB)
        assert (app.session.cancel(job) if verb == "cancel" else app.home.commands.pause(job)) is State.RUNNING
        stopped = app.until_state(job, state)
        assert stopped.bytes_done > 2 * MIB
        assert len(app.leftover_partials()) == 1
        sent = origin.sent("/m.gguf")
        origin.limit(total_bps=None)
        app.session.requeue(job, "retry" if verb == "cancel" else "resume")
        completed = app.until_ended(job)
        assert completed.state is State.COMPLETED
        assert origin.sent("/m.gguf") - sent <= content.size - stopped.bytes_done + IN_FLIGHT
        assert app.leftover_partials() == []


def test_cancel_with_purge_leaves_nothing(home: Path, origin: Origin) -> None:
    content = gguf_pattern(64 * MIB, 1)
    url = origin.serve("/m.gguf", content)
    origin.limit(total_bps=8 * MIB)
    with app_of(home, one_file_model("m", url, content)) as app:
        job = app.enqueue("m")
        app.start_worker()
        origin.wait_for(lambda: origin.sent("/m.gguf") > 3 * MIB)
        app.session.cancel(job, purge=True)
        cancelled = app.until_state(job, State.CANCELLED)
        assert (cancelled.bytes_done, app.leftover_partials()) == (0, [])


def test_jobs_continue_when_the_queue_is_removed_under_the_worker(home: Path, origin: Origin) -> None:
    content = gguf_pattern(100_000, 1)
    url = origin.serve("/m.gguf", content)
    with app_of(home, one_file_model("m", url, content)) as app:
        app.start_worker()
        app.until(lambda: "runs" in app.log(), "the start of the worker")
        for suffix in ("", "-wal", "-shm"):
            Path(f"{app.settings.queue_path}{suffix}").unlink(missing_ok=True)
        job = app.enqueue("m")
        assert app.until_ended(job).state is State.COMPLETED


def test_a_job_whose_wake_up_was_lost_runs_all_the_same(home: Path, origin: Origin) -> None:
    content = gguf_pattern(100_000, 1)
    url = origin.serve("/m.gguf", content)
    with app_of(home, one_file_model("m", url, content)) as app:
        job = app.enqueue("m")
        app.settings.queue_path.unlink()
        assert app.drain() == 0
        assert app.job(job).state is State.COMPLETED


def test_two_workers_share_the_queue_and_no_job_runs_twice(home: Path, origin: Origin) -> None:
    contents = [gguf_pattern(200_000, seed) for seed in range(12)]
    models = [
        one_file_model(f"m{seed}", origin.serve(f"/m{seed}.gguf", content), content)
        for seed, content in enumerate(contents)
    ]
    with app_of(home, *models) as app:
        numbers = [app.enqueue(f"m{seed}") for seed in range(12)]
        workers = [app.start_worker("--drain"), app.start_worker("--drain")]
        assert [worker.wait(timeout=60) for worker in workers] == [0, 0]
        assert {app.job(number).state for number in numbers} == {State.COMPLETED}
        assert all(origin.sent(f"/m{seed}.gguf") == 200_000 for seed in range(12))
        assert all([event.kind for event in app.events(number)].count("claimed") == 1 for number in numbers)
