"""One run of chaos: rounds of faults, then calm, until every job has ended."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.app import App, app_of
from support.fork_server import ForkServer

from flowhub_jobs.errors import Busy, WrongState
from flowhub_jobs.values.enums import LIVE_STATES, State
from flowhub_jobs.values.jobs import Job
from lib.chaos.database import RunDatabase, run_database
from lib.chaos.disk import Disk, disk
from lib.chaos.environment import environment
from lib.chaos.models import ServedModel, all_kinds
from lib.chaos.network import Network
from lib.chaos.workers import Workers

RATE_BPS = 16_000_000
LEASE_S, LEASE_OF_MANY_S = 2.0, 5.0  # many workers of one machine may renew late
BEYOND_S = (0.3, 1.0)  # the time beyond a lease that a worker is suspended
PAUSE_S = (0.1, 1.8)  # between two faults
WORKERS = 2  # by default
BUSY = 5  # the least number of jobs, plus one for each worker
CALM_AT_MOST_S, CALM_A_WORKER_S = 120.0, 10.0
RETRIES_MAX = 3
TICK_S = 0.05

# Waits are short here, and a temporary fault never exhausts the budget.
SHORT = {
    "FLOWHUB_BACKOFF_BASE_S": "0.1",
    "FLOWHUB_BACKOFF_CAP_S": "1",
    "FLOWHUB_FAULTS_MAX": "100000",
    "FLOWHUB_LOOK_AGAIN_S": "0.5",
    "FLOWHUB_STALL_TIMEOUT_S": "5",
    "FLOWHUB_CONNECTIONS_PER_HOST": "4",
}

Actions = dict[
    str, tuple[int, Callable[["Run"], str | None]]
]  # weight and action by name; None: it could not be injected
Undo = Callable[[], None]  # may be called twice, and from any thread


class Wrong(Exception):
    """Invariants were violated. `args` are the violations."""


class Interrupted(Exception):
    """The user stopped the run."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The options of a run; `database` is sqlite or postgresql."""

    seed: int
    workers: int = WORKERS
    database: str = "sqlite"


class Run:
    def __init__(
        self, app: App, network: Network, disk: Disk, fork_server: ForkServer, database: RunDatabase, wanted: Wanted
    ) -> None:
        self.app, self.network, self.disk, self.database = app, network, disk, database
        self.seed, self.size = wanted.seed, wanted.workers
        lease_s = LEASE_S if wanted.workers <= WORKERS else LEASE_OF_MANY_S
        self.suspended_s = tuple(lease_s + more for more in BEYOND_S)
        self.workers = Workers(app, fork_server, disk, database, lease_s=lease_s, suspended_s=self.suspended_s[-1])
        self.models: list[ServedModel] = []
        self.done: Counter[str] = Counter()  # faults injected, by name
        self.refused: dict[int, str] = {}  # jobs that must remain cancelled, with the verb
        self.chance = random.Random(self.seed)
        self.stop_asked = threading.Event()
        self.refused_at = 0.0  # seconds since 1970
        self.began = time.monotonic()
        self._undos: list[tuple[threading.Timer, Undo]] = []

    def open(self) -> None:
        """Queue jobs, and start workers."""
        self.models = all_kinds(more=self.size - WORKERS)
        self.app.set_models(*(model.offer(self.network) for model in self.models))
        for model in self.models:
            self.enqueue(model)
        self.keep_busy()

    # A round --------------------------------------------------------------------------------------------------------

    def inject_fault(self, number: int, faults: Actions) -> str:
        """Inject the fault of a round; return its text. Seed and number determine it, if it can be injected."""
        turns = random.Random(f"{self.seed}/{number}")
        self.chance = random.Random(turns.random())
        self.keep_busy()
        self.let_run(turns.uniform(*PAUSE_S))
        while True:
            [name] = turns.choices(list(faults), [weight for weight, _ in faults.values()])
            description = faults[name][1](self)
            if description is not None:
                self.done[name] += 1
                return f"{time.monotonic() - self.began:6.1f} s  {number:3}  {description}"

    def keep_busy(self) -> None:
        """Start a worker for each one that ended, and queue jobs where few are left."""
        self.workers.learn_names()
        if self.disk.full:
            return
        while len([worker for worker in self.workers.living if worker.stop_requested_at is None]) < self.size:
            self.workers.start_worker()
        live = self.live_jobs()
        busy = {job.model for job in live}
        idle = [model for model in self.models if model.model not in busy]
        for model in self.chance.sample(idle, max(0, min(len(idle), max(BUSY, self.size) - len(live)))):
            self.enqueue(model)

    def enqueue(self, model: ServedModel) -> int:
        # With --force, so that each job fetches the whole model.
        return self.app.enqueue(model.model, force=True)

    def let_run(self, seconds: float) -> None:
        """Let the workers run for `seconds`. Raises Wrong if a worker misbehaves, Interrupted."""
        end = time.monotonic() + seconds
        while True:
            if wrong := list(self.workers.unexpected_exits()):
                raise Wrong(*wrong)
            if self.stop_asked.wait(max(0.0, min(TICK_S, end - time.monotonic()))):
                raise Interrupted
            if time.monotonic() >= end:
                return

    def later(self, seconds: float, undo: Undo) -> None:
        """End faults in another thread: a suspended worker may lock the database, and this thread may wait for it."""
        timer = threading.Timer(seconds, undo)
        timer.daemon = True
        timer.start()
        self._undos.append((timer, undo))

    def undo_all(self) -> None:
        for timer, undo in self._undos:
            timer.cancel()
            timer.join()
            undo()
        self._undos.clear()

    # Jobs -----------------------------------------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        return self.app.home.queries.all()

    def live_jobs(self, *states: State) -> list[Job]:
        return [job for job in self.jobs() if job.state in (states or LIVE_STATES)]

    def ask(self, verb: str, job: int) -> bool:
        """Run a user's verb on a job; return whether that was possible."""
        app = self.app
        acts: dict[str, Callable[[int], object]] = {
            "cancel": app.session.cancel,
            "purge": lambda number: app.session.cancel(number, purge=True),
            "pause": app.home.commands.pause,
            "resume": lambda number: app.session.requeue(number, "resume"),
            "retry": lambda number: app.session.requeue(number, "retry"),
        }
        app.home.take_back_orphans()  # as the commands do
        try:
            acts[verb](job)
        except (WrongState, Busy):  # the job has ended, or another job uses the same files
            return False
        return True

    # Calm -----------------------------------------------------------------------------------------------------------

    def cancel_for_good(self) -> None:
        """Cancel two jobs for good, one of them with its partial."""
        live, self.refused_at = self.live_jobs(), time.time()
        # A purge also removes the bytes of another job of the same model, whose size would then be unknown.
        models_with_partials = {job.model for job in self.jobs() if job.state in (State.CANCELLED, State.FAILED)}
        fit = [job for job in live if job.model not in models_with_partials]
        purged = self.chance.sample(fit, min(1, len(fit)))
        others = [job for job in live if job not in purged]
        cancelled = self.chance.sample(others, min(1, len(others)))
        for verb, job in [*(("cancel", job) for job in cancelled), *(("purge", job) for job in purged)]:
            if self.ask(verb, job.id):
                self.refused[job.id] = verb

    def calm(self) -> None:
        """End all faults, and wait until every job has ended as requested. Raises Wrong."""
        self.undo_all()
        self.network.restore()
        self.disk.free()
        retries: Counter[int] = Counter()
        end = time.monotonic() + CALM_AT_MOST_S + CALM_A_WORKER_S * (self.size - WORKERS)
        while unfinished := self._still_to_come(retries):
            if time.monotonic() > end:
                raise Wrong(*unfinished)
            self.keep_workers()
            self.let_run(4 * TICK_S)
        self.workers.learn_names()
        self.workers.stop_all()
        if wrong := list(self.workers.unexpected_exits()):
            raise Wrong(*wrong)

    def keep_workers(self) -> None:
        while len(self.workers.awake) < self.size:
            self.workers.start_worker()
        self.workers.learn_names()

    def _still_to_come(self, retries: Counter[int]) -> list[str]:
        """Describe the jobs that have not ended, and the dead workers that are still in the table."""
        jobs = [f"job {job.id} ({job.ref}) is still {job.state}: {job}" for job in self._revived(retries)]
        return [*jobs, *(f"{name} is dead, and still in the rows" for name in self.workers.remembered())]

    def _revived(self, retries: Counter[int]) -> list[Job]:
        """Continue every job that waits for a user; return the jobs that have not ended."""
        unfinished = []
        for job in self.jobs():
            if job.state is State.COMPLETED or (job.id in self.refused and job.state is State.CANCELLED):
                continue
            unfinished.append(job)
            if job.state in (State.FAILED, State.CANCELLED):
                retries[job.id] += self.ask("retry", job.id)
                if retries[job.id] > RETRIES_MAX:
                    raise Wrong(f"job {job.id} ({job.ref}) fails again and again: {job.error}")
            elif job.state is State.PAUSED:
                self.ask("resume", job.id)
        return unfinished

    def close(self) -> None:
        self.stop_asked.set()
        self.undo_all()


@contextmanager
def started_run(folder: Path, wanted: Wanted, *, keep: bool = False) -> Iterator[Run]:
    """Set up a run in `folder`; stop all its processes at the end."""
    with ExitStack() as stack:
        floor = stack.enter_context(disk(folder, keep=keep))
        network = stack.enter_context(Network(RATE_BPS))
        home = floor.place / "home"
        database = stack.enter_context(run_database(wanted.database, home, wanted.workers))
        settings = SHORT | ({"FLOWHUB_DATABASE_URL": database.url} if database.url else {})
        stack.enter_context(
            environment(**settings, FLOWHUB_HOME=str(home), FLOWHUB_LOOK_ELSEWHERE="off", HF_ENDPOINT=network.address)
        )
        home.mkdir()
        (home / "worker.log").symlink_to(folder / "worker.log")  # the log must not be on a disk that fills up
        fork_server = ForkServer()
        stack.callback(fork_server.close)
        app = stack.enter_context(app_of(home))
        run = Run(app, network, floor, fork_server, database, wanted)
        stack.callback(run.close)
        run.open()
        yield run
