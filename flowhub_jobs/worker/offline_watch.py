"""Detects that this machine is offline. The first job to fail reports it, and every job of the node waits.

Jobs from a host that could still be reached, such as one on this machine, wait as well. The wait costs no attempt.
Every `look_again_s` one worker makes one connection; when that succeeds, all jobs continue. Runs that still receive
bytes are not stopped.
"""

import logging
import threading
from collections.abc import Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.errors import FlowhubError, NetworkDown
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.controls import NETWORK
from flowhub_jobs.jobs.disk_demand import addresses_wanted
from flowhub_jobs.jobs.values_shared_by_workers import SharedValue, ValueVersion
from flowhub_jobs.net.reachability import Endpoint, answers, any_answers, local_network_fault, remote_endpoint
from flowhub_jobs.net.redaction import driver_message
from flowhub_jobs.net.urls import at_endpoint, host_of
from flowhub_jobs.values.artifacts import Artifact

log = logging.getLogger("flowhub.network")

TURN = "network_look"  # in `controls`: {"at": microsecond of the next probe, "number": of probes so far}
OTHER_HOSTS = 2
OTHER_HOSTS_S = 1.0  # a job that was asked to stop waits for their answers
PROBE_MAX_US = 60_000_000  # a name look-up may hang; a worker that took the turn and died holds it no longer
LATE_US = 5_000_000  # the gate stays shut a little longer than until the next probe, which then keeps it shut


class OfflineWatch:
    """One per worker."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._turn = SharedValue(home.engine, home.node, home.clock, TURN)
        self._lock = threading.Lock()
        self._probe_thread: threading.Thread | None = None

    def report_if_offline(self, error: FlowhubError, artifact: Artifact) -> bool:
        """Return whether an attempt ended because there is no network. Then all jobs of the node wait from now on."""
        cause = local_network_fault(error) if isinstance(error, NetworkDown) else None  # a network disk has its own
        if cause is None:
            return False
        with self._lock:  # of jobs that fail together, one checks for all
            return self._home.controls.get(NETWORK) is not None or self._hold_if_all_hosts_fail(error, cause, artifact)

    def _hold_if_all_hosts_fail(self, error: FlowhubError, cause: OSError, artifact: Artifact) -> bool:
        """Probe a few other hosts that jobs come from. If all fail, hold all jobs of the node and return True."""
        endpoint = self._home.settings.hf_endpoint
        own_urls = [at_endpoint(file.url, endpoint) for file in artifact.files]
        failed = _endpoints([url for url in own_urls if host_of(url) == error.host] or own_urls[:1])
        if not failed or any_answers(self._other_endpoints(failed[0], _endpoints(own_urls)), OTHER_HOSTS_S):
            return False
        text = f"{failed[0][0]} cannot be reached: {cause.strerror or cause}."
        self._wait({"text": text, "place": failed[0]}, self._turn.read(), 0)
        log.warning("This machine is offline, and its jobs wait. %s", text)
        return True

    def _other_endpoints(self, failed: Endpoint, extra: Sequence[Endpoint] = ()) -> list[Endpoint]:
        """Return other endpoints that jobs need to reach, or have reached lately."""
        urls = addresses_wanted(self._home.engine, self._home.node)
        of_jobs = _endpoints([at_endpoint(url, self._home.settings.hf_endpoint) for url in urls])
        return [endpoint for endpoint in dict.fromkeys([*extra, *of_jobs]) if endpoint != failed][:OTHER_HOSTS]

    def _wait(self, down: dict[str, Any], stored: ValueVersion | None, number: int) -> None:
        """Keep the gate shut until the next probe."""
        at = self._home.clock.now_us() + int(self._home.settings.look_again_s * 1e6)
        self._turn.compare_and_set(stored, {"at": at, "number": number})
        self._home.controls.set(NETWORK, down, until_us=at + LATE_US)

    def probe_if_due(self) -> None:
        """Probe whether the network is back, if it is time and this worker gets the turn. Returns at once."""
        if self._probe_thread is not None and self._probe_thread.is_alive():
            return
        control, now_us = self._home.controls.get(NETWORK), self._home.clock.now_us()
        if control is None or not control[0].get("place"):
            return
        stored = self._turn.read()
        latest = now_us + PROBE_MAX_US + int(self._home.settings.look_again_s * 1e6)
        if stored is not None and now_us < stored.value["at"] <= latest:  # later only if the calendar was set back
            return
        number = stored.value["number"] + 1 if stored else 1
        turn = self._turn.compare_and_set(stored, {"at": now_us + PROBE_MAX_US, "number": number})
        if turn is not None:
            self._home.controls.set(NETWORK, control[0], until_us=now_us + PROBE_MAX_US)
            self._probe_thread = threading.Thread(
                target=self._probe, args=(control[0], turn), name="network", daemon=True
            )
            self._probe_thread.start()

    def _probe(self, down: dict[str, Any], turn: ValueVersion) -> None:
        """Make the one connection: to the host that failed, and the next time to another one that jobs need."""
        number, (host, port) = turn.value["number"], down["place"]
        try:
            endpoints = [(host, port), *self._other_endpoints((host, port))]
            endpoint = endpoints[(number - 1) % len(endpoints)]
            if answers(endpoint, self._home.settings.connect_timeout_s):
                self._home.controls.set(NETWORK, None)
                log.info("The network is back: %s answers.", endpoint[0])
            else:
                self._wait(down, turn, number)
        except SQLAlchemyError as error:  # the gate opens by itself, and the next job detects it again
            log.warning("Could not save the state of the network: %s", driver_message(error))


def _endpoints(urls: list[str]) -> list[Endpoint]:
    """Return the endpoints of these URLs, each once, without those on this machine."""
    return list(dict.fromkeys(endpoint for url in urls if (endpoint := remote_endpoint(url)) is not None))
