"""The connections of one transfer, as httpcore's network backend: made, kept for the next request, cut all at once.

httpcore keeps none itself: it would have to read each body to its end, and the bodies are read by us (`stream`).
"""

import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpcore

from flowhub_jobs.net.httpx_transport import open_socket
from flowhub_jobs.net.proxies import Proxy
from flowhub_jobs.transfer.http.stream import HttpStream, Place, translated

KEPT_MAX = 32  # idle connections to one place


@dataclass(slots=True)
class RequestDeadline:
    """What a thread is about to ask: until when the head may take, over TLS or not, over a new connection or not."""

    until: float
    tls: bool
    anew: bool
    reused: bool = False  # it went over a connection that was kept


class HttpBackend:
    """Makes the streams of one transfer. Thread-safe."""

    def __init__(self) -> None:
        self._streams: weakref.WeakSet[HttpStream] = weakref.WeakSet()
        self._idle: defaultdict[Place, list[HttpStream]] = defaultdict(list)
        self._lock, self._cut = threading.Lock(), False
        self._calls = threading.local()

    @contextmanager
    def calling(self, seconds: float, *, tls: bool, anew: bool) -> Iterator[RequestDeadline]:
        """Say what this thread asks. The head is bounded as a whole: it may come byte by byte, for ever."""
        self._calls.now = call = RequestDeadline(time.monotonic() + seconds, tls, anew)
        try:
            yield call
        finally:
            self._calls.now = None

    def check_head(self) -> None:
        """Raise TimeoutError if the head that this thread reads has taken its time."""
        call: RequestDeadline | None = getattr(self._calls, "now", None)
        if call is not None and time.monotonic() >= call.until:
            raise TimeoutError("the head did not end in time")

    def backend(self, socks: Proxy | None) -> httpcore.NetworkBackend:
        """Return httpcore's way to this wire: direct, or through a SOCKS proxy."""
        return _Backend(self, socks)

    def connect(self, host: str, port: int, timeout: float | None, socks: Proxy | None) -> HttpStream:
        """Return a stream to a place: one that was kept, if the call may use it, else a new one."""
        via = "" if socks is None else socks.netloc
        call: RequestDeadline | None = getattr(self._calls, "now", None)
        kept = None if call is None or call.anew else self._kept(Place(host, port, call.tls, via))
        if kept is not None and call is not None:
            call.reused = True
            return kept
        if self._cut:
            raise httpcore.ConnectError("all connections were ended")
        with translated(httpcore.ConnectTimeout, httpcore.ConnectError):
            plain = open_socket(socks, host, port, timeout, lambda: self._cut)
        return self.watch(HttpStream(plain, self, Place(host, port, False, via)))

    def watch(self, stream: HttpStream) -> HttpStream:
        with self._lock:
            self._streams.add(stream)
            if self._cut:
                stream.shut()
        return stream

    def keep(self, stream: HttpStream) -> None:
        """Take back a stream whose answer was read to its end."""
        with self._lock:
            idle = self._idle[stream.place]
            if not self._cut and len(idle) < KEPT_MAX:
                idle.append(stream)
                return
        stream.discard()

    def _kept(self, place: Place) -> HttpStream | None:
        while True:
            with self._lock:
                if not self._idle[place]:
                    return None
                stream = self._idle[place].pop()
            if not stream.is_readable():
                stream.reuse()
                return stream
            stream.discard()  # its server has closed it meanwhile

    def cut(self) -> None:
        """Shut every socket, now and to come: whoever waits for a byte gets none."""
        with self._lock:
            self._cut = True
            for stream in list(self._streams):
                stream.shut()

    def close(self) -> None:
        """Close all connections."""
        self.cut()
        self.drop_idle()

    def drop_idle(self) -> None:
        """Close the idle connections."""
        with self._lock:
            idle = [stream for streams in self._idle.values() for stream in streams]
            self._idle.clear()
        for stream in idle:
            stream.discard()


class _Backend(httpcore.NetworkBackend):
    def __init__(self, wire: HttpBackend, socks: Proxy | None) -> None:
        self._wire, self._socks = wire, socks

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return self._wire.connect(host, port, timeout, self._socks)
