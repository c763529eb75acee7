"""Runs the upkeep of every second: gates, wake-up queue, notifications, rescues, waits, subscriptions, wake-ups.

It also reports to the service manager that the worker is alive, and ends a worker that may exit.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.database.postgresql import is_outage
from flowhub_jobs.errors import DatabaseDamaged, DatabaseNewer, DatabaseReplaced, FlowhubError
from flowhub_jobs.jobs.event_retention import prune
from flowhub_jobs.jobs.pending_upkeep_query import pending_upkeep
from flowhub_jobs.jobs.shift_waits import ClockWatch
from flowhub_jobs.jobs.states import Gates
from flowhub_jobs.net.redaction import driver_message
from flowhub_jobs.service.sd_notify import Pulse
from flowhub_jobs.units import named_jobs
from flowhub_jobs.values.enums import StopReason
from flowhub_jobs.values.jobs import ANY_NODE
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.database_identity import DatabaseWatch
from flowhub_jobs.worker.disk_wait_check import DiskWaitCheck
from flowhub_jobs.worker.node_description import NodeDescription
from flowhub_jobs.worker.notifications import Notifications
from flowhub_jobs.worker.placement_upkeep import PlacementUpkeep
from flowhub_jobs.worker.subscription_checks import SubscriptionChecks
from flowhub_jobs.worker.wakeup_queue_choice import Wakeups

log = logging.getLogger("flowhub.maintenance")

PERIOD_S = 1.0
# With a shared database, which answers all workers and notifies them of queued jobs: periods between two checks for
# pending upkeep, and how many of those pass between two checks of the kinds that may wait.
CHECK_EVERY_ROUNDS, SELDOM_EVERY_CHECKS = 2, 2
RETENTION_EVERY_S = 60.0
NAMED = 8  # jobs that a line of the log names


class Maintenance(threading.Thread):
    """A thread, not a Huey task: while all slots are busy, a task would wait for one of them."""

    def __init__(
        self,
        context: WorkerContext,
        wakeups: Wakeups,
        notices: Notifications,
        subscriptions: SubscriptionChecks,
        pulse: Pulse,
        may_exit: Callable[[], bool],
        request_exit: Callable[[], None],
    ) -> None:
        super().__init__(name="maintenance", daemon=True)
        self._context, self._wakeups, self.disk_wait_check = context, wakeups, DiskWaitCheck(context.stores.home)
        self.placements = PlacementUpkeep(context.stores.home)
        self._notices, self._subscriptions, self._pulse = notices, subscriptions, pulse
        self._database = DatabaseWatch(context.home, context.worker)
        self._clock_watch = ClockWatch(context.home.engine, context.home.node, context.home.clock)
        self._rounds, self._check_every, self._seldom_every = 0, 1, 1
        if context.home.database.is_shared:
            self._check_every, self._seldom_every = CHECK_EVERY_ROUNDS, CHECK_EVERY_ROUNDS * SELDOM_EVERY_CHECKS
        self._pruned_at = float("-inf")
        self._node = NodeDescription(context.home, context.registry)
        self._may_exit, self._request_exit = may_exit, request_exit

    def run(self) -> None:
        while not self._context.stopping.wait(PERIOD_S):
            try:
                self.run_once()
                if self._may_exit():
                    self._request_exit()
                self._node.write_if_due()
                self._context.database_outage.answered()
                self._pulse.beat()  # only if this round ended: the service manager restarts a worker that hangs
            except (DatabaseReplaced, DatabaseDamaged, DatabaseNewer) as error:
                self._context.lose_database(error)
            except SQLAlchemyError as error:
                self._context.database_outage.failed(error)
                if is_outage(error):  # the machine's own service manager cannot help
                    self._pulse.alive()
            except FlowhubError as error:  # e.g. of the store: this thread must outlive it, or nothing ends a wait
                log.warning("Maintenance was interrupted and will try again: %s", error.message)
            except (sqlite3.Error, OSError) as error:
                log.warning("Maintenance could not reach a database and will try again: %s", driver_message(error))
        if self._context.database_lost is not None:
            self._request_exit()

    def run_first(self) -> None:
        """Run the upkeep before the thread does. If the database's server goes away meanwhile, the worker continues."""
        try:
            self.run_once()
        except SQLAlchemyError as error:
            if not is_outage(error):
                raise
            self._context.database_outage.failed(error)

    def run_once(self) -> None:
        context, home = self._context, self._context.home
        gates = context.gates.current(PERIOD_S / 2)
        if gates.window_shut(home.clock.now_us()):
            context.hand_back(StopReason.WINDOW_CLOSED)
        if gates.network_down_until_us is not None:
            context.offline_watch.probe_if_due()
        self._wakeups.reopen_if_damaged()
        self._notices.deliver_pending()
        self._prune_if_due()
        if jump := self._clock_watch.shift_waits():
            log.info("System clock changed by %+.0f s; pending waits were shifted to match.", jump / 1e6)
        self._database.check()
        if self._rounds % self._check_every == 0:
            self._do_pending(gates, seldom=self._rounds % self._seldom_every == 0)
        self._rounds += 1

    def _prune_if_due(self) -> None:
        home, awake_s = self._context.home, self._context.home.clock.awake()
        if awake_s - self._pruned_at >= RETENTION_EVERY_S:
            self._pruned_at = awake_s
            prune(home.engine, home.node, home.clock, home.settings.keep_events_days)

    def _do_pending(self, gates: Gates, *, seldom: bool) -> None:
        """Do what there is to do, kind by kind, and wake the queue for the jobs that may start.

        `seldom`: those kinds, too, that may wait.
        """
        context, home = self._context, self._context.home
        pending = pending_upkeep(home.database, home.node, context.worker, home.clock)
        freed = False  # jobs that were not due when `pending` was read
        if seldom and pending.other_workers:
            for job in context.stores.home().take_back_orphans():
                freed = True
                log.info("Job %d is queued again: its worker is gone.", job, extra={"job": job})
        if seldom and pending.placements:
            self.placements.settle_if_due()
        if jobs := context.any_node.rescue_if_due():
            freed = True
            log.info("Their nodes are gone, so any node may take these jobs again: %s.", named_jobs(jobs, NAMED))
            self._wakeups.wake(len(jobs), node=ANY_NODE)
        if pending.disk_waits:
            freed |= self.disk_wait_check.release_if_due()
        if seldom and pending.host_waits:
            context.outages.check_hosts()
        if seldom:
            self._subscriptions.check_if_due(gates, any_due=pending.subscriptions)
        if pending.due_jobs or freed:
            self._wake_for(context.leases.due(gates, at_most=context.idle))

    def _wake_for(self, due: int) -> None:
        """Wake the queue for so many jobs; messages that it has already count."""
        if due and (missing := due - self._wakeups.waiting()) > 0:
            self._wakeups.wake(missing)
