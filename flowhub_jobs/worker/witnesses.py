"""Who can tell whether the network is there: other hosts, each asked for one connection."""

import queue
import socket
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from flowhub_jobs.addresses import is_loopback, origin
from flowhub_jobs.transfer.offline import machines_fault

Place = tuple[str, int]  # host, port


def place_of(url: str) -> Place | None:
    """Return where a connection for this address is made: its host, or the proxy that stands before it.

    None for this machine itself, which is reached offline too.
    """
    scheme, _, authority = origin(url).partition("://")
    host, _, port = authority.rpartition(":")
    host = host.strip("[]")
    if is_loopback(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(scheme) or proxies.get("all")
    if proxy is None or proxy_bypass(host):
        return host, int(port)
    found = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return (found.hostname, found.port or 80) if found.hostname else None


def answers(place: Place, connect_s: float) -> bool:
    """Return whether the network leads to a place: it answers, if only by refusing. One look-up, one connection."""
    try:
        socket.create_connection(place, connect_s).close()
    except TimeoutError:
        return False
    except OSError as error:
        return machines_fault(error) is None
    return True


def any_answers(places: Sequence[Place], patience_s: float) -> bool:
    """Return whether one of these places answers, asked all at once. A look-up that hangs is not waited for."""
    said: queue.SimpleQueue[bool] = queue.SimpleQueue()
    for place in places:
        threading.Thread(target=lambda at=place: said.put(answers(at, patience_s)), name="witness", daemon=True).start()
    until = time.monotonic() + patience_s
    for _ in places:
        try:
            if said.get(timeout=max(0.0, until - time.monotonic())):
                return True
        except queue.Empty:
            return False
    return False
