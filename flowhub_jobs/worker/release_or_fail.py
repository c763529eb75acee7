"""Ends an attempt that did not complete: releases, defers or fails the job, and records the reason in its row."""

import logging

from sqlalchemy.exc import OperationalError

from flowhub_jobs.database.postgresql import is_outage
from flowhub_jobs.errors import (
    NETWORK_SETTINGS,
    DatabaseUnusable,
    DigestMismatch,
    DiskFull,
    FlowhubError,
    InternalError,
    OutOfMemory,
    PartialRemoved,
    ServerBusy,
    SourceError,
    StoreOffline,
    TooManyFiles,
    TooManyThreads,
)
from flowhub_jobs.fs.disk_errors import disk_error
from flowhub_jobs.home import Home
from flowhub_jobs.net.redaction import driver_message, scrub
from flowhub_jobs.transfer.fetch import RetryLater
from flowhub_jobs.values.enums import EventKind, Reason, RequestedAction, StopReason
from flowhub_jobs.values.jobs import NewEvent
from flowhub_jobs.worker.context import Run, WorkerContext

log = logging.getLogger("flowhub.job")

DATABASE_BUSY_S = 10.0
MEMORY_TIGHT_S = 60.0
FILES_TIGHT_S = 10.0  # other jobs close theirs, and end their threads


_HANDED_BACK = {
    StopReason.WORKER_STOPS: "The worker stopped",
    StopReason.WINDOW_CLOSED: "The schedule's window closed",
    StopReason.CAP_REACHED: "The cap is reached",
}


def stop_run(context: WorkerContext, run: Run, reason: StopReason) -> None:
    """Release the job of a run that was stopped: queue it again, or carry out the action that the user requested."""
    if reason is StopReason.LEASE_LOST:
        return
    if reason is StopReason.CAP_REACHED:
        context.cap.reached()
    _delete_partial_if_purged(context, run)
    text = _HANDED_BACK.get(reason)
    requested = context.leases.hand_back(run.lease, text) if text else context.leases.release_as_requested(run.lease)
    _finish_purge(context, run, requested)


def _delete_partial_if_purged(context: WorkerContext, run: Run) -> None:
    """Delete the partial before the lease ends: once `status` shows the job as cancelled, its bytes are gone."""
    if context.leases.requested_action(run.lease) is RequestedAction.PURGE:
        run.home.discard_partials(run.claimed.artifact, run.lease.job)


def _finish_purge(context: WorkerContext, run: Run, requested: RequestedAction | None) -> None:
    if requested is RequestedAction.PURGE:
        context.home.purge(run.lease.job)


def fail_or_defer(context: WorkerContext, run: Run, error: FlowhubError | RetryLater) -> None:
    """Defer the job, or fail it, and write the reason into its row. Offline, all jobs of the node wait."""
    _delete_partial_if_purged(context, run)
    requested = None
    fault = error.error if isinstance(error, RetryLater) else error
    if context.offline_watch.report_if_offline(fault, run.claimed.artifact):
        requested = context.leases.hand_back(run.lease, "This machine is offline", fault.code)
        context.gates.refresh()
    elif isinstance(error, RetryLater):
        requested = _postpone(context, run, error)
    elif isinstance(error, DiskFull | StoreOffline):
        if run.claimed.any_node and _goes_to_another_node(context, run, error):
            return
        reason = Reason.DISK if isinstance(error, DiskFull) else Reason.STORE_OFFLINE
        seconds = context.home.settings.look_again_s
        context.wait_log.waits(run.lease.job, reason, error.message, seconds)
        until_us = context.home.clock.now_us() + round(seconds * 1e6)
        claimed = run.claimed  # a full disk says nothing of the source: its tries stay counted
        requested = context.leases.requeue_after(
            run.lease,
            until_us,
            reason,
            error,
            faults=claimed.faults,
            no_progress_s=claimed.no_progress_s,
            counts_as_attempt=False,
        )
    else:
        answered = isinstance(error, SourceError) and not isinstance(error, NETWORK_SETTINGS)
        if answered and run.claimed.trial_of_origin is not None:
            context.outages.reached(run.claimed.trial_of_origin)
        context.wait_log.ended(run.lease.job)
        # Before the row: if the database is lost, the log alone has the reason.
        log.warning("Job %d failed: %s", run.lease.job, error.message, extra={"job": run.lease.job})
        requested = context.leases.fail(run.lease, error, mismatch=isinstance(error, DigestMismatch))
    _finish_purge(context, run, requested)


def _goes_to_another_node(context: WorkerContext, run: Run, error: DiskFull | StoreOffline) -> bool:
    """Give a job for any node to the others, since it has no room here, and delete its partial, which no other has."""
    context.any_node.refuse(error)
    if not context.leases.offer_to_any_node(run.lease, error):
        return False
    if isinstance(error, DiskFull):
        run.home.discard_partials(run.claimed.artifact, run.lease.job)
    log.warning("Job %d goes to another node: %s", run.lease.job, error.message, extra={"job": run.lease.job})
    return True


def _postpone(context: WorkerContext, run: Run, late: RetryLater) -> RequestedAction | None:
    """Queue the job for its next try: with all jobs of its host, where that was not reached, else by itself."""
    origin, tries = run.claimed.source_origin, late.faults
    wait = context.outages.hold_host(origin, run.lease.token, late, run.began_s) if origin else None
    if wait is None:
        context.wait_log.waits(run.lease.job, Reason.BACKOFF, late.error.message, late.seconds)
        return context.leases.requeue_after(
            run.lease,
            context.home.clock.now_us() + round(late.seconds * 1e6),
            Reason.BACKOFF,
            late.error,
            faults=tries.faults,
            no_progress_s=tries.seconds + late.seconds,
            counts_as_attempt=True,
        )
    if late.error.needs_user and wait.tries == 1:
        context.leases.record_event(run.lease, NewEvent(EventKind.NEEDS_YOU, late.error.message, late.error.code))
    # A host that answers with an error may do so for this file alone: then the job has a backoff of its own, too.
    own_wait_s = late.seconds if isinstance(late.error, ServerBusy) and not late.asked_by_host else 0.0
    spent = tries.seconds + wait.wait_us / 1e6
    return context.leases.requeue_held_by_host(run.lease, wait, own_wait_s, faults=tries.faults, no_progress_s=spent)


def _is_partial_alone(home: Home, error: StoreOffline) -> bool:
    """Return whether a file that is missing was removed, and the store itself is where it was."""
    missing = isinstance(error.__cause__, FileNotFoundError)
    return missing and not home.store_is_away()


def to_flowhub_error(home: Home, job: int, error: Exception) -> FlowhubError | RetryLater:
    """Return the exception of a run as a FlowhubError: those of the disk and the database pass, any other is a bug."""
    if isinstance(error, OSError):
        error = disk_error(home.store.root, error)
    if isinstance(error, MemoryError):
        error = OutOfMemory("This machine has no memory left for the job.")
    if isinstance(error, OutOfMemory):
        return RetryLater(MEMORY_TIGHT_S, error)
    error = TooManyThreads.of(error) or error
    if isinstance(error, TooManyFiles | TooManyThreads):
        return RetryLater(FILES_TIGHT_S, error)
    if isinstance(error, StoreOffline) and _is_partial_alone(home, error):
        error = PartialRemoved("The unfinished download was removed from the store by another program.")
    if isinstance(error, PartialRemoved):
        return RetryLater(0.0, error)
    if isinstance(error, FlowhubError | RetryLater):
        return error
    if isinstance(error, OperationalError) or is_outage(error):
        busy = DatabaseUnusable(f"The database did not answer: {driver_message(error)}.")
        return RetryLater(DATABASE_BUSY_S, busy)
    log.exception("Internal error in job %d", job, extra={"job": job})
    return InternalError(f"Unexpected {type(error).__name__}: {scrub(str(error))}")
