"""A small HTTP/1.1 server on loopback that counts every sent body byte and can be limited to a rate.

Subclasses define the answer (`answer`) and, for faults, how it is sent (`respond`).
"""

import contextlib
import selectors
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Self

from lib.origin.answer import Answer, Request, Step, steps_of
from lib.origin.connection import Connection
from lib.origin.flow import Bucket, Counts


class OriginServer:
    """Serves on a free port of 127.0.0.1 from its construction until `close`, with a thread for each connection.

    Several servers may share `total`, the limit of all together.
    """

    def __init__(self, *, tls: ssl.SSLContext | None = None, total: Bucket | None = None) -> None:
        self.tls = tls
        self.total = total or Bucket()
        self.per_connection_bps: float | None = None
        self.counts = Counts()
        self.stopping = threading.Event()
        self._connections: set[Connection] = set()
        self._lock = threading.Lock()
        self._wake, self._woken = socket.socketpair()
        self._listener = _bound(0)
        self.port: int = self._listener.getsockname()[1]
        self._listen()

    @property
    def address(self) -> str:
        """Return scheme, host and port, without a slash at the end."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    # What is answered -----------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Answer:
        raise NotImplementedError

    def respond(self, request: Request) -> Iterator[Step]:
        return steps_of(self.answer(request), request.method)

    # Counts ---------------------------------------------------------------------------------------------------------

    def sent(self, path: str | None = None) -> int:
        """Return the body bytes handed to sockets for this path, or for all, over all connections."""
        with self.counts.changed:
            return sum(self.counts.sent.values()) if path is None else self.counts.sent.get(_path(path), 0)

    def requests(self, path: str | None = None) -> list[Request]:
        """Return copies of the requests for this path, or of all, in the order of their arrival."""
        with self.counts.changed:
            return [replace(one) for one in self.counts.requests if path is None or one.path == _path(path)]

    @property
    def open_connections(self) -> int:
        return self.counts.open_connections

    @property
    def made_connections(self) -> int:
        """Return the number of all connections so far."""
        return self.counts.made_connections

    @property
    def peak_connections(self) -> int:
        return self.counts.peak_connections

    def wait_for(self, predicate: Callable[[], object], timeout: float = 30) -> None:
        """Wait until the predicate is true; check it after every change here, and ten times a second.

        Raises TimeoutError with the counts.
        """
        deadline = time.monotonic() + timeout
        with self.counts.changed:
            while not predicate():
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not so after {timeout} s; sent {dict(self.counts.sent)}, {self.requests()}")
                self.counts.changed.wait(0.1)

    # Rates and connections ------------------------------------------------------------------------------------------

    def limit(self, *, total_bps: float | None = None, per_connection_bps: float | None = None) -> None:
        """Limit the rates from now on, also on open connections; None is no limit."""
        self.total.set_rate(total_bps)
        with self._lock:
            self.per_connection_bps = per_connection_bps
            for connection in self._connections:
                connection.bucket.set_rate(per_connection_bps)

    def drop_connections(self) -> None:
        """Reset every open connection, as a host that crashes does."""
        with self._lock:
            for connection in self._connections:
                connection.reset()

    def refuse(self) -> None:
        """Refuse new connections until `listen_again`; open ones continue. The port stays bound."""
        self._stop_listening()
        self._listener = _bound(self.port)  # bound and not listening: connections are refused

    def listen_again(self) -> None:
        self._listen()

    def _listen(self) -> None:
        self._listener.listen(128)
        self._listener.setblocking(False)
        self._acceptor = threading.Thread(target=self._accept, daemon=True, name=f"origin-{self.port}")
        self._acceptor.start()

    def _stop_listening(self) -> None:
        if self._acceptor.is_alive():
            self._wake.send(b".")
            self._acceptor.join()
        self._listener.close()

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while self._woken not in [key.fileobj for key, _ in selector.select()]:
                with contextlib.suppress(OSError):  # the client disconnected before it was accepted
                    self._welcome(self._listener.accept()[0])
        self._woken.recv(1)

    def _welcome(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        # The head and the body are two writes; without this the second may wait 40 ms for the client's ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls:
            sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        connection = Connection(self, sock)
        with self._lock:
            self._connections.add(connection)
        self.counts.connection(+1)
        connection.thread.start()

    def forget(self, connection: Connection) -> None:
        with self._lock:
            self._connections.discard(connection)
        self.counts.connection(-1)

    def close(self) -> None:
        """Stop: end all connections and join all threads. May be called twice."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self._stop_listening()
        self.limit()  # a waiting sender continues, and finds its connection closed
        with self._lock:
            connections = list(self._connections)
            for connection in connections:
                connection.hang_up()
        for connection in connections:
            connection.thread.join()
        self._wake.close()
        self._woken.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _bound(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def _path(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"
