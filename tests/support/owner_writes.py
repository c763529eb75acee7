"""All writes of a run, by name: the fence must refuse each after the lease is lost."""

from collections.abc import Callable

from flowhub_jobs.database.engine import writing
from flowhub_jobs.errors import FlowhubError, SourceMissing
from flowhub_jobs.jobs.run_values import Claimed, FileCounts, Progress
from flowhub_jobs.values.enums import DigestState, EventKind, Reason, Stage
from flowhub_jobs.values.jobs import NewEvent
from support.job_store import JobStore, file_digests

FILE = FileCounts(0, 1000, 9, None, None, DigestState.RUNNING)


def progress_of(stage: Stage = Stage.DOWNLOAD, fetched: int = 0, files: tuple[FileCounts, ...] = ()) -> Progress:
    return Progress(stage, 1000, fetched, fetched, None, DigestState.RUNNING, files)


def _complete(job_store: JobStore, claimed: Claimed) -> None:
    with writing(job_store.engine) as tx:
        job_store.owner.complete(tx, claimed.lease, "/store/a", file_digests(claimed.artifact), "Installed.")


WRITES: dict[str, Callable[[JobStore, Claimed], None]] = {
    "progress": lambda job_store, run: job_store.owner.progress(run.lease, progress_of(fetched=9)),
    "progress with files": lambda job_store, run: job_store.owner.progress(
        run.lease, progress_of(fetched=9, files=(FILE,))
    ),
    "complete": _complete,
    "fail": lambda job_store, run: job_store.owner.fail(run.lease, SourceMissing("Gone.")),
    "wait": lambda job_store, run: job_store.owner.requeue_after(
        run.lease, 1, Reason.BACKOFF, FlowhubError("Waits."), faults=1, counts_as_attempt=True
    ),
    "hand_back": lambda job_store, run: job_store.owner.hand_back(run.lease),
    "obey": lambda job_store, run: job_store.owner.release_as_requested(run.lease),
    "record_event": lambda job_store, run: job_store.owner.record_event(
        run.lease, NewEvent(EventKind.FILE_AGAIN, "Fetched again.")
    ),
}
