"""The socket under httpx: reads that fill a large buffer, and all sockets of a transfer shut at once.

httpcore asks for 64 KiB at a time and a TLS socket returns one record of 16 KiB: then the interpreter, not the network,
is the limit. Keep-alive, proxies and timeouts stay httpcore's.
"""

import contextlib
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore

BUFFER = 256 * 1024


class Wire(httpcore.NetworkBackend):
    """Makes the streams of one transfer, and can end them all."""

    def __init__(self) -> None:
        self._streams: weakref.WeakSet[WideStream] = weakref.WeakSet()
        self._lock, self._cut = threading.Lock(), False
        self._head = threading.local()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        with _translated(httpcore.ConnectTimeout, httpcore.ConnectError):
            plain = socket.create_connection((host, port), timeout)
            for option in socket_options or ():
                plain.setsockopt(*option)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.watch(WideStream(plain, self))

    def watch(self, stream: "WideStream") -> "WideStream":
        with self._lock:
            self._streams.add(stream)
            if self._cut:
                stream.shut()
        return stream

    def head_until(self, deadline: float | None) -> None:
        """Bound what this thread reads from now on, all of it together: a head may come byte by byte, for ever."""
        self._head.until = deadline

    def left(self, timeout: float | None) -> float | None:
        """Return the seconds that this thread may wait for its next bytes. Raises TimeoutError past the head's end."""
        until: float | None = getattr(self._head, "until", None)
        if until is None:
            return timeout
        left = until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the head did not end in time")
        return left if timeout is None else min(timeout, left)

    def cut(self) -> None:
        """Shut every socket, now and to come: whoever waits for a byte gets none."""
        with self._lock:
            self._cut = True
            for stream in list(self._streams):
                stream.shut()


class WideStream(httpcore.NetworkStream):
    """A socket whose reads return all that is at hand, up to 256 KiB."""

    def __init__(self, sock: socket.socket, wire: Wire) -> None:
        self._sock, self._wire = sock, wire
        self._buffer = bytearray(BUFFER)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _translated(httpcore.ReadTimeout, httpcore.ReadError):
            self._sock.settimeout(self._wire.left(timeout))
            view = memoryview(self._buffer)
            filled = self._sock.recv_into(view)
            if filled:
                filled += self._at_hand(view[filled:])
            return bytes(view[:filled])

    def _at_hand(self, view: memoryview) -> int:
        """Fill what is left with bytes that are there already. An error now is met again by the next read."""
        filled = 0
        self._sock.settimeout(0)
        with contextlib.suppress(OSError):  # BlockingIOError, SSLWantReadError: nothing more is there
            while filled < len(view):
                count = self._sock.recv_into(view[filled:])
                if not count:
                    break
                filled += count
        return filled

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _translated(httpcore.WriteTimeout, httpcore.WriteError):
            self._sock.settimeout(timeout)
            self._sock.sendall(buffer)

    def close(self) -> None:
        self._sock.close()

    def shut(self) -> None:
        # Not SSLSocket.shutdown: it drops the TLS layer under a reader in another thread, which would then be handed
        # what is still encrypted as if it were the body.
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        if isinstance(self._sock, ssl.SSLSocket):  # TLS inside TLS, as through an https proxy: httpcore's own
            from httpcore._backends.sync import TLSinTLSStream

            return TLSinTLSStream(self._sock, ssl_context, server_hostname, timeout)
        with _translated(httpcore.ConnectTimeout, httpcore.ConnectError):
            self._sock.settimeout(timeout)
            try:
                wrapped = ssl_context.wrap_socket(self._sock, server_hostname=server_hostname)
            except BaseException:
                self._sock.close()
                raise
        return self._wire.watch(WideStream(wrapped, self._wire))

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object" and isinstance(self._sock, ssl.SSLSocket):
            return self._sock._sslobj  # type: ignore[attr-defined]  # httpcore asks it for the ALPN protocol
        if info == "is_readable":
            return _is_readable(self._sock)
        return {"socket": self._sock}.get(info)


def _is_readable(sock: socket.socket) -> bool:
    """Return whether an idle connection has something to say: then the server has closed it."""
    import select

    if sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))


@contextmanager
def _translated(timeout: type[Exception], failure: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise timeout(error) from error
    except OSError as error:
        raise failure(error) from error
