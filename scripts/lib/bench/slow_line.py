#!/usr/bin/env python3
"""A proxy that makes a near server far: `slow_line.py --to PORT --rtt 0.08 --rate 8M`, per connection.

It prints its port and serves until SIGTERM. Each request waits a round trip, and the first of a connection another one,
for the handshake, as over a real distance. The rate limits all answers of a connection together: nginx's limit_rate
is per request, so that ranges of 1 MiB come sixty times as fast.

It can act like a CDN: with `--slow-edges 0.5M` two of three connections always have that rate; with `--crowd 6` more
than six at once make all crawl (`CRAWL`) until a minute after.
"""

import argparse
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

CHUNK = 256 << 10
CRAWL, CRAWL_S = 30e3, 60.0  # bytes per second of each connection, and the seconds after too many connections
SMOOTH_S = 0.1  # seconds of a rate: the most that is moved at a time
LATE_S = 0.02  # delay of a chunk that is still made up for: as long as a busy machine oversleeps


class SlowLine:
    """Forwards connections to `port`; `rtt` in seconds, rates in bytes a second."""

    def __init__(
        self, port: int, rtt: float, rate: float, slow_edges: float | None = None, crowd: int | None = None
    ) -> None:
        self._port, self._rtt, self._rate, self._slow_edges, self._crowd = port, rtt, rate, slow_edges, crowd
        self._made, self._open, self._lock = 0, 0, threading.Lock()
        self._crawls_until = 0.0

    def serve(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            print(listener.getsockname()[1], flush=True)
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                for sock in (near, far):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                rate = self._slow_edges if self._slow_edges and self._made % 3 else self._rate
                self._made += 1
                answer = partial(self._answer, own_rate=rate)
                for carry in (self._ask, answer):
                    threading.Thread(target=carried, args=(carry, near, far), daemon=True).start()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[None]:
        self._count(+1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, step: int) -> None:
        with self._lock:
            self._now(0.0)
            self._open += step

    def _now(self, own_rate: float) -> float:
        """Return the current rate of a connection whose own rate is `own_rate`."""
        now = time.monotonic()
        if self._crowd is not None and self._open > self._crowd:
            self._crawls_until = now + CRAWL_S
        return CRAWL if now < self._crawls_until else own_rate

    def _ask(self, near: socket.socket, far: socket.socket) -> None:
        wait = 2 * self._rtt
        while asked := near.recv(CHUNK):
            time.sleep(wait)
            far.sendall(asked)
            wait = self._rtt

    def _answer(self, near: socket.socket, far: socket.socket, *, own_rate: float) -> None:
        due = 0.0
        with self._opened(), mover(far, near) as move:
            while count := move(piece(rate := self._now(own_rate))):
                # The due time of each chunk follows from the one before, not from the time of the wake-up.
                due = max(due, time.monotonic() - LATE_S) + count / rate
                time.sleep(max(0.0, due - time.monotonic()))


def piece(rate: float) -> int:
    return max(1024, min(CHUNK, int(rate * SMOOTH_S)))


def carried(carry: Callable[[socket.socket, socket.socket], None], near: socket.socket, far: socket.socket) -> None:
    """Forward bytes in one direction until either end is closed; then the other direction ends too."""
    with contextlib.suppress(OSError):
        carry(near, far)
    for sock in (near, far):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def mover(source: socket.socket, sink: socket.socket) -> Iterator[Callable[[int], int]]:
    """Yield a function that moves up to so many bytes between sockets and returns the number: on Linux without copying.

    Copying would take half a core at 300 MB/s, which the measured programs need.
    """
    if sys.platform != "linux":
        yield lambda most: copied(source, sink, most)
        return
    import fcntl

    out, into = os.pipe()
    try:
        fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4 * CHUNK)
        yield lambda most: spliced(source, sink, out, into, most)
    finally:
        os.close(out)
        os.close(into)


def copied(source: socket.socket, sink: socket.socket, most: int) -> int:
    chunk = source.recv(most)
    sink.sendall(chunk)
    return len(chunk)


def spliced(source: socket.socket, sink: socket.socket, out: int, into: int, most: int) -> int:
    count = remaining = os.splice(source.fileno(), into, most)
    while remaining:
        remaining -= os.splice(out, sink.fileno(), remaining)
    return count


def rate(text: str) -> float:
    return float(text[:-1]) * 1e6 if text.endswith("M") else float(text)


def main() -> None:
    parser = argparse.ArgumentParser(description="Hold each connection to a rate, and each request to a round trip.")
    parser.add_argument("--to", type=int, required=True, metavar="PORT", help="of the server on 127.0.0.1")
    parser.add_argument("--rtt", type=float, default=0.0, metavar="S", help="seconds of a round trip")
    parser.add_argument("--rate", type=rate, required=True, help="bytes a second of each connection: 8M")
    parser.add_argument("--slow-edges", type=rate, help="the rate of two of three connections")
    parser.add_argument("--crowd", type=int, help="so many connections at once are well, and more make all crawl")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    SlowLine(given.to, given.rtt, given.rate, given.slow_edges, given.crowd).serve()


if __name__ == "__main__":
    main()
