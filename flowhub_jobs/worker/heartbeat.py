"""Renews the leases of this worker, and stops the runs whose jobs the user paused or cancelled."""

import threading
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.errors import DatabaseDamaged, DatabaseNewer, DatabaseReplaced, NodeTaken
from flowhub_jobs.jobs.run_values import LEASE_S
from flowhub_jobs.values.enums import StopReason
from flowhub_jobs.worker.context import Run, WorkerContext

POLL_S, POLL_SHARED_S = 0.25, 0.5  # a requested action is carried out within a second
POLL_NOTIFIED_S = 5.0  # where the database notifies of one, in case that is lost
RENEW_S = LEASE_S / 3


class Heartbeat(threading.Thread):
    """One thread for all runs. During a graceful stop it continues until every job was handed back."""

    def __init__(self, context: WorkerContext) -> None:
        super().__init__(name="heartbeat", daemon=True)
        self._context, self._stopped = context, threading.Event()
        self._poll_s = POLL_SHARED_S if context.home.database.is_shared else POLL_S
        self._renewed_at, self._polled_at = 0.0, float("-inf")

    def run(self) -> None:
        while True:
            if self._context.changed.wait(self._poll_s):
                self._context.changed.clear()
                self._polled_at = float("-inf")
            if self._stopped.is_set():
                return
            try:
                self._beat()
            except (DatabaseReplaced, DatabaseDamaged, DatabaseNewer, NodeTaken) as error:
                self._context.lose_database(error)  # then the maintenance thread ends the worker
            except SQLAlchemyError as error:
                # A busy or unreachable database: the leases hold for a while, and the runs watch their own deadlines.
                self._context.database_outage.failed(error)

    def _beat(self) -> None:
        context, awake_s = self._context, self._context.home.clock.awake()
        if awake_s - self._renewed_at >= RENEW_S:
            # A lease that has ended, as during the machine's sleep, is not renewed. Its run stops at its next check of
            # the lease. If the row were renewed after that, it would look owned while no thread works on the job, and
            # no rescue would take it back until the renewed lease had ended, too.
            context.leases.renew({run.lease.job: run.lease for run in context.runs().values() if run.lease.held})
            self._renewed_at = awake_s
        runs = context.runs()
        if runs or context.shared.meter.pending:
            context.cap.update()
        if not runs:
            return
        context.throttle.update()
        if awake_s - self._polled_at >= (POLL_NOTIFIED_S if context.is_notified() else 0.0):
            self._deliver_requests(runs)
            self._polled_at = awake_s

    def _deliver_requests(self, runs: Mapping[str, Run]) -> None:
        """Stop the runs whose jobs the user paused or cancelled, and those that have lost their lease."""
        context = self._context
        requested = context.leases.requested_actions()
        for token, run in runs.items():
            if token in requested:
                if requested[token] is not None:
                    run.cancel.stop(StopReason.REQUESTED)
            elif token in context.runs():  # its run has not ended in between
                run.lease.revoke()
                run.cancel.stop(StopReason.LEASE_LOST)

    def stop(self) -> None:
        self._stopped.set()
        self._context.changed.set()
        if self.is_alive():
            self.join()
