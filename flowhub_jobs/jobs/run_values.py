"""The values of a running job: its lease, the claimed job, and its progress."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowhub_jobs.errors import InternalError
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import DigestState, Stage
from flowhub_jobs.values.jobs import JobTarget
from flowhub_jobs.values.store_settings import DEFAULT_STORE

REVOKED = float("-inf")
LEASE_S = 30.0


class LeaseLost(InternalError):
    """Another worker may own the job now. The job is not at fault: the run stops and writes nothing."""

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
        """End the lease for good, as when a renewal finds another owner."""
        with self._lock:
            self._deadline = REVOKED

    @property
    def held(self) -> bool:
        return self._awake() < self._deadline

    def check(self) -> None:
        """Raise LeaseLost past the deadline. Called before every write that outlives this process."""
        if not self.held:
            raise LeaseLost(self.job)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A claimed job, with the state of its earlier attempts."""

    lease: Lease
    artifact: Artifact
    forced: bool
    fetched: int
    faults: int  # since the last new byte: failed tries in a row
    no_progress_s: float  # seconds of those tries and of the waits between them
    intent: dict[str, Any] | None  # what an earlier attempt was about to install
    task: JobTarget | None = None  # None: to fetch the artifact
    source_origin: str | None = None
    trial_of_origin: str | None = None  # the origin that this run tries for all jobs of its host
    limit_bps: int | None = None  # of this job alone, bytes a second
    start_now: bool = False  # the schedule's window does not hold it
    sources: Mapping[str, int] = field(default_factory=dict)  # `fetched` by origin
    any_node: bool = False  # another node may run it as well
    store: str = DEFAULT_STORE


@dataclass(frozen=True, slots=True)
class FileCounts:
    number: int
    bytes: int | None
    done: int
    sha256: str | None
    validator: str | None
    sha256_state: DigestState


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a running job, in bytes and bytes a second.

    `faults` tries in a row brought no new byte, and took `no_progress_s` seconds with the waits between them.
    """

    stage: Stage
    total: int | None
    done: int
    fetched: int
    rate_bps: int | None
    sha256_state: DigestState
    files: tuple[FileCounts, ...] = ()
    faults: int = 0
    no_progress_s: float = 0.0
    sources: tuple[tuple[str, int], ...] = ()  # `fetched` by origin
