"""Runs one worker: the context, its threads, and Huey's consumer in the main thread, until a signal or its end."""

import logging
import os
import threading

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.database.engine import check_whole
from flowhub_jobs.database.postgresql import is_outage
from flowhub_jobs.errors import DatabaseNewer
from flowhub_jobs.home import Home
from flowhub_jobs.net.redaction import driver_message
from flowhub_jobs.net.tls_context import preload_ssl_context
from flowhub_jobs.service.sd_notify import Notifier, Pulse, status_line
from flowhub_jobs.units import format_duration
from flowhub_jobs.values.enums import LIVE_STATES, State
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.heartbeat import Heartbeat
from flowhub_jobs.worker.huey_consumer import WorkerConsumer
from flowhub_jobs.worker.maintenance import Maintenance
from flowhub_jobs.worker.notifications import Notifications
from flowhub_jobs.worker.pipeline import run_job
from flowhub_jobs.worker.subscription_checks import Checker, SubscriptionChecks
from flowhub_jobs.worker.wakeup_queue_choice import worker_wakeups

log = logging.getLogger("flowhub.worker")

EXIT_SOME_FAILED = 10
PATIENCE_S = 3600.0


def run_worker(
    home: Home,
    *,
    slots: int,
    drain: bool = False,
    until_us: int | None = None,
    patience_s: float = PATIENCE_S,
    checker: Checker | None = None,
) -> int:
    """Work until a signal, until `until_us` (microseconds since 1970), or, draining, until nothing is left.

    A worker that drains waits for a host that cannot be reached no longer than `patience_s`. `checker` checks the
    subscriptions; without it, none is checked.
    Returns the exit status: 0, or 10 where a drained job did not end completed, or was left to its host. Raises
    DatabaseReplaced, DatabaseDamaged or DatabaseNewer if the database is lost: every run has stopped, and nothing more
    was written.
    """
    check_whole(home.engine)  # before any thread starts that the process would have to wait for at its end
    started = home.clock.now_us()
    # No daemon: the process crashes (SIGSEGV) if it ends while a thread is in OpenSSL.
    threading.Thread(target=preload_ssl_context, name="trust").start()
    context = WorkerContext(home, slots)
    wakeups = worker_wakeups(home, lambda: run_claimable_jobs(context), slots, context.note_change)
    context.is_notified = wakeups.hears_changes

    def stop() -> None:
        context.stop()
        wakeups.stop_waiting()

    consumer = WorkerConsumer(wakeups.huey, slots, stop)

    notices, notifier = Notifications(home, context.worker), Notifier()
    subscriptions = SubscriptionChecks(home, context.worker, checker)

    def may_exit() -> bool:
        late = until_us is not None and home.clock.now_us() >= until_us
        return late or (drain and is_drained() and notices.is_idle())

    def is_drained() -> bool:
        if not subscriptions.is_idle(context.gates.current()):
            return False
        if (
            context.runs()
            or maintenance.placements.busy
            or context.leases.any_node_job_is_due(context.gates.current())
            or home.queries.still_to_do(context.outages.given_up(patience_s, started))
        ):
            return False
        return not maintenance.disk_wait_check.release()  # room that was promised to a job may be free now

    heartbeat = Heartbeat(context)
    pulse = Pulse(notifier, lambda: _status_line(home), home.clock.awake)
    maintenance = Maintenance(context, wakeups, notices, subscriptions, pulse, may_exit, consumer.stop_flag.set)
    try:
        context.register(os.getpid())
        maintenance.run_first()  # rescues first, then works
        heartbeat.start()
        maintenance.start()
        notifier.ready()
        log.info("Worker %s runs; jobs at a time: %d.", context.worker, slots)
        consumer.run()
        notifier.stopping()
        consumer.stop()
    finally:
        subscriptions.close()
        notices.close()
        heartbeat.stop()
        context.close()
        wakeups.close()
    if context.database_lost is not None:
        if consumer.was_signalled:
            return 0
        raise context.database_lost
    try:
        return _exit_status(context, started, drain=drain, patience_s=patience_s)
    except SQLAlchemyError as error:
        if not (consumer.was_signalled and is_outage(error)):
            raise
        log.warning("Stopped while the database did not answer; its jobs continue when their leases end.")
        return 0


def _exit_status(context: WorkerContext, started: int, *, drain: bool, patience_s: float) -> int:
    """Log what is left; return the exit status of a worker that has stopped."""
    queries = context.home.queries
    jobs_left = len(queries.in_state(LIVE_STATES))
    jobs = "1 job is" if jobs_left == 1 else f"{jobs_left} jobs are"
    given_up = context.outages.given_up(patience_s, started) if drain else []
    for origin in given_up:
        log.warning("%s could not be reached for %s; its jobs stay queued.", origin, format_duration(patience_s))
    log.info("Stopped: %s.", f"{jobs} left in the queue" if jobs_left else "the queue is empty")
    return EXIT_SOME_FAILED if drain and (given_up or queries.ended_badly(since=started)) else 0


def _status_line(home: Home) -> str:
    """Return the status line for the service manager."""
    return status_line(home.queries.all(state=State.RUNNING), len(home.queries.in_state((State.QUEUED,))))


def run_claimable_jobs(context: WorkerContext) -> None:
    """Run the best job that may start, then the next, until there is none. Called for each wake-up."""
    while not context.stopping.is_set():
        try:
            claimed = context.leases.claim(context.gates.current())
        except DatabaseNewer as error:
            context.lose_database(error)
            return
        except SQLAlchemyError as error:  # the maintenance thread gets the same error, and handles it
            log.warning("No job could be claimed: %s", driver_message(error))
            return
        if claimed is None:
            return
        run_job(context, claimed)
