"""Opens a TCP connection to a host with several addresses: to the first that answers, each tried 250 ms after the last.

Happy Eyeballs, RFC 8305: if IPv6 is broken and IPv4 works, a connection costs a quarter of a second, not a time-out.
anyio and asyncio have it for coroutines only; httpcore's sync backend calls `socket.create_connection`, which gives
each address the whole time-out, one after the other.
"""

import errno
import os
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any

DELAY_S = 0.25  # RFC 8305, section 5: "Connection Attempt Delay"
TICK_S = 0.1  # how often `ended` is called
UNSPECIFIED = ("0.0.0.0", "::")  # noqa: S104
BLOCKED = "as a DNS filter (Pi-hole, AdGuard, a router's) or the hosts file answers for a blocked host"
NO_ROUTE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

AddressInfo = tuple[socket.AddressFamily, socket.SocketKind, int, str, Any]  # as of socket.getaddrinfo


def open_connection(
    host: str, port: int, timeout_s: float | None, ended: Callable[[], bool] = lambda: False
) -> socket.socket:
    """Return a connected, blocking socket. `timeout_s` limits all addresses together, but not the look-up of the name.

    `ended` is called every TICK_S; once it returns True, the attempts end (ConnectionAbortedError).
    Raises OSError: that of the look-up, TimeoutError, or the most specific error of all attempts.
    """
    until = time.monotonic() + timeout_s if timeout_s is not None else None
    infos = interleaved(reachable(host, socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)))
    attempts = _Attempts(infos)
    try:
        connected = attempts.run(until, ended)
    finally:
        attempts.close()
    connected.setblocking(True)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connected


def reachable(host: str, infos: Sequence[Any]) -> list[AddressInfo]:
    """Return the addresses of a name without 0.0.0.0 and ::, which DNS filters and hosts files give to blocked names.

    A connection to them leads to this machine, whose answers say nothing of the host. Raises ConnectionRefusedError
    if no other address is left.
    """
    usable = [info for info in infos if info[4][0] not in UNSPECIFIED or host.strip("[]") in UNSPECIFIED]
    if infos and not usable:
        raise ConnectionRefusedError(errno.ECONNREFUSED, f"its name leads to {infos[0][4][0]}, {BLOCKED}")
    return usable


def interleaved(infos: Sequence[Any]) -> list[AddressInfo]:
    """Return the addresses with alternating families, the first one's first (RFC 8305, section 4). Pure."""
    first = [info for info in infos if info[0] == infos[0][0]]
    other_family = [info for info in infos if info[0] != infos[0][0]]
    return [info for info in chain.from_iterable(zip_longest(first, other_family)) if info is not None]


def most_specific(errors: Sequence[OSError]) -> OSError:
    """Return the error to report: a refusal is more specific than silence, silence than a missing route. Pure."""

    def rank(error: OSError) -> int:
        return 2 if error.errno in NO_ROUTE else 1 if isinstance(error, TimeoutError) else 0

    return min(errors, key=rank, default=OSError("the name has no address"))


class _Attempts:
    """The attempts of one connection; the first to succeed is used."""

    def __init__(self, infos: Sequence[AddressInfo]) -> None:
        self._left = list(infos)
        self._selector = selectors.DefaultSelector()
        self._errors: list[OSError] = []

    def run(self, until: float | None, ended: Callable[[], bool]) -> socket.socket:
        next_at = time.monotonic()
        while self._left or self._selector.get_map():
            now = time.monotonic()
            if ended():
                raise ConnectionAbortedError(errno.ECONNABORTED, "the connection was given up")
            if until is not None and now >= until:
                raise TimeoutError(errno.ETIMEDOUT, "timed out")
            if self._left and (now >= next_at or not self._selector.get_map()):
                next_at = now + DELAY_S
                if (connected := self._start(self._left.pop(0))) is not None:
                    return connected
            if (connected := self._wait(next_at if self._left else None, until)) is not None:
                return connected
        raise most_specific(self._errors)

    def _start(self, info: AddressInfo) -> socket.socket | None:
        """Start to connect to an address; return the socket if it is connected at once."""
        family, kind, protocol, _, address = info
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError as error:  # a kernel without IPv6
            self._errors.append(error)
            return None
        try:
            sock.setblocking(False)
            failed = sock.connect_ex(address)
        except BaseException:
            sock.close()
            raise
        if failed == 0:
            return sock
        if failed in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            self._selector.register(sock, selectors.EVENT_WRITE)
        else:
            self._fail(sock, failed)
        return None

    def _wait(self, next_at: float | None, until: float | None) -> socket.socket | None:
        """Wait until an attempt ends, the next one is due, or a tick is over; return a connected socket, if any."""
        if not self._selector.get_map():
            return None
        now = time.monotonic()
        wait = min(TICK_S, *(at - now for at in (next_at, until) if at is not None), TICK_S)
        for key, _ in self._selector.select(max(0.0, wait)):
            sock = key.fileobj
            assert isinstance(sock, socket.socket)
            self._selector.unregister(sock)
            failed = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not failed:
                return sock
            self._fail(sock, failed)
        return None

    def _fail(self, sock: socket.socket, failed: int) -> None:
        sock.close()
        self._errors.append(OSError(failed, os.strerror(failed)))

    def close(self) -> None:
        """End every attempt that is still under way."""
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()
