"""The state that the threads of one worker process share, and the runs at work in it."""

import logging
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.errors import DatabaseNewer, FlowhubError, TooManyFiles
from flowhub_jobs.fs.locks import LockFile
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.nodes_per_file_limit import NodeDownloadLimit
from flowhub_jobs.jobs.refused_mirrors import RefusedMirrors
from flowhub_jobs.jobs.run_values import Claimed, Lease
from flowhub_jobs.net.redaction import driver_message
from flowhub_jobs.system import allow_open_files, open_files_limit
from flowhub_jobs.transfer.fetch import SharedLimits
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.options import CancelToken
from flowhub_jobs.transfer.rate_limit import TokenBucket
from flowhub_jobs.values.enums import QueueOrder, StopReason
from flowhub_jobs.worker.any_node_jobs import AnyNodeJobs
from flowhub_jobs.worker.cap_watch import CapWatch
from flowhub_jobs.worker.database_outage_log import DatabaseOutage
from flowhub_jobs.worker.gate_cache import GateCache
from flowhub_jobs.worker.host_outages import HostOutages
from flowhub_jobs.worker.offline_watch import OfflineWatch
from flowhub_jobs.worker.rate_share import RateShare
from flowhub_jobs.worker.reread_stores import CurrentStores
from flowhub_jobs.worker.transfer_options import transfer_options
from flowhub_jobs.worker.wait_log import WaitLog

log = logging.getLogger("flowhub.worker")

NODE_PART = 55  # characters of a node's name in that of its worker, for which tables have 64
OPEN_FILES_MIN = 40  # of a worker with one job of one file, over two connections


@dataclass(slots=True)
class Run:
    """One attempt. `cancel.check` raises for a stop or a lost lease, `lease.check` for a lost lease alone."""

    claimed: Claimed
    began_s: float  # on the clock of `HostLimits.now`
    home: Home  # with the stores of the attempt's start; then with the job's store
    cancel: CancelToken = field(init=False)
    partial: Path | None = None  # while this run alone owns it (transfer/partial/ownership_decision.py)

    def __post_init__(self) -> None:
        self.cancel = CancelToken(self.lease.check)

    @property
    def lease(self) -> Lease:
        return self.claimed.lease


class WorkerContext:
    def __init__(self, home: Home, slots: int) -> None:
        allow_open_files()
        if (limit := open_files_limit()) < OPEN_FILES_MIN:
            raise TooManyFiles(f"This process may open only {limit} files; a worker needs {OPEN_FILES_MIN}.")
        self.home, self.slots = home, slots
        self.worker = f"{home.node[:NODE_PART]}-{secrets.token_hex(4)}"
        self.stores = CurrentStores(home)
        self.registry, self.any_node = home.registry, AnyNodeJobs(home)
        order = QueueOrder(home.settings.queue_order)
        self.leases = LeaseStore(
            *(home.engine, home.node, self.worker, home.clock, order, self.registry), any_node_room=self.any_node.room
        )
        self.shared = SharedLimits(
            HostLimits(home.settings.connections_per_host), TokenBucket(home.settings.limit_rate)
        )
        # Whether the database notifies of new controls and requested actions now (note_change).
        self.is_notified: Callable[[], bool] = lambda: False
        self.gates = GateCache(home, lambda: self.is_notified())
        self.cap = CapWatch(home, self.shared.meter, self.gates)
        self.throttle = RateShare(home, self.worker, self.shared.bucket, self.gates)
        self.outages = HostOutages(home, self.shared.hosts, transfer_options(home.settings).patience)
        self.offline_watch = OfflineWatch(home)
        self.download_limit = NodeDownloadLimit(home.engine, home.node, home.clock, home.settings.share_readers)
        self.refused_mirrors = RefusedMirrors(home.engine, home.node, home.clock)
        self.wait_log = WaitLog(home.clock)
        self.database_outage = DatabaseOutage(home.clock.awake)
        self.stopping, self.changed = threading.Event(), threading.Event()
        self.database_lost: FlowhubError | None = None
        self._runs: dict[str, Run] = {}
        self._lock = threading.Lock()
        # Held as long as this process lives: a free lock shows the other workers at once that this one is gone.
        self._alive = LockFile(home.settings.locks / f"{self.worker}.lock")

    def register(self, pid: int) -> None:
        """Register this worker, and its machine as the node. Raises NodeTaken."""
        previous_host = self.leases.register(pid, self.slots, str(self.home.store.root))
        if previous_host is not None:
            self.home.warn_of_host(previous_host)

    def begin(self, claimed: Claimed) -> Run:
        run = Run(claimed, self.shared.hosts.now(), self.stores.home())
        with self._lock:
            self._runs[claimed.lease.token] = run
        if self.stopping.is_set():
            run.cancel.stop(StopReason.WORKER_STOPS)
        return run

    def end(self, run: Run) -> None:
        with self._lock:
            self._runs.pop(run.lease.token, None)

    def runs(self) -> dict[str, Run]:
        """Return the attempts that run now, by their lease's token."""
        with self._lock:
            return dict(self._runs)

    @property
    def idle(self) -> int:
        return self.slots - len(self.runs())

    def note_change(self) -> None:
        """Have the threads read the controls and the requested actions again: the database has notified of one."""
        self.gates.expire()
        self.changed.set()

    def stop(self) -> None:
        """Start no further job, and make every run hand its job back."""
        self.stopping.set()
        self.hand_back(StopReason.WORKER_STOPS)

    def hand_back(self, reason: StopReason) -> None:
        """Make every run hand its job back. A job that `flowhub start` began continues when the window closes."""
        for run in self.runs().values():
            if reason is not StopReason.WINDOW_CLOSED or not run.claimed.start_now:
                run.cancel.stop(reason)

    def lose_database(self, error: FlowhubError) -> None:
        """Stop every run without a further write: the database that knows their leases is lost."""
        self.database_lost = self.database_lost or error
        self.stopping.set()
        for run in self.runs().values():
            run.lease.revoke()
            run.cancel.stop(StopReason.LEASE_LOST)

    def close(self) -> None:
        try:
            if self.database_lost is None and self.shared.meter.pending:
                self.cap.update(immediately=True)
            self.leases.unregister()
        except DatabaseNewer:  # the newer version's workers remove the row
            pass
        except SQLAlchemyError as error:  # a full disk: the next rescue removes the row
            log.warning("Could not remove this worker from the database: %s", driver_message(error))
        finally:
            self._alive.release()
