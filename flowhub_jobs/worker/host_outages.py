"""Records the hosts that a worker's runs cannot reach, in the node's table and in the log."""

import logging
import random
import threading
import time

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.errors import NetworkDown
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.held_hosts import HostWait
from flowhub_jobs.jobs.host_waits import OUTAGE_TRIES, HostWaits, is_hosts_fault
from flowhub_jobs.net.happy_eyeballs import open_connection
from flowhub_jobs.net.reachability import connection_endpoint
from flowhub_jobs.net.urls import request_origin
from flowhub_jobs.times import clock_time, known_moment
from flowhub_jobs.transfer.fetch import RetryLater
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.retry import Patience, retry_delay
from flowhub_jobs.units import counted, format_duration
from flowhub_jobs.worker.wait_log import LONG_WAIT_S

log = logging.getLogger("flowhub.hosts")


class HostOutages:
    """One per worker. Thread-safe."""

    def __init__(self, home: Home, hosts: HostLimits, patience: Patience) -> None:
        self._home, self._hosts, self._patience = home, hosts, patience
        self._table = HostWaits(home.engine, home.node, home.clock)
        self._return = HostReturn(home, self._table)
        self._lock = threading.Lock()
        self._logged: set[tuple[str, int]] = set()  # long waits, by origin and the beginning of their outage

    def hold_host(self, run_origin: str, token: str, late: RetryLater, began_s: float) -> HostWait | None:
        """Return the wait for the host of a run that ended with this fault; None if the fault is the job's own.

        `run_origin` is the job's `source_origin`, `token` its lease's, `began_s` when it began on the hosts' clock.
        """
        requested_origin = request_origin(run_origin, self._home.settings.hf_endpoint)
        reached = late.origin != requested_origin or self._hosts.answered_since(requested_origin, began_s)
        if reached or not is_hosts_fault(late.error):
            self.reached(run_origin)
            return None

        def delay_s(tries: int) -> float:
            backoff_s = retry_delay(tries, random.random(), self._patience)  # noqa: S311 - jitter
            return max(backoff_s, late.seconds) if late.asked_by_host else backoff_s

        wait = self._table.hold(run_origin, token, late.error, delay_s, self._hosts.now() - began_s)
        if wait is not None:
            self._log(wait, token)
        return wait

    def note_if_reached(self, origin: str, began_s: float) -> bool:
        """Let the jobs of a host continue if it has answered since then; return whether it has."""
        if not self._hosts.answered_since(request_origin(origin, self._home.settings.hf_endpoint), began_s):
            return False
        self.reached(origin)
        return True

    def reached(self, origin: str) -> None:
        """Let the jobs of a host continue: it answers."""
        ended = self._table.end_wait(origin)
        if ended is None or ended.tries < OUTAGE_TRIES:
            return
        duration = format_duration((self._home.clock.now_us() - ended.since) / 1e6)
        # The job that tried the host runs: it is not among those that wait.
        waiting = counted(self._table.waiting(origin) + 1, "job continues", "jobs continue")
        log.info("%s answers again after %s; its %s.", ended.host or origin, duration, waiting)

    def given_up(self, patience_s: float, started_us: int) -> list[str]:
        """Return the origins that this worker, at work since `started_us`, has waited for longer than that."""
        now_us, waits = self._home.clock.now_us(), self._table.held().waits
        return [name for name, wait in waits.items() if wait.lasted(started_us, now_us) >= patience_s * 1e6]

    def check_hosts(self) -> None:
        """Probe the held hosts, and remove the waits that no job needs. Called every second."""
        self._table.forget_unwanted()
        self._return.probe_if_due()

    def _log(self, wait: HostWait, token: str) -> None:
        """Log the first wait of an outage, and the first of it that is longer than a minute; no more."""
        if wait.prober != token:
            return
        key = (wait.origin, wait.since)
        is_long = wait.wait_us >= LONG_WAIT_S * 1e6
        with self._lock:
            if wait.tries > 1 and (not is_long or key in self._logged):
                return
            if is_long:
                self._logged.add(key)
        waiting = counted(self._table.waiting(wait.origin) + 1, "job waits", "jobs wait")
        if not is_long:  # a try every second, then every two, …: the next one is over before a user reads its time
            log.warning("%s %s until it answers; the worker tries it at growing intervals.", wait.text, waiting)
            return
        at = clock_time(known_moment(wait.until), known_moment(self._home.clock.now_us()))
        log.warning("%s %s; the next try is at %s.", wait.text, waiting, at)


PROBE_EVERY_S = 3.0
CONNECT_S = 3.0
SOON_US = 1_000_000  # a job tries the host itself by then


class HostReturn:
    """Probes held hosts by a connection, in a thread, one host after the other. One per worker."""

    def __init__(self, home: Home, table: HostWaits) -> None:
        self._home, self._table = home, table
        self._probed_at = float("-inf")
        self._thread: threading.Thread | None = None

    def probe_if_due(self) -> None:
        """Probe, if it is time and no probe is under way. Returns at once."""
        monotonic_s = time.monotonic()
        if monotonic_s - self._probed_at < PROBE_EVERY_S or (self._thread is not None and self._thread.is_alive()):
            return
        self._probed_at = monotonic_s
        due = self._home.clock.now_us() + SOON_US
        waits = [wait for wait in self._table.held().waits.values() if _refused_all(wait) and wait.until > due]
        if waits:
            self._thread = threading.Thread(target=self._probe, args=(waits,), name="host-return", daemon=True)
            self._thread.start()

    def _probe(self, waits: list[HostWait]) -> None:
        for wait in waits:
            scheme = wait.origin.partition("://")[0]
            endpoint = connection_endpoint(f"{scheme}://{wait.host}" if wait.host else wait.origin)
            try:
                if endpoint is not None:
                    open_connection(*endpoint, CONNECT_S).close()
                    self._table.make_try_due(wait.origin)
            except (OSError, SQLAlchemyError):  # still away; or the next probe writes the row
                continue


def _refused_all(wait: HostWait) -> bool:
    """Return whether a host accepted no connection: for one that answers with an error, a connection proves nothing."""
    return wait.code == NetworkDown.code
