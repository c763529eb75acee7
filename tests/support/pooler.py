"""A pooler in transaction mode on loopback, as PgBouncer is: each transaction gets any of a few server sessions.

Source: the PostgreSQL documentation, "Frontend/Backend Protocol", and PgBouncer's (pgbouncer.org/features.html).
"""

import contextlib
import queue
import socket
import struct
import threading
from types import TracebackType
from typing import Self
from urllib.parse import SplitResult, urlsplit

SESSIONS = 3
_STARTUP, _NO_ENCRYPTION = 196608, (80877103, 80877104)  # protocol 3.0; requests for TLS and for GSSAPI
_AUTHENTICATED = b"R" + struct.pack("!ii", 8, 0)
_READY = b"Z" + struct.pack("!i", 5) + b"I"
_ENDS_BATCH = (b"Q", b"S")  # a simple query; Sync


class TransactionPooler:
    """`url` is the database of `server_url` through the pooler. The pooler drops notifications.

    It does not authenticate clients, and the server has to trust it.
    """

    def __init__(self, server_url: str) -> None:
        self._target = urlsplit(server_url)
        self._idle: queue.Queue[_Session] = queue.Queue()
        self._open: list[socket.socket] = []
        self._closed = False
        self.transactions = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = f"postgresql://{self._target.username}@127.0.0.1:{port}{self._target.path}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        for _ in range(SESSIONS):
            self._idle.put(self._session())
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(10)

    def _session(self) -> "_Session":
        session = _Session(self._target)
        self._open.append(session.sock)
        return session

    def _accept(self) -> None:
        while not self._closed:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(sock)
            thread = threading.Thread(target=self._serve, args=(sock,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        session: _Session | None = None
        with contextlib.suppress(OSError, EOFError), client:
            if not self._handshake(client):
                return
            batch = b""
            try:
                while True:
                    kind, message = _read_message(client)
                    if kind == b"X":
                        break
                    batch += message
                    if kind in _ENDS_BATCH:
                        if session is None:
                            session, self.transactions = self._idle.get(timeout=60), self.transactions + 1
                        in_transaction = session.exchange(batch, client)
                        batch = b""
                        if not in_transaction:
                            self._idle.put(session)
                            session = None
            finally:
                if session is not None and not self._closed:  # the server rolls back the open transaction
                    session.sock.close()
                    self._idle.put(self._session())

    def _handshake(self, client: socket.socket) -> bool:
        while True:
            length, code = struct.unpack("!ii", _read_exactly(client, 8))
            _read_exactly(client, length - 8)
            if code == _STARTUP:
                break
            if code not in _NO_ENCRYPTION:  # a request to cancel
                return False
            client.sendall(b"N")
        session = self._idle.get(timeout=60)
        self._idle.put(session)
        key_data = b"K" + struct.pack("!iii", 12, 1, 1)  # a key of no server process
        client.sendall(_AUTHENTICATED + session.parameters + key_data + _READY)
        return True


class _Session:
    """A session of the server."""

    def __init__(self, target: SplitResult) -> None:
        self.sock = socket.create_connection((target.hostname, target.port))
        self.parameters = b""  # the messages that tell a client the server's settings
        names = ("user", target.username, "database", target.path.lstrip("/"))
        words = b"".join(f"{name}\0".encode() for name in names) + b"\0"
        self.sock.sendall(struct.pack("!ii", 8 + len(words), _STARTUP) + words)
        while True:
            kind, message = _read_message(self.sock)
            if kind == b"S":
                self.parameters += message
            if kind == b"E":
                raise RuntimeError(f"the server refuses the pooler: {message!r}")
            if kind == b"Z":
                return

    def exchange(self, batch: bytes, client: socket.socket) -> bool:
        """Forward a client's messages and the answers; return whether its transaction is still open."""
        self.sock.sendall(batch)
        while True:
            kind, message = _read_message(self.sock)
            if kind != b"A":  # a notification
                client.sendall(message)
            if kind == b"Z":
                return message[-1:] != b"I"


def _read_message(sock: socket.socket) -> tuple[bytes, bytes]:
    """Return the kind of the next message, and the message with its head. Raises EOFError."""
    head = _read_exactly(sock, 5)
    return head[:1], head + _read_exactly(sock, struct.unpack("!i", head[1:])[0] - 4)


def _read_exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = sock.recv(count - len(data))
        if not chunk:
            raise EOFError
        data += chunk
    return data
