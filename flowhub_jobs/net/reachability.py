"""Determines whether a host is unreachable or this machine is offline."""

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

_NO_ROUTE = (errno.ENETUNREACH, errno.ENETDOWN, errno.EHOSTUNREACH)
_TEST_NET = ("192.0.2.1", 9)  # TEST-NET-1 (RFC 5737): no host has this address, but a route to it exists, or not


def local_network_fault(error: BaseException) -> OSError | None:
    """Return the system's error if the fault may be this machine's own: no name is resolved, no route leads out.

    A host that refuses or is silent is the host's fault. So is a name that does not exist; but without a route some
    systems report that of every name.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, socket.gaierror):
            return cause if cause.errno == socket.EAI_AGAIN or not _has_route() else None
        if isinstance(cause, OSError) and cause.errno in _NO_ROUTE:
            return cause
        cause = cause.__cause__ or cause.__context__  # httpcore breaks the chain of causes
    return None


def _has_route() -> bool:
    """Return whether there is a route to the internet. Connecting a UDP socket looks up a route and sends nothing."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as probe:
        return probe.connect_ex(_TEST_NET) not in _NO_ROUTE


Endpoint = tuple[str, int]  # host, port


def remote_endpoint(url: str) -> Endpoint | None:
    """Return `connection_endpoint`, but None for this machine itself, which can be reached offline too."""
    return None if is_loopback(host_and_port(url)[1]) else connection_endpoint(url)


def connection_endpoint(url: str) -> Endpoint | None:
    """Return where a request for this URL connects to: its host, or the proxy for it.

    None if the proxy's variable is invalid.
    """
    scheme, host, port = host_and_port(url)
    try:
        proxy = proxy_for(scheme, host, int(port))
    except ProxyUnusable:
        return None
    return (host, int(port)) if proxy is None else (proxy.host, proxy.port)


def host_and_port(url: str) -> tuple[str, str, str]:
    """Return scheme, host and port of a URL."""
    scheme, _, authority = origin(url).partition("://")
    bracketed, _, port = authority.rpartition(":")
    return scheme, bracketed.strip("[]"), port


def answers(endpoint: Endpoint, connect_s: float) -> bool:
    """Return whether an endpoint answers, if only by refusing. One look-up, one connection."""
    try:
        open_connection(*endpoint, connect_s).close()
    except TimeoutError:
        return False
    except OSError as error:
        return local_network_fault(error) is None
    return True


def any_answers(endpoints: Sequence[Endpoint], patience_s: float) -> bool:
    """Return whether one of these endpoints answers, all tried at the same time. It does not wait for a look-up."""
    results: queue.SimpleQueue[bool] = queue.SimpleQueue()
    for endpoint in endpoints:
        threading.Thread(
            target=lambda at=endpoint: results.put(answers(at, patience_s)), name="witness", daemon=True
        ).start()
    until = time.monotonic() + patience_s
    for _ in endpoints:
        try:
            if results.get(timeout=max(0.0, until - time.monotonic())):
                return True
        except queue.Empty:
            return False
    return False
