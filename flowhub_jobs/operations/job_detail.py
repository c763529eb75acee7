"""Details of one job: its history, its files, and the pieces of them that are on the disk."""

from collections.abc import Sequence
from dataclasses import dataclass

from flowhub_jobs.errors import FlowhubError, StoreOffline
from flowhub_jobs.jobs.attempts_and_events import Attempt
from flowhub_jobs.operations.report import read_history
from flowhub_jobs.operations.session import Session
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import Event, Job


@dataclass(frozen=True, slots=True)
class FilePieces:
    """The kept parts of a file: half-open ranges of bytes, in order; `hashed` bytes from its start are hashed."""

    path: str
    size: int
    kept: tuple[tuple[int, int], ...]
    hashed: int


@dataclass(frozen=True, slots=True)
class JobDetail:
    """`artifact` is None where the row cannot be read; `pieces` are those of its partial, if it has one."""

    job: Job
    events: Sequence[Event]
    attempts: Sequence[Attempt]
    artifact: Artifact | None
    pieces: tuple[FilePieces, ...]


def read_job(session: Session, number: int) -> JobDetail:
    """Return everything of a job. Raises NotFound."""
    [(job, events, attempts)] = read_history(session.home, [number])
    try:
        artifact = session.home.commands.artifact(number)
    except FlowhubError:
        artifact = None
    pieces = _pieces(session, job, artifact) if artifact and job.brings and job.state is not State.COMPLETED else ()
    return JobDetail(job, events, attempts, artifact, pieces)


def _pieces(session: Session, job: Job, artifact: Artifact) -> tuple[FilePieces, ...]:
    from flowhub_jobs.transfer.partial.journal import load

    try:
        home = session.home.in_store(job.store)
    except StoreOffline:  # it is in no setting any more
        return ()
    record = load(home.store.partial_of(artifact, home.node))
    sizes = {file.path: file.bytes for file in job.files}
    return tuple(
        FilePieces(path, size, tuple(file.kept), file.frontier)
        for path, file in record.files.items()
        if (size := file.size or sizes.get(path))
    )
