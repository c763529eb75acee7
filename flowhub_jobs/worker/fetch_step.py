"""Fetches an artifact: links files that are on this machine, waits for disk space, and downloads the rest."""

from collections.abc import Callable
from dataclasses import replace

from flowhub_jobs.jobs.disk_demand import room_needed_before
from flowhub_jobs.store.install import ArtifactParts
from flowhub_jobs.store.space import check_room, reserved_bytes
from flowhub_jobs.transfer.fetch import Fetched, PriorAttempts, TransferProgress, fetch
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.retry import PriorFaults
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import EventKind, QueueOrder
from flowhub_jobs.values.jobs import NewEvent
from flowhub_jobs.worker.context import Run, WorkerContext
from flowhub_jobs.worker.local_reuse import LocalCopies, changed_text, find_local_copies
from flowhub_jobs.worker.peer_copies import peer_copies
from flowhub_jobs.worker.progress import ProgressWriter
from flowhub_jobs.worker.transfer_options import transfer_options
from flowhub_jobs.worker.wait_for_node_copy import wait_for_other_nodes


def fetch_artifact(context: WorkerContext, run: Run, progress: ProgressWriter) -> ArtifactParts:
    """Return the artifact's files: linked where their bytes are on this machine, else fetched."""
    local_copies = find_local_copies(context, run, progress)
    while True:
        fetched = _fetch_missing(context, run, progress, local_copies)
        # The owner of a linked file may have written into it during the download: then it is not what was verified.
        if (valid := local_copies.still_valid()) is local_copies:
            return local_copies.combined(fetched)
        context.leases.record_event(run.lease, NewEvent(EventKind.LINKED, changed_text(local_copies, valid)))
        local_copies = valid


def _fetch_missing(
    context: WorkerContext, run: Run, progress: ProgressWriter, local_copies: LocalCopies
) -> Fetched | None:
    home = run.home
    if (missing := local_copies.missing) is None:
        return None
    _check_room(context, run, missing)
    context.throttle.update(job_began=True)
    context.cap.update()
    faults = PriorFaults(run.claimed.faults, run.claimed.no_progress_s)
    one_try = run.claimed.trial_of_origin is not None
    tag, fetched, sources = f"{home.node}/{run.lease.job}", run.claimed.fetched, run.claimed.sources
    prior = PriorAttempts(tag, fetched, faults, one_try=one_try, fetched_by_origin=sources)
    wait_for_other_nodes(context, run, missing)
    copies = peer_copies(home, missing)
    refused = context.refused_mirrors.current() if home.settings.mirrors or copies else frozenset()
    return fetch(
        missing,
        local_copies.partial,
        options=replace(transfer_options(home.settings, refused, copies), rate_bps=run.claimed.limit_bps),
        shared=context.shared,
        cancel=run.cancel,
        prior=prior,
        on_progress=_watch(context, run, progress, local_copies),
    )


def _check_room(context: WorkerContext, run: Run, missing: Artifact) -> None:
    """Raise DiskFull unless what is missing fits; a size that only an earlier attempt learned is in its journal."""
    assert run.partial is not None, "a run that fetches has its partial"
    journal_files = journal.load(run.partial).files
    empty = journal.FileRecord("")
    records = [(file.size, journal_files.get(file.path, empty)) for file in missing.files]
    check_need(context, run, sum(max(0, (size or record.size or 0) - record.kept.total) for size, record in records))


def check_need(context: WorkerContext, run: Run, need: int) -> None:
    """Raise DiskFull unless this many bytes fit with those of the jobs that go first."""
    home, order = run.home, QueueOrder(run.home.settings.queue_order)
    for room, stores in home.rooms():
        running, ahead = room_needed_before(home.engine, home.node, run.lease.job, order, stores)
        check_room(room, need, reserved_bytes(room, running, ahead), home.store.root)


def _watch(
    context: WorkerContext, run: Run, progress: ProgressWriter, local_copies: LocalCopies
) -> Callable[[TransferProgress], None]:
    """Return the callback of the transfer: it writes the progress, and checks the room once the sizes are known."""
    unknown = run.claimed.artifact.size is None
    trial_of_origin = run.claimed.trial_of_origin
    bad_mirrors: frozenset[str] = frozenset()

    def watch(current: TransferProgress) -> None:
        nonlocal unknown, trial_of_origin, bad_mirrors
        progress.show(local_copies.whole_progress(current))
        if current.bad_mirrors != bad_mirrors and context.refused_mirrors.refuse(current.bad_mirrors - bad_mirrors):
            bad_mirrors = current.bad_mirrors
        if (
            trial_of_origin is not None and current.fetched > run.claimed.fetched
        ):  # from the host, or from a mirror of it
            context.outages.reached(trial_of_origin)
            trial_of_origin = None
        if trial_of_origin is not None and context.outages.note_if_reached(trial_of_origin, run.began_s):
            trial_of_origin = None
        if unknown and current.total is not None:
            unknown = False
            check_need(context, run, current.total - current.kept)

    return watch
