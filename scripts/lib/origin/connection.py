"""One client's connection to an origin: reads requests, sends the server's answers, and counts the sent bytes."""

import contextlib
import selectors
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from typing import Protocol

from lib.origin.answer import Frame, Head, Request, Step
from lib.origin.content import Piece
from lib.origin.flow import Bucket, Counts

# A limited origin has a small buffer, so that the "sent" bytes are close to the received ones.
LIMITED_BUFFER = 128 << 10
LINGER_RESET = struct.pack("ii", 1, 0)  # close() then sends RST instead of FIN


class HangUp(ConnectionError):
    """The origin ends this connection, on purpose."""


class Server(Protocol):
    """The interface of `OriginServer` for its connections."""

    port: int
    total: Bucket
    per_connection_bps: float | None
    counts: Counts
    stopping: threading.Event

    def respond(self, request: Request) -> Iterator[Step]: ...

    def forget(self, connection: "Connection") -> None: ...


class Connection:
    """One client's connection and the thread that serves it. Only that thread closes the socket."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.server = server
        self.sock = sock
        self.bucket = Bucket(server.per_connection_bps)
        self.thread = threading.Thread(target=self._serve, daemon=True, name=f"origin-{server.port}-connection")
        self._unread = b""
        self._ending = False

    def _serve(self) -> None:
        # A client that disconnects, or an origin that hangs up, ends only the connection.
        try:
            with contextlib.suppress(OSError):
                if isinstance(self.sock, ssl.SSLSocket):
                    self.sock.do_handshake()
                while (request := self._next_request()) is not None and self._exchange(request):
                    pass
        finally:
            self.sock.close()
            self.server.forget(self)

    def _next_request(self) -> Request | None:
        """Return the next request of the connection, None if the client closed it."""
        while b"\r\n\r\n" not in self._unread:
            if not (more := self.sock.recv(65536)):
                return None
            self._unread += more
        head, _, self._unread = self._unread.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _version = first.split(" ", 2)
        path, _, query = target.partition("?")
        fields = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        return Request(method, path, query, headers, time.monotonic())

    def _exchange(self, request: Request) -> bool:
        """Answer one request; return whether the connection stays open."""
        counts = self.server.counts
        counts.asked(request)
        if self.limited:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LIMITED_BUFFER)
        stays = request.headers.get("connection", "").lower() != "close"
        try:
            for step in self.server.respond(request):
                if isinstance(step, Head):
                    stays = stays and step.keep_alive
                self._take(step, request)
        finally:
            counts.finished(request)
        return stays

    def _take(self, step: Step, request: Request) -> None:
        if isinstance(step, Head):
            self.server.counts.answered(request, step.status)
            self.sock.sendall(head_bytes(step))
        elif isinstance(step, Frame):
            self.sock.sendall(step.data)
        elif isinstance(step, bytes | memoryview):
            self._send_body(step, request)
        else:
            step(self)

    @property
    def limited(self) -> bool:
        return self.server.total.limited or self.bucket.limited

    def _send_body(self, data: Piece, request: Request) -> None:
        rest = memoryview(data)
        while rest:
            size = min(len(rest), self.server.total.piece(), self.bucket.piece())
            self.server.total.take(size)
            self.bucket.take(size)
            self.check()
            piece, rest = rest[:size], rest[size:]
            while piece:  # TLS sends a record of 16 KiB at a time
                piece = piece[self._send_some(piece, request) :]

    def _send_some(self, piece: memoryview, request: Request) -> int:
        """Send as much of `piece` as the kernel accepts; wait briefly if that is nothing."""
        sent = self.server.counts.write(request, lambda: self._send_now(piece))
        if not sent:
            with selectors.DefaultSelector() as selector:
                selector.register(self.sock, selectors.EVENT_WRITE)
                selector.select(0.2)
            self.check()
        return sent

    def _send_now(self, piece: memoryview) -> int:
        self.sock.setblocking(False)
        try:
            return self.sock.send(piece)
        except (BlockingIOError, ssl.SSLWantWriteError):
            return 0
        finally:
            self.sock.setblocking(True)

    def check(self) -> None:
        """Raise HangUp if the connection is to end."""
        if self._ending or self.server.stopping.is_set():
            raise HangUp

    def reset(self) -> None:
        """End the connection with RST: at once if it waits for a request, else before the next piece of a body."""
        self._ending = True
        with contextlib.suppress(OSError):
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        self._shutdown(socket.SHUT_RD)  # wakes the thread and, unlike SHUT_RDWR, sends no FIN before the RST

    def hang_up(self) -> None:
        """End the connection at once, also while its thread waits."""
        self._ending = True
        self._shutdown(socket.SHUT_RDWR)

    def _shutdown(self, how: int) -> None:
        with contextlib.suppress(OSError):
            # Not SSLSocket's shutdown, after which its thread would continue in clear text.
            socket.socket.shutdown(self.sock, how)


def head_bytes(head: Head) -> bytes:
    """Return a head as it goes over the wire, with its empty line."""
    phrase = HTTPStatus(head.status).phrase if head.status in set(HTTPStatus) else "Unknown"
    end = {} if head.keep_alive else {"Connection": "close"}
    lines = [f"{name}: {value}" for name, value in {**head.headers, **end}.items()]
    return "\r\n".join([f"HTTP/1.1 {head.status} {phrase}", *lines, "", ""]).encode("latin-1")
