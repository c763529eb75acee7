"""What a worker holds of a job that it runs: the lease, what was claimed, and what the screens are told of it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flowhub_jobs.errors import InternalError
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import DigestState, Stage
from flowhub_jobs.values.jobs import JobTarget

REVOKED = float("-inf")


class LeaseLost(InternalError):
    """Another worker owns the job now. Not a fault of the job's: the run stops without a word."""

    code = "lease_lost"

    def __init__(self, job: int) -> None:
        super().__init__(f"The lease of job {job} has ended; this worker writes nothing more.")


class Lease:
    """The right to run one job. `deadline` is on the awake clock; past it the runner writes nothing."""

    def __init__(self, job: int, attempt: int, token: str, deadline: float, awake: Callable[[], float]) -> None:
        self.job, self.attempt, self.token = job, attempt, token
        self._deadline, self._awake, self._lock = deadline, awake, threading.Lock()

    def extend(self, deadline: float) -> None:
        with self._lock:
            if self._deadline != REVOKED:
                self._deadline = max(self._deadline, deadline)

    def revoke(self) -> None:
        """Take the right away for good, as when a renewal found another owner."""
        with self._lock:
            self._deadline = REVOKED

    @property
    def held(self) -> bool:
        return self._awake() < self._deadline

    def check(self) -> None:
        """Raise LeaseLost past the deadline: to be asked before every write that outlives this process."""
        if not self.held:
            raise LeaseLost(self.job)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that is ours to run, with what an attempt has to know of its past."""

    lease: Lease
    artifact: Artifact
    forced: bool
    fetched: int
    faults: int
    fruitless_s: float  # what those tries and their waits took
    intent: dict[str, Any] | None  # what an earlier attempt was about to name
    task: JobTarget | None = None  # None: to fetch the artifact
    source_origin: str | None = None
    probes: str | None = None  # the origin that this run tries for all jobs of its host
    start_now: bool = False  # the schedule's window does not hold it


@dataclass(frozen=True, slots=True)
class FileProgress:
    number: int
    bytes: int | None
    done: int
    sha256: str | None
    validator: str | None
    sha256_state: DigestState


@dataclass(frozen=True, slots=True)
class Progress:
    """What the screens see of a running job. Bytes, and bytes a second.

    `faults` tries in a row brought no new byte, and took `fruitless_s` seconds with the waits between them.
    """

    stage: Stage
    total: int | None
    done: int
    fetched: int
    rate_bps: int | None
    sha256_state: DigestState
    files: tuple[FileProgress, ...] = ()
    faults: int = 0
    fruitless_s: float = 0.0
