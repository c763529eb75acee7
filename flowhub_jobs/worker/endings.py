"""How an attempt ends that did not complete: let go, parked, postponed or failed. Each leaves a row that says why."""

import logging

from sqlalchemy.exc import OperationalError

from flowhub_jobs.addresses import driver_words, scrub
from flowhub_jobs.disk import disk_error
from flowhub_jobs.errors import (
    DatabaseUnusable,
    DigestMismatch,
    DiskFull,
    FlowhubError,
    InternalError,
    OutOfMemory,
    StoreOffline,
)
from flowhub_jobs.kinds import Reason
from flowhub_jobs.transfer.fetch import Postponed
from flowhub_jobs.worker.floor import LOST, SHUT, STOP, Floor, Run

log = logging.getLogger("flowhub.job")

DATABASE_BUSY_S = 10.0
MEMORY_TIGHT_S = 60.0


def obey(floor: Floor, run: Run, word: str) -> None:
    """Let go of the job as the word says: a stop, or what the person wishes by now."""
    if word == LOST:
        return
    _purge_beforehand(floor, run)
    why = {STOP: "The worker stopped", SHUT: "The schedule's window closed"}.get(word)
    wish = floor.leases.hand_back(run.lease, why) if why else floor.leases.obey(run.lease)
    _purge_if_wished(floor, run, wish)


def _purge_beforehand(floor: Floor, run: Run) -> None:
    """Drop the partial while the job is still ours: when it is seen to be cancelled, nothing of it is left."""
    if floor.leases.wish(run.lease) == "purge":
        floor.home.discard_partials(run.claimed.artifact, run.lease.job)


def _purge_if_wished(floor: Floor, run: Run, wish: str | None) -> None:
    if wish == "purge":
        floor.home.purge(run.lease.job)


def end_badly(floor: Floor, run: Run, error: FlowhubError | Postponed) -> None:
    """Park, postpone or fail: whatever went wrong, the row says so; offline, it is the node's."""
    _purge_beforehand(floor, run)
    now, wish = floor.home.clock.now_us(), None
    fault = error.error if isinstance(error, Postponed) else error
    if floor.network.is_down(fault, run.claimed.artifact):
        wish = floor.leases.hand_back(run.lease, "This machine is offline")
        floor.door.look()
    elif isinstance(error, Postponed):
        if error.asked_by_host:
            floor.peace.tell()
        reason = Reason.HOST_WAIT if error.asked_by_host else Reason.BACKOFF
        until = now + int(error.seconds * 1e6)
        wish = floor.leases.wait(run.lease, until, reason, error.error.message, faults=error.faults, cost=True)
    elif isinstance(error, DiskFull | StoreOffline):
        reason = Reason.DISK if isinstance(error, DiskFull) else Reason.STORE_OFFLINE
        until = now + int(floor.home.settings.look_again_s * 1e6)
        wish = floor.leases.wait(run.lease, until, reason, error.message, faults=run.claimed.faults, cost=False)
    else:
        log.warning("Job %d failed: %s", run.lease.job, error.message)  # first: whether it can be written is not known
        wish = floor.leases.fail(run.lease, error, mismatch=isinstance(error, DigestMismatch))
    _purge_if_wished(floor, run, wish)


def as_ours(floor: Floor, error: Exception) -> FlowhubError | Postponed:
    """Return what ended a run as an error of ours: the disk's and the database's pass, the rest is a bug."""
    if isinstance(error, OSError):
        error = disk_error(floor.home.store.root, error)
    if isinstance(error, MemoryError):
        error = OutOfMemory("This machine has no memory left for the job.")
    if isinstance(error, OutOfMemory):
        return Postponed(MEMORY_TIGHT_S, error, faults=0, asked_by_host=False)
    if isinstance(error, FlowhubError | Postponed):
        return error
    if isinstance(error, OperationalError):
        busy = DatabaseUnusable(f"The database did not answer: {driver_words(error)}.")
        return Postponed(DATABASE_BUSY_S, busy, faults=0, asked_by_host=False)
    log.exception("A fault of flowhub's own")
    return InternalError(f"Something that flowhub does not expect: {type(error).__name__}: {scrub(str(error))}")
