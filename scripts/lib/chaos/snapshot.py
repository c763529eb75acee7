"""The state at the end of a run: the rows, the requests as the origin saw them, and byte counts."""

import time
from collections import Counter
from dataclasses import dataclass

from support.run_fetch import journaled_bytes

from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import Job
from lib.chaos.models import ServedModel
from lib.chaos.network import who
from lib.chaos.run import Run

WORTH_AT_MOST = 64 * MIB  # bytes of a kill: unsynced bytes never exceed this
IN_FLIGHT = MIB  # bytes sent by the origin and lost when all connections of a worker are cut
AT_THE_END = MIB // 4  # the same for one connection, as when a fetcher takes over a slow range
CUTS = ("handed_back", "paused", "cancelled", "waits", "failed")  # outcomes of attempts


@dataclass(frozen=True)
class Attempt:
    """A row of `attempts`; times in seconds since 1970."""

    job: int
    worker: str
    token: str
    began: float
    ended: float | None
    outcome: str | None


@dataclass(frozen=True)
class Asked:
    """A request at the origin: its worker, its model, its time (seconds since 1970)."""

    token: str
    model: str
    at: float


@dataclass(frozen=True)
class Bytes:
    """Bytes: sent by the origin, received and kept according to the jobs, required, and allowed to be lost."""

    sent: int
    counted: int
    to_fetch: int
    strokes: int
    cuts: int
    ends: int
    rate_bps: int

    @property
    def lost(self) -> int:
        """The bytes that were sent and never kept."""
        return self.sent - self.counted

    @property
    def again(self) -> int:
        """The bytes that were kept and still fetched again, such as flipped ones."""
        return self.counted - self.to_fetch

    @property
    def may_be_lost(self) -> int:
        return self.strokes * min(WORTH_AT_MOST, self.rate_bps) + self.cuts * IN_FLIGHT + self.ends * AT_THE_END


class Snapshot:
    def __init__(self, run: Run) -> None:
        self.run = run
        self.home = run.app.settings.home
        self.jobs: list[Job] = run.jobs()
        self.attempts = [
            Attempt(job, worker, token, began / 1e6, ended / 1e6 if ended else None, outcome)
            for job, worker, token, began, ended, outcome in run.database.rows(
                "SELECT job_id, worker, token, started_at, finished_at, outcome FROM attempts ORDER BY id"
            )
        ]
        self.refused_at = run.refused_at
        calendar = time.time() - time.monotonic()
        network = run.network
        self.asked = [Asked(who(one), one.path.split("/")[1], one.at + calendar) for one in network.requests()]
        again = run.database.rows("SELECT job_id FROM events WHERE kind IN ('cancelled', 'retried')")
        self.ever_cancelled = {job for (job,) in again} | {job.id for job in self.jobs if job.state is State.CANCELLED}
        self.let_go = {worker.token: [at + calendar for at in worker.let_go] for worker in run.workers.all}
        self.names = {worker.token: worker.name for worker in run.workers.all}

    @property
    def outcomes(self) -> Counter[str]:
        return Counter(str(attempt.outcome) for attempt in self.attempts)

    def jobs_of(self, model: ServedModel) -> list[Job]:
        return [job for job in self.jobs if job.model == model.model]

    def was_ever_cancelled(self, model: ServedModel) -> bool:
        return any(job.id in self.ever_cancelled for job in self.jobs_of(model))

    def is_installed(self, model: ServedModel) -> bool:
        return any(job.state is State.COMPLETED for job in self.jobs_of(model))

    def sent(self, model: ServedModel) -> int:
        return sum(self.run.network.sent(path) for path in model.paths)

    def turned(self, model: ServedModel) -> int:
        """Return the number of flipped bytes of a model."""
        return sum(map(self.run.network.turned, model.paths))

    def kept(self, model: ServedModel) -> int:
        """Return the bytes on disk of a model that is not installed: in its partial, according to the journal.

        They are under its final name if a worker was killed between the rename and the row, and its job then cancelled.
        """
        if not self.is_installed(model) and (self.run.app.store / model.name).exists():
            return model.size
        return journaled_bytes(self.run.app.partial(model.model))

    def to_fetch(self, model: ServedModel) -> int:
        """Return the required bytes: each completed job's whole model, the bytes in the partial, the purged bytes."""
        jobs, refused = self.jobs_of(model), self.run.refused
        completed = sum(job.state is State.COMPLETED for job in jobs)
        purged = sum(job.bytes_fetched for job in jobs if job.state is State.CANCELLED and refused[job.id] == "purge")
        return completed * model.size + self.kept(model) + purged

    @property
    def lost_leases(self) -> int:
        """The number of attempts that a worker lost without a fault, since it was too slow to renew its lease."""
        calendar = time.time() - time.monotonic()
        struck = {worker.name: [at + calendar for at in worker.struck] for worker in self.run.workers.all}
        rescued = [attempt for attempt in self.attempts if attempt.outcome == "rescued"]
        return sum(
            not any(one.began - 1 <= at <= (one.ended or at) for at in struck.get(one.worker, [])) for one in rescued
        )

    def counted(self, model: ServedModel) -> int:
        return sum(job.bytes_fetched for job in self.jobs_of(model))

    def bytes(self) -> Bytes:
        run = self.run
        strokes = sum(len(worker.struck) for worker in run.workers.all) + self.lost_leases
        cuts = sum(self.outcomes[word] for word in CUTS) + 2 * (run.done["reset"] + run.done["down"])
        sent, counted, to_fetch = (sum(map(of, run.models)) for of in (self.sent, self.counted, self.to_fetch))
        ends = self.outcomes["completed"]
        return Bytes(sent, counted, to_fetch, strokes, cuts, ends, int(run.network.rate_bps))
