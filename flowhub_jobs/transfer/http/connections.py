"""The connections of one transfer, as httpcore's network backend: made, kept for the next request, aborted all at once.

httpcore cannot keep them: it reuses a connection only after it has read the body to its end, and `socket_stream` reads
the bodies.
"""

import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore

from flowhub_jobs.net.httpx_transport import open_socket
from flowhub_jobs.net.proxies import Proxy
from flowhub_jobs.transfer.http.socket_stream import Endpoint, HttpStream, httpcore_errors

IDLE_MAX = 32  # idle connections to one endpoint


@dataclass(slots=True)
class RequestDeadline:
    """The request of one thread: when its response head must be complete, and which connection it may use."""

    until: float
    tls: bool
    new_connection: bool
    reused: bool = False  # it went over a kept connection


class HttpBackend:
    """Makes the streams of one transfer. Thread-safe."""

    def __init__(self, note_received: Callable[[int], None] = lambda size: None) -> None:
        """`note_received` counts the bytes that the sockets give."""
        self.note_received = note_received
        self._streams: weakref.WeakSet[HttpStream] = weakref.WeakSet()
        self._idle: defaultdict[Endpoint, list[HttpStream]] = defaultdict(list)
        self._lock, self._aborted = threading.Lock(), False
        self._requests = threading.local()

    @contextmanager
    def request(self, seconds: float, *, tls: bool, new_connection: bool) -> Iterator[RequestDeadline]:
        """Declare the request of this thread. The head has one deadline: it could come byte by byte without end."""
        self._requests.current = request = RequestDeadline(time.monotonic() + seconds, tls, new_connection)
        try:
            yield request
        finally:
            self._requests.current = None

    def check_head_deadline(self) -> None:
        """Raise TimeoutError if the deadline of this thread's response head has passed."""
        request: RequestDeadline | None = getattr(self._requests, "current", None)
        if request is not None and time.monotonic() >= request.until:
            raise TimeoutError("the head did not end in time")

    def network_backend(self, socks: Proxy | None) -> httpcore.NetworkBackend:
        """Return httpcore's interface to this backend: direct, or through a SOCKS proxy."""
        return _NetworkBackend(self, socks)

    def connect(self, host: str, port: int, timeout: float | None, socks: Proxy | None) -> HttpStream:
        """Return a stream to an endpoint: a kept one if the request may use it, else a new one."""
        via = "" if socks is None else socks.netloc
        request: RequestDeadline | None = getattr(self._requests, "current", None)
        idle = None
        if request is not None and not request.new_connection:
            idle = self._take_idle(Endpoint(host, port, request.tls, via))
        if idle is not None and request is not None:
            request.reused = True
            return idle
        if self._aborted:
            raise httpcore.ConnectError("all connections were ended")
        with httpcore_errors(httpcore.ConnectTimeout, httpcore.ConnectError):
            connected = open_socket(socks, host, port, timeout, lambda: self._aborted)
        return self.register(HttpStream(connected, self, Endpoint(host, port, False, via)))

    def register(self, stream: HttpStream) -> HttpStream:
        """Have `abort` shut a new stream, too; return it. After an abort it is shut at once."""
        with self._lock:
            self._streams.add(stream)
            if self._aborted:
                stream.shut()
        return stream

    def keep(self, stream: HttpStream) -> None:
        """Keep a stream for the next request; its body was read to the end."""
        with self._lock:
            idle = self._idle[stream.endpoint]
            if not self._aborted and len(idle) < IDLE_MAX:
                idle.append(stream)
                return
        stream.discard()

    def _take_idle(self, endpoint: Endpoint) -> HttpStream | None:
        while True:
            with self._lock:
                if not self._idle[endpoint]:
                    return None
                stream = self._idle[endpoint].pop()
            if not stream.is_readable():
                stream.prepare_reuse()
                return stream
            stream.discard()  # its server has closed it

    def abort(self) -> None:
        """Shut every socket, also those still to be made: a thread that waits for a byte gets none."""
        with self._lock:
            self._aborted = True
            for stream in list(self._streams):
                stream.shut()

    def close(self) -> None:
        """Close all connections."""
        self.abort()
        self.drop_idle()

    def drop_idle(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle = [stream for streams in self._idle.values() for stream in streams]
            self._idle.clear()
        for stream in idle:
            stream.discard()


class _NetworkBackend(httpcore.NetworkBackend):
    def __init__(self, backend: HttpBackend, socks: Proxy | None) -> None:
        self._backend, self._socks = backend, socks

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return self._backend.connect(host, port, timeout, self._socks)
