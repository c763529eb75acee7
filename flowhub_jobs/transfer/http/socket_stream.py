"""One socket, shared by httpcore and flowhub: httpcore sends the request and reads the head, flowhub reads the body.

httpcore takes 64 KiB at a time and h11 copies them five times: then the interpreter, not the network, is the limit.
So `read` gives httpcore no byte after the end of a head, and `fill` reads the body into flowhub's buffer, as much as
there is. A stream whose body was read to its end is given back to the backend when httpcore closes it, for the next
request.
"""

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import httpcore

from flowhub_jobs.net.framing_repair import ResponseFraming
from flowhub_jobs.system import read_tick

TICK_S = 0.1  # how long one read of the socket waits; deadlines are checked between two reads
HEAD_READ = 16 * 1024
_NOTHING_YET = (BlockingIOError, ssl.SSLWantReadError, TimeoutError)


class Endpoint(NamedTuple):
    """The other end of a stream. `via` is the SOCKS proxy that it goes through; a proxy is never the endpoint."""

    host: str
    port: int
    tls: bool
    via: str = ""


class StreamOwner(Protocol):
    """The backend that made a stream, as far as the stream knows it."""

    def check_head_deadline(self) -> None:
        """Raise TimeoutError if the deadline of the response head that this thread reads has passed."""
        ...

    def note_received(self, size: int) -> None:
        """Count bytes that a socket gave."""
        ...

    def keep(self, stream: "HttpStream") -> None:
        """Keep a stream for the next request; its body was read to the end."""
        ...

    def register(self, stream: "HttpStream") -> "HttpStream":
        """Have a stop shut a new stream, too; return it."""
        ...


class HttpStream(httpcore.NetworkStream):
    """A connected socket. `endpoint` is where it leads, for the next request that it may serve."""

    def __init__(self, sock: socket.socket, owner: StreamOwner, endpoint: Endpoint) -> None:
        self._owner, self.endpoint = owner, endpoint
        self.reused = False  # kept from an earlier request
        self.tunnel = False  # a proxy connects it to another host
        self._request_sent = self._keepable = self._limited = False
        self._framing = ResponseFraming()
        self.left = -1  # bytes of the body that are still to come; -1: httpcore reads
        self.cut_off = False  # TLS was not closed before the connection was: the body may be incomplete
        self._set_socket(sock)

    def _set_socket(self, sock: socket.socket) -> None:
        if isinstance(sock, ssl.SSLSocket):
            # Not the kernel's: a blocking SSLSocket of CPython reads again for ever when the kernel's time-out ends a
            # read (_ssl.c, SOCKET_IS_BLOCKING). Python's own polls only where there is nothing to read.
            sock.settimeout(TICK_S)
        else:
            sock.settimeout(None)  # a timeout of Python's costs a poll for each read; the kernel's own costs nothing
            read_tick(sock, TICK_S)
        self._sock = sock

    # For httpcore --------------------------------------------------------------------------------------------------

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with httpcore_errors(httpcore.WriteTimeout, httpcore.WriteError):
            self._request_sent = True
            self._framing.begin()
            self.left = -1
            self._sock.sendall(buffer)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with httpcore_errors(httpcore.ReadTimeout, httpcore.ReadError):
            count = HEAD_READ if self._framing.in_head else max_bytes
            return self._framing.read(lambda: self._receive(count, timeout))

    def _receive(self, count: int, timeout: float | None) -> bytes:
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            self._owner.check_head_deadline()
            try:
                data = self._sock.recv(count)
                self._owner.note_received(len(data))
                return data
            except ssl.SSLEOFError:
                self.cut_off = True
                return b""
            except _NOTHING_YET:
                if until is not None and time.monotonic() >= until:
                    raise TimeoutError("no byte came in time") from None

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        if self.reused and not self._request_sent and self.endpoint.tls:
            return self  # with its TLS
        if isinstance(self._sock, ssl.SSLSocket):
            return _tls_in_tls(self, self._owner, self._sock, ssl_context, server_hostname, timeout)
        with httpcore_errors(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                # The handshake comes after `register`: so a stop can end it.
                wrapped = ssl_context.wrap_socket(
                    self._sock,
                    server_hostname=server_hostname,
                    do_handshake_on_connect=False,
                    suppress_ragged_eofs=False,
                )
            except BaseException:
                self._sock.close()
                raise
            return self._owner.register(self._wrap_stream(wrapped)).do_handshake(timeout)

    def _wrap_stream(self, wrapped: ssl.SSLSocket) -> "HttpStream":
        stream = HttpStream(wrapped, self._owner, self.endpoint._replace(tls=True))
        stream.tunnel = self._request_sent  # to the proxy: CONNECT
        return stream

    def do_handshake(self, timeout: float | None) -> "HttpStream":
        """Do the handshake of TLS, and return this stream. Raises TimeoutError, and OSError where it fails."""
        assert isinstance(self._sock, ssl.SSLSocket)
        until = None if timeout is None else time.monotonic() + timeout
        try:
            while True:
                try:
                    self._sock.do_handshake()
                    return self
                except _NOTHING_YET:
                    if until is not None and time.monotonic() >= until:
                        raise TimeoutError("the TLS handshake did not end in time") from None
        except BaseException:
            self._sock.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket):
            return self._sock._sslobj  # type: ignore[attr-defined]  # httpcore asks it for the ALPN protocol
        if info == "is_readable":
            return self.is_readable()
        return {"socket": self._sock}.get(info)

    def close(self) -> None:
        was_read_to_the_end = self.left == 0 and not self._framing.ahead
        # A server that writes one line of a head wrongly may get the length wrong, too: no request may follow.
        if was_read_to_the_end and self._keepable and not self.tunnel and not self._framing.malformed:
            self._owner.keep(self)
        else:
            self.discard()

    # For flowhub ---------------------------------------------------------------------------------------------------

    def discard(self) -> None:
        self._sock.close()

    def prepare_reuse(self) -> None:
        """Make the stream ready for the next request."""
        self.reused, self._request_sent, self.left = True, False, -1

    def begin_body(self, length: int, *, keepable: bool) -> None:
        """Read a body of `length` bytes by `fill` from now on."""
        self.left, self._keepable = length, keepable

    def limit_read_ahead(self, size: int | None) -> None:
        """Let at most about `size` bytes wait unread in the system: a rate limit would be late by those bytes.

        None: there is no limit. A receive buffer cannot grow again: then a limited connection is not kept.
        """
        if size is None:
            self._keepable = self._keepable and not self._limited
        elif not self._limited:
            self._limited = True
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def fill(self, view: memoryview, timeout: float) -> int:
        """Read into `view` what comes within a moment; return the count. 0: the body, or the connection, has ended.

        Raises TimeoutError if no byte comes for `timeout` seconds, OSError if the connection drops.
        """
        view = view[: self.left]
        count = self._from_ahead(view) if self._framing.ahead else self._from_socket(view, timeout)
        self.left -= count
        return count

    def _from_ahead(self, view: memoryview) -> int:
        ahead = self._framing.ahead
        count = min(len(view), len(ahead))
        view[:count], self._framing.ahead = ahead[:count], ahead[count:]
        return count

    def _from_socket(self, view: memoryview, timeout: float) -> int:
        begin = time.monotonic()
        read = self._read_records if isinstance(self._sock, ssl.SSLSocket) else self._read_all
        while view:
            try:
                count = read(view)
                self._owner.note_received(count)
                return count
            except ssl.SSLEOFError:
                return 0
            except _NOTHING_YET:
                if time.monotonic() - begin >= timeout:
                    raise TimeoutError("no byte came in time") from None
        return 0

    def _read_all(self, view: memoryview) -> int:
        return self._sock.recv_into(view, 0, socket.MSG_WAITALL)  # until it is full, or a tick is over

    def _read_records(self, view: memoryview) -> int:
        """Read several TLS records of 16 KiB each. An error after the first one recurs at the next read."""
        # Not recv_into: its additional work costs a tenth of the time. Given a buffer, `read` returns the count.
        read: Callable[[int, memoryview], int] = self._sock.read  # type: ignore[attr-defined]
        size = len(view)
        filled = count = read(size, view)
        until = time.monotonic() + TICK_S
        with contextlib.suppress(OSError):
            while count and filled < size and time.monotonic() < until:
                count = read(size - filled, view[filled:])
                filled += count
        return filled

    def is_readable(self) -> bool:
        """Return whether an idle connection has bytes to read: then the server has closed it."""
        if self._sock.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        return bool(poll.poll(0))

    def shut(self) -> None:
        """Shut the socket while another thread may read from it."""
        # Not SSLSocket.shutdown: it drops the TLS layer under a reader in another thread, which would then get
        # encrypted bytes as if they were the body.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


def _tls_in_tls(
    outer: HttpStream,
    owner: StreamOwner,
    sock: ssl.SSLSocket,
    ssl_context: ssl.SSLContext,
    server_hostname: str | None,
    timeout: float | None,
) -> httpcore.NetworkStream:
    """Return a stream of TLS inside the TLS to an https proxy: httpcore's own, which reads in small steps."""
    from httpcore._backends.sync import TLSinTLSStream

    class CountedStream(TLSinTLSStream):
        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            data = super().read(max_bytes, timeout)
            owner.note_received(len(data))
            return data

    with httpcore_errors(httpcore.ConnectTimeout, httpcore.ConnectError):
        try:
            inner = CountedStream(sock, ssl_context, server_hostname, timeout)
        except BaseException:
            sock.close()
            raise
    inner.outer = outer  # type: ignore[attr-defined]  # the backend has a weak reference to `outer`, which a stop shuts
    return inner


@contextmanager
def httpcore_errors(timeout: type[Exception], failure: type[Exception]) -> Iterator[None]:
    """Turn the errors of sockets into httpcore's."""
    try:
        yield
    except TimeoutError as error:
        raise timeout(error) from error
    except OSError as error:
        raise failure(error) from error
