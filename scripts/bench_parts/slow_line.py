#!/usr/bin/env python3
"""A proxy that makes a near server far: `slow_line.py --to PORT --rtt 0.08 --rate 8M`, per connection.

It prints its port and serves until SIGTERM. Each request waits a round trip, and the first of a connection another one,
for the handshake: that is all that a client sees of a distance. What comes back is held to the rate, whatever is asked
over the connection: nginx's own limit_rate is of a request, so that ranges of 1 MiB come sixty times as fast.
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

CHUNK = 256 << 10
LATE_S = 0.02  # how late a chunk may be and still be caught up with: as much as a busy machine oversleeps


class SlowLine:
    """Forwards connections to `port`; `rtt` in seconds, `rate` in bytes a second."""

    def __init__(self, port: int, rtt: float, rate: float) -> None:
        self._port, self._rtt, self._rate = port, rtt, rate

    def serve(self) -> None:
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            print(listener.getsockname()[1], flush=True)
            while True:
                near, _ = listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                for sock in (near, far):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                for carry in (self._ask, self._answer):
                    threading.Thread(target=carried, args=(carry, near, far), daemon=True).start()

    def _ask(self, near: socket.socket, far: socket.socket) -> None:
        wait = 2 * self._rtt
        while asked := near.recv(CHUNK):
            time.sleep(wait)
            far.sendall(asked)
            wait = self._rtt

    def _answer(self, near: socket.socket, far: socket.socket) -> None:
        due = 0.0
        with mover(far, near) as move:
            while count := move():
                # When each chunk is due follows from the one before, not from when this thread woke up.
                due = max(due, time.monotonic() - LATE_S) + count / self._rate
                time.sleep(max(0.0, due - time.monotonic()))


def carried(carry: Callable[[socket.socket, socket.socket], None], near: socket.socket, far: socket.socket) -> None:
    """Carry one way until either end is closed; then the other way ends, too."""
    with contextlib.suppress(OSError):
        carry(near, far)
    for sock in (near, far):
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def mover(source: socket.socket, sink: socket.socket) -> Iterator[Callable[[], int]]:
    """Yield what moves up to a chunk from socket to socket and returns how much: on Linux without copying it.

    Copying would take half a core at 300 MB/s, which those who are measured would miss.
    """
    if sys.platform != "linux":
        yield lambda: copied(source, sink)
        return
    import fcntl

    out, into = os.pipe()
    try:
        fcntl.fcntl(into, fcntl.F_SETPIPE_SZ, 4 * CHUNK)
        yield lambda: spliced(source, sink, out, into)
    finally:
        os.close(out)
        os.close(into)


def copied(source: socket.socket, sink: socket.socket) -> int:
    chunk = source.recv(CHUNK)
    sink.sendall(chunk)
    return len(chunk)


def spliced(source: socket.socket, sink: socket.socket, out: int, into: int) -> int:
    count = left = os.splice(source.fileno(), into, CHUNK)
    while left:
        left -= os.splice(out, sink.fileno(), left)
    return count


def rate(text: str) -> float:
    return float(text[:-1]) * 1e6 if text.endswith("M") else float(text)


def main() -> None:
    parser = argparse.ArgumentParser(description="Hold each connection to a rate, and each request to a round trip.")
    parser.add_argument("--to", type=int, required=True, metavar="PORT", help="of the server on 127.0.0.1")
    parser.add_argument("--rtt", type=float, default=0.0, metavar="S", help="seconds of a round trip")
    parser.add_argument("--rate", type=rate, required=True, help="bytes a second of each connection: 8M")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    SlowLine(given.to, given.rtt, given.rate).serve()


if __name__ == "__main__":
    main()
