"""Verifies an installed model: reads every byte again, and compares it with the installed digests.

If no byte differs, the library gets a new `verified_at`. Else it records the ranges that differ, and the job fails and
names them; `verify --repair` fetches only those.
"""

from collections.abc import Sequence

from flowhub_jobs.database.engine import writing
from flowhub_jobs.errors import DigestMismatch, NotFound
from flowhub_jobs.jobs.run_values import FileCounts
from flowhub_jobs.store.piece_check import CheckResult, FileToCheck, check_files
from flowhub_jobs.store.verification_records import InstalledArtifact, VerificationRecords
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.artifacts import FileDigest
from flowhub_jobs.values.enums import DigestState
from flowhub_jobs.values.store_settings import DEFAULT_STORE
from flowhub_jobs.worker.context import Run, WorkerContext
from flowhub_jobs.worker.progress import ProgressWriter


def verify_installed(context: WorkerContext, run: Run, progress: ProgressWriter) -> None:
    """Read the model that the job's task names. Raises DigestMismatch, NotFound, StorageFailed."""
    home, task = run.home, run.claimed.task
    assert task is not None, "a job that verifies has a task"
    checks = VerificationRecords(home.engine, home.node, home.store)
    model = checks.record(task.place)
    if model is None:
        raise NotFound(f"{task.place} is not installed any more.", hint="`flowhub list` shows what is.")
    files = [FileToCheck(file.store_path, file.bytes, file.sha256, file.pieces) for file in model.files]
    progress.reads(model.bytes, 0, [])
    results = check_files(files, run.cancel.check, lambda read: _show(progress, model, read))
    run.lease.check()
    if all(result.good for result in results):
        _record_good(context, run, checks, model, results)
    else:
        checks.record_damaged(model, _damage(model, results))
        name = model.name if model.store == DEFAULT_STORE else f"{model.store}:{model.name}"
        raise DigestMismatch(_difference_text(model, results), hint=f"`flowhub verify {name} --repair` repairs it.")


def _show(progress: ProgressWriter, model: InstalledArtifact, read: Sequence[int]) -> None:
    files = [
        FileCounts(number, file.bytes, done, file.sha256, None, DigestState.RUNNING)
        for number, (file, done) in enumerate(zip(model.files, read, strict=True))
    ]
    progress.reads(model.bytes, sum(read), files)


def _record_good(
    context: WorkerContext,
    run: Run,
    checks: VerificationRecords,
    model: InstalledArtifact,
    results: Sequence[CheckResult],
) -> None:
    pieces_by_path = {
        file.path: result.pieces for file, result in zip(model.files, results, strict=True) if result.pieces is not None
    }
    times = {file.path: result.mtime_ns for file, result in zip(model.files, results, strict=True)}
    digests = [FileDigest(file.path, file.bytes, file.sha256, pinned=True) for file in model.files]
    text = f"{model.name} is whole: {format_bytes(model.bytes)} were read again, and every byte is as it was installed."
    with writing(run.home.engine) as tx:
        checks.record_good(tx, model, times, pieces_by_path, run.home.clock.now_us())
        context.leases.complete(tx, run.lease, str(run.home.store.path_of(model.name)), digests, text)


def _damage(model: InstalledArtifact, results: Sequence[CheckResult]) -> dict[str, list[list[int]]]:
    """Return what differs, by file; a file that is only too long differs after its end."""
    return {
        file.path: [list(span) for span in result.bad] or [[result.expected.bytes, result.bytes]]
        for file, result in zip(model.files, results, strict=True)
        if not result.good
    }


def _difference_text(model: InstalledArtifact, results: Sequence[CheckResult]) -> str:
    """Return a sentence about the part of the model that is not as it was installed, with both numbers."""
    bad = [(file, result) for file, result in zip(model.files, results, strict=True) if not result.good]
    file, result = bad[0]
    name = f"{model.name}/{file.path}" if model.artifact.folder else model.name
    more = f" (and {len(bad) - 1} more files)" if len(bad) > 1 else ""
    if result.bytes != file.bytes:
        return f"{name} is {result.bytes:,} bytes long and was installed with {file.bytes:,}{more}."
    ranges = list(result.bad)
    first, last = ranges[0]
    count = f"{result.bad.total:,} of its {file.bytes:,} bytes differ (in {len(ranges)} damaged part" + "s" * (
        len(ranges) > 1
    )
    return f"{name} differs from what was installed: {count}), the first at bytes {first:,}-{last - 1:,}{more}."
