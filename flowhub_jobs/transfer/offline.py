"""Whose fault it is that nothing answers: the host's, or this machine's, which is offline."""

import contextlib
import errno
import queue
import socket
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from flowhub_jobs.addresses import is_loopback, origin

_NO_WAY = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH)
_NOWHERE = ("192.0.2.1", 9)  # of TEST-NET-1 (RFC 5737): nobody is there, but there is a way out, or none

Place = tuple[str, int]  # host, port


def machines_fault(error: BaseException) -> OSError | None:
    """Return what the system says if an error may be this machine's own: no name is looked up, no way leads out.

    A host that refuses, or is silent, is a fault of the host's. So is a name that does not exist; but without a way
    out some systems say that of every name.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return cause if cause.errno == socket.EAI_AGAIN or not _has_way_out() else None
        if isinstance(cause, OSError) and cause.errno in _NO_WAY:
            return cause
        cause = cause.__cause__ or cause.__context__  # httpcore breaks the chain of causes
    return None


def _has_way_out() -> bool:
    """Return whether the system knows a way out. Nothing is sent: to connect a UDP socket is to look for a route."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        return probe.connect_ex(_NOWHERE) not in _NO_WAY


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
