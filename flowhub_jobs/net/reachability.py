"""Whose fault it is that nothing answers: the host's, or this machine's, which is offline."""

import contextlib
import errno
import queue
import socket
import threading
import time
from collections.abc import Sequence

from flowhub_jobs.errors import ProxyUnusable
from flowhub_jobs.net.happy_eyeballs import open_connection
from flowhub_jobs.net.proxies import proxy_for
from flowhub_jobs.net.urls import is_loopback, origin

_NO_WAY = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH)
_NOWHERE = ("192.0.2.1", 9)  # of TEST-NET-1 (RFC 5737): nobody is there, but there is a way out, or none


def local_network_fault(error: BaseException) -> OSError | None:
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


Endpoint = tuple[str, int]  # host, port


def remote_endpoint(url: str) -> Endpoint | None:
    """Return the same as `connection_endpoint`, but None for this machine itself, which is reached offline too."""
    return None if is_loopback(_host_and_port(url)[1]) else connection_endpoint(url)


def connection_endpoint(url: str) -> Endpoint | None:
    """Return where a connection for this address is made: its host, or the proxy that stands before it.

    None where the proxy's variable cannot be used.
    """
    scheme, host, port = _host_and_port(url)
    try:
        proxy = proxy_for(scheme, host, int(port))
    except ProxyUnusable:
        return None
    return (host, int(port)) if proxy is None else (proxy.host, proxy.port)


def _host_and_port(url: str) -> tuple[str, str, str]:
    """Return scheme, host and port of an address."""
    scheme, _, authority = origin(url).partition("://")
    bracketed, _, port = authority.rpartition(":")
    return scheme, bracketed.strip("[]"), port


def answers(place: Endpoint, connect_s: float) -> bool:
    """Return whether the network leads to a place: it answers, if only by refusing. One look-up, one connection."""
    try:
        open_connection(*place, connect_s).close()
    except TimeoutError:
        return False
    except OSError as error:
        return local_network_fault(error) is None
    return True


def any_answers(places: Sequence[Endpoint], patience_s: float) -> bool:
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
