"""Faults of the connection: it breaks, stalls or trickles, or bytes change on the way."""

import fcntl
import socket
import sys
import termios
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain

from lib.origin.answer import Action, Answer, Frame, Head, Step
from lib.origin.connection import Connection, HangUp, head_bytes
from lib.origin.content import Piece
from lib.origin.flow import Bucket

from support.fault_base import BODY_ONLY, Fault

SO_NWRITE = 0x1024  # macOS, <sys/socket.h>; Python does not name it


@dataclass(frozen=True)
class Reset(Fault):
    """RST after `after` body bytes of this answer, all of which have reached the client's kernel."""

    methods = BODY_ONLY
    after: int = 0

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        return _act_after(steps, self.after, _reset)


@dataclass(frozen=True)
class EarlyClose(Fault):
    """An orderly close of the connection (FIN) after `after` body bytes, fewer than promised."""

    methods = BODY_ONLY
    after: int = 0

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        return _act_after(steps, self.after, _hang_up)


@dataclass(frozen=True)
class CloseBeforeHeaders(Fault):
    """The origin reads the request and closes the connection without an answer."""

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        yield _hang_up


@dataclass(frozen=True)
class NoHeaders(Fault):
    """The origin reads the request and never answers."""

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        yield _stall


@dataclass(frozen=True)
class CustomHead(Fault):
    """An unusual head: `status` replaces its first line, `lines` follow that."""

    status: bytes = b""
    lines: Sequence[bytes] = ()
    end: bytes = b"\r\n"

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        first, *headers = head_bytes(Head(answer.status, answer.headers, answer.keep_alive)).split(b"\r\n")
        yield Frame(self.end.join([self.status or first, *self.lines, *headers]))
        yield from (step for step in steps if not isinstance(step, Head))


@dataclass(frozen=True)
class Stall(Fault):
    """Silence after `after` body bytes, on an open connection, until the client gives up."""

    methods = BODY_ONLY
    after: int = 0

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        return _act_after(steps, self.after, _stall)


@dataclass(frozen=True)
class StallAfterHeaders(Stall):
    """The head comes, and then no byte of the body."""


@dataclass(frozen=True)
class Hold(Fault):
    """Wait until the test sets the event: before the head, or after `after` body bytes. Then continue."""

    event: threading.Event = field(default_factory=threading.Event, repr=False)
    after: int | None = None

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        if self.after is not None:
            return _act_after(steps, self.after, self._wait)
        return chain([self._wait], steps)

    def _wait(self, connection: Connection) -> None:
        while not self.event.wait(0.05):
            connection.check()


@dataclass(frozen=True)
class Trickle(Fault):
    """The body comes at `bps` bytes a second."""

    methods = BODY_ONLY
    bps: float = 100

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        bucket, size = Bucket(self.bps), max(1, int(self.bps / 20))
        for step in steps:
            if not isinstance(step, Piece):
                yield step
                continue
            for at in range(0, len(step), size):
                yield lambda connection: bucket.take(size)
                yield step[at : at + size]


@dataclass(frozen=True)
class SlowAfter(Trickle):
    """`after` body bytes of each answer come at full speed, the rest at `bps`."""

    after: int = 0

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        fast = answer.start + min(self.after, answer.end - answer.start)
        yield next(steps)
        yield from answer.content.pieces(answer.start, fast)
        yield from super().change_steps(answer.content.pieces(fast, answer.end), answer)


@dataclass(frozen=True)
class EndlessHead(Fault):
    """A status line, then an endless header, a few bytes at a time: the connection is never silent."""

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        bucket = Bucket(200)
        yield Frame(b"HTTP/1.1 200 OK\r\nX-Endless: ")
        while True:
            yield lambda connection: bucket.take(2)
            yield Connection.check
            yield Frame(b"on")


@dataclass(frozen=True)
class FlipByte(Fault):
    """The byte at offset `at` of the file comes with all bits flipped; no header shows it."""

    methods = BODY_ONLY
    at: int = 0

    def change_steps(self, steps: Iterator[Step], answer: Answer) -> Iterator[Step]:
        index = self.at - answer.start
        for step in steps:
            if isinstance(step, Piece):
                yield _flip_byte(step, index)
                index -= len(step)
            else:
                yield step


def _act_after(steps: Iterator[Step], after: int, action: Action) -> Iterator[Step]:
    """Yield the steps, and the action after exactly `after` body bytes; no action if there are fewer bytes."""
    remaining = after
    for step in steps:
        if isinstance(step, Piece) and 0 < remaining <= len(step):
            yield from (step[:remaining], action, step[remaining:])
        else:
            yield step
        if isinstance(step, Piece):
            remaining -= len(step)
        elif isinstance(step, Head) and after == 0:
            yield action


def _flip_byte(piece: Piece, index: int) -> Piece:
    if not 0 <= index < len(piece):
        return piece
    return b"".join((piece[:index], bytes([piece[index] ^ 0xFF]), piece[index + 1 :]))


def _hang_up(connection: Connection) -> None:
    raise HangUp


def _stall(connection: Connection) -> None:
    """Send nothing until the client closes the connection, or the origin is closed."""
    while connection.sock.recv(4096):
        pass
    raise HangUp


def _reset(connection: Connection) -> None:
    _drain(connection)
    connection.reset()
    raise HangUp


def _drain(connection: Connection) -> None:
    """Wait until the client's kernel has every byte: a reset discards the bytes in the origin's kernel."""
    deadline = time.monotonic() + 5
    while _unsent(connection) and time.monotonic() < deadline:
        connection.server.stopping.wait(0.001)


def _unsent(connection: Connection) -> int:
    """Return the bytes sent and not yet acknowledged."""
    if sys.platform == "darwin":
        return connection.sock.getsockopt(socket.SOL_SOCKET, SO_NWRITE)
    return int.from_bytes(fcntl.ioctl(connection.sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
