"""One attempt at one job, from top to bottom.

    claimed ─► is it here already? (a crash after the rename, or a file put there by hand)
            ─► is there room? ─► fetch and verify (fetch_step) ─► rename to the final name (store/install)
            ─► record in the library and complete the job, in one transaction

Jobs of other kinds: verify_job, export_job, move_job; `_attempt` dispatches.

Every way out of `run_job` leaves a state in the row that says why, unless the lease is lost: then it writes nothing.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.database.engine import writing
from flowhub_jobs.errors import DatabaseNewer, NameTaken
from flowhub_jobs.fs.locks import held_lock
from flowhub_jobs.jobs.find_partial_owner import run_tokens
from flowhub_jobs.jobs.run_values import LEASE_S, Claimed, LeaseLost
from flowhub_jobs.net.redaction import driver_message
from flowhub_jobs.store.install import ArtifactParts, Installer, InstallResult, remove_partial
from flowhub_jobs.store.library_check import added_files
from flowhub_jobs.store.recognize_existing import recognize_existing
from flowhub_jobs.transfer.options import Cancelled
from flowhub_jobs.transfer.partial.hold import hold_partial
from flowhub_jobs.transfer.partial.ownership_decision import duplicate_node_message
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile
from flowhub_jobs.values.enums import EventKind, JobKind, Stage, StopReason
from flowhub_jobs.values.jobs import NewEvent
from flowhub_jobs.worker.context import Run, WorkerContext
from flowhub_jobs.worker.export_job import export_installed
from flowhub_jobs.worker.fetch_step import check_need, fetch_artifact
from flowhub_jobs.worker.import_job import import_into_partial
from flowhub_jobs.worker.move_job import complete_move, copy_from_store, required_source_of, verified_in_new_store
from flowhub_jobs.worker.progress import SHARED_EVERY_S, ProgressWriter
from flowhub_jobs.worker.release_or_fail import fail_or_defer, stop_run, to_flowhub_error
from flowhub_jobs.worker.verify_job import verify_installed

log = logging.getLogger("flowhub.job")


def run_job(context: WorkerContext, claimed: Claimed) -> None:
    """Run one attempt, and write its end."""
    run = context.begin(claimed)
    try:
        _run_to_its_end(context, run)
    except LeaseLost as error:
        log.warning("%s", error.message, extra={"job": run.lease.job})
    except DatabaseNewer as error:  # the newer version's worker continues it
        context.lose_database(error)
    except SQLAlchemyError as error:
        log.warning(
            "The end of job %d could not be written; it continues when its lease ends: %s",
            run.lease.job,
            driver_message(error),
            extra={"job": run.lease.job},
        )
    finally:
        context.end(run)


def _run_to_its_end(context: WorkerContext, run: Run) -> None:
    try:
        if run.claimed.trial_of_origin is None:  # else each try of a long outage would add a line
            context.wait_log.begins(run.lease.job, run.claimed.artifact.ref)
        _attempt(context, run)
        context.wait_log.ended(run.lease.job)
        log.info("Job %d is completed: %s", run.lease.job, run.claimed.artifact.ref, extra={"job": run.lease.job})
    except Cancelled as stopped:
        context.wait_log.ended(run.lease.job)
        stop_run(context, run, StopReason(stopped.reason))
    except (LeaseLost, DatabaseNewer):
        raise
    except Exception as error:
        fail_or_defer(context, run, to_flowhub_error(run.home, run.lease.job, error))


def _attempt(context: WorkerContext, run: Run) -> None:
    progress = ProgressWriter(context.leases, run.claimed, SHARED_EVERY_S if context.home.database.is_shared else 0.0)
    run.home = run.home.in_store(run.claimed.store)
    run.home.open_store()
    kind = run.claimed.task.kind if run.claimed.task else JobKind.FETCH
    if kind is JobKind.VERIFY:
        verify_installed(context, run, progress)
    elif kind is JobKind.EXPORT:
        export_installed(context, run, progress)
    elif kind is JobKind.MOVE:
        _move_artifact(context, run, progress)
    else:
        _install_artifact(context, run, progress)


def _install_artifact(context: WorkerContext, run: Run, progress: ProgressWriter) -> None:
    """Install the artifact: complete what an earlier run did, else fetch or import it."""
    result = _installed_before_crash(context, run) or _installed_by_another_job(context, run) or _adopt(context, run)
    if result is not None:
        _finish(context, run, result)
        return
    with _own_partial(context, run):
        parts = _import_artifact(context, run, progress) if run.claimed.task else fetch_artifact(context, run, progress)
        progress.stage(Stage.INSTALL)
        _install_parts(context, run, parts)


def _move_artifact(context: WorkerContext, run: Run, progress: ProgressWriter) -> None:
    """Move the artifact to the job's store: complete what an earlier run did, else copy it there."""
    result = _installed_before_crash(context, run)
    if result is None:
        source = required_source_of(run)
        result = verified_in_new_store(run, source)
    if result is not None:
        _finish(context, run, result)
        return
    with _own_partial(context, run):
        assert run.partial is not None, "it was made a moment ago"
        need = partial(check_need, context, run)
        parts = copy_from_store(run, source, run.partial, progress, need)
        progress.stage(Stage.INSTALL)
        _install_parts(context, run, parts)


@contextmanager
def _own_partial(context: WorkerContext, run: Run) -> Iterator[None]:
    """Hold the partial that this run works in; warn of a second home with this node's name."""
    home, artifact = run.home, run.claimed.artifact
    run.cancel.check()
    with hold_partial(
        home.store.partials_of(artifact, home.node),
        home.store.new_partial(artifact, home.node),
        home.this_run(run.lease.token),
        own_runs=run_tokens(home.engine, run.lease.job),
        check_continue=run.cancel.check,
    ) as hold:
        # Suspended before it made the folder, this run may have lost the job to another, which has completed it.
        run.cancel.check()
        run.partial = hold.folder
        if hold.other_owners:
            text = duplicate_node_message(hold.other_owners[0], home.node, home.settings.home)
            log.warning("Job %d: %s", run.lease.job, text, extra={"job": run.lease.job})
            context.leases.record_event(run.lease, NewEvent(EventKind.NAMESAKE, text))
        yield
    run.partial = None


def _install_parts(context: WorkerContext, run: Run, parts: ArtifactParts) -> None:
    """Install the parts. If another machine or home that shares the store was first, take its copy, after verifying
    every byte of it. Raises NameTaken.
    """
    # One run at a time on this machine: between the choice of a name and the library's row for it, no other run may
    # choose a name. A run that is suspended while it holds this lock does not block the others for ever: they wait for
    # twice the length of a lease, and by then its lease has ended, so that when it wakes, the fence refuses its writes
    # and it renames nothing.
    lock = run.home.settings.locks / "install"
    try:
        with held_lock(lock, may_continue=run.cancel.check, at_most_s=2 * LEASE_S):
            _finish(context, run, _install(context, run, parts))
    except NameTaken as taken:
        if (result := _adopt(context, run, parts)) is None:
            raise taken from None
        with held_lock(lock, may_continue=run.cancel.check, at_most_s=2 * LEASE_S):
            _finish(context, run, result)


def _import_artifact(context: WorkerContext, run: Run, progress: ProgressWriter) -> ArtifactParts:
    assert run.partial is not None, "a run that imports has its partial"
    return import_into_partial(run, run.partial, progress, lambda need: check_need(context, run, need))


def _installed_before_crash(context: WorkerContext, run: Run) -> InstallResult | None:
    """Return what an earlier attempt installed before it crashed; a name that it had only reserved is released."""
    return _installer(context, run).recover()


def _finish(context: WorkerContext, run: Run, result: InstallResult) -> None:
    # The partial goes before the job ends: nothing is left of a job that is completed. Not without the lease: by then
    # another run may be at work in it.
    run.lease.check()
    if run.partial is not None:
        remove_partial(run.partial)
    run.home.discard_partials(run.claimed.artifact, run.lease.job)
    if run.claimed.task is not None and run.claimed.task.kind is JobKind.MOVE:
        complete_move(context, run, result)
    else:
        _complete(context, run, result)


def _installed_by_another_job(context: WorkerContext, run: Run) -> InstallResult | None:
    """Return the artifact if another job has installed it since, and it is unchanged."""
    return None if run.claimed.forced else run.home.library.installed_unchanged(run.claimed.artifact)


def _adopt(context: WorkerContext, run: Run, fetched: ArtifactParts | None = None) -> InstallResult | None:
    """Return the file or folder with the artifact's name, if it is the artifact. Raises NameTaken if it is not.

    The digests of what this run has `fetched`, or of what was installed there, identify the files that nothing pins.
    """
    home, artifact = run.home, run.claimed.artifact
    existing = home.store.taken(artifact.name)
    if existing is None or _owner(context, run)(existing.name) is not None:
        return None
    files = _files_as_installed(run, existing.name) if fetched is None else _files_as_fetched(artifact, fetched)
    verified = recognize_existing(replace(artifact, files=files), existing, run.cancel.check)
    if verified is None:
        raise _name_taken(run, existing)
    pinned = [file.pinned for file in fetched.files] if fetched else [_is_pinned(file) for file in artifact.files]
    pairs = zip(verified.files, pinned, strict=True)
    return replace(verified, files=tuple(replace(file, pinned=is_pinned) for file, is_pinned in pairs))


def _name_taken(run: Run, existing: Path) -> NameTaken:
    entry = run.home.library.named(existing.name)
    added = sorted(added_files(entry, existing)) if entry is not None and existing.is_dir() else []
    if added:
        return NameTaken(
            f"{existing} has a file that flowhub did not install: {added[0]}. The folder is not replaced.",
            hint="Move that file to another folder, then {retry}.",
        )
    ref = run.claimed.artifact.ref
    return NameTaken(f"{existing} already exists and is not what {ref} would install. flowhub does not replace it.")


def _is_pinned(file: ArtifactFile) -> bool:
    return file.sha256 is not None or file.git_sha1 is not None


def _files_as_installed(run: Run, name: str) -> tuple[ArtifactFile, ...]:
    """Return the artifact's files. A file without a pinned digest gets the one recorded in the library: copying the
    store, or setting a file's time, changes no byte.
    """
    artifact, entry = run.claimed.artifact, run.home.library.named(name)
    if entry is None or entry.key != artifact.key:
        return artifact.files
    installed = {file: entry.files.get(file.path if artifact.folder else entry.name) for file in artifact.files}
    return tuple(
        file
        if _is_pinned(file) or entry_file is None
        else replace(file, size=entry_file.bytes, sha256=entry_file.sha256)
        for file, entry_file in installed.items()
    )


def _files_as_fetched(artifact: Artifact, fetched: ArtifactParts) -> tuple[ArtifactFile, ...]:
    pairs = zip(artifact.files, fetched.files, strict=True)
    return tuple(replace(file, size=digest.bytes, sha256=digest.sha256) for file, digest in pairs)


def _owner(context: WorkerContext, run: Run) -> Callable[[str], str | None]:
    """Return a function that returns the owner of a name. A changed model is the user's, unless they gave --force.

    A link made by flowhub whose target is gone holds nothing of the user's: it stays flowhub's.
    """
    library = run.home.library

    def owner(name: str) -> str | None:
        installed = library.owner(name, changed_too=run.claimed.forced, lost_too=True)
        return installed or context.leases.name_owner_by_intent(name, except_job=run.lease.job, store=run.claimed.store)

    return owner


def _install(context: WorkerContext, run: Run, parts: ArtifactParts) -> InstallResult:
    assert run.partial is not None, "a run that installs has its partial"
    return _installer(context, run).install(run.claimed.artifact, run.partial, parts)


def _installer(context: WorkerContext, run: Run) -> Installer:
    return Installer(
        run.home.store,
        _RowIntent(context, run),
        owner=_owner(context, run),
        check=run.cancel.check,
        may_write=run.lease.check,
    )


@dataclass(frozen=True, slots=True)
class _RowIntent:
    """The intent in the job's row (store.install.IntentLog)."""

    context: WorkerContext
    run: Run

    def read_intent(self) -> dict[str, Any] | None:
        return self.run.claimed.intent

    def write_intent(self, intent: dict[str, Any]) -> None:
        """Raise Cancelled if a request arrived: the last moment. A later one finds the model installed."""
        requested = self.context.leases.record_intent(self.run.lease, intent)
        if requested is not None:
            raise Cancelled(StopReason.REQUESTED)


def _complete(context: WorkerContext, run: Run, result: InstallResult) -> None:
    home, artifact = run.home, run.claimed.artifact
    with writing(home.engine) as tx:
        home.library.record_installed(tx, artifact, result, run.lease.job, home.clock.now_us())
        home.placements.want(tx, run.lease.job, artifact, result.name)
        context.leases.complete(tx, run.lease, str(result.path), result.files, _completed_text(artifact, result))
    _place(run)


def _place(run: Run) -> None:
    """Make the placements that the completed job wants. The job is done whether that succeeds or not."""
    try:
        run.home.placements.place_pending(wait=True)
    except Exception:  # whatever it is, it must not fail a job whose model is installed
        log.warning("Placements could not be made; maintenance tries again.", exc_info=True)


def _completed_text(artifact: Artifact, result: InstallResult) -> str:
    checked = "verified" if all(file.pinned for file in result.files) else "fetched whole (no digest was published)"
    return f"{artifact.ref} is installed as {result.name}, {checked}."
