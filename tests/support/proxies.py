"""Proxies on loopback: HTTP (forwards and tunnels, over TLS as well), and SOCKS5; with a password or without."""

import contextlib
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit


class LoopbackProxy:
    """Forwards every request. `targets` has the targets in order, `connections` how many were made to it.

    `login` is the user and password that it wants, `challenges` the sign-ins that it then offers. `answer` is a status
    line that it gives to every request instead.
    """

    def __init__(
        self,
        *,
        login: tuple[str, str] | None = None,
        challenges: Sequence[str] = (),
        answer: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.login, self.answer, self._tls = login, answer, tls
        self._challenges = "".join(f"Proxy-Authenticate: {challenge}\r\n" for challenge in challenges)
        self.targets: list[str] = []
        self.connections = 0
        self._open: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for sock in list(self._open):
            _close_socket(sock)
        for thread in list(self._threads):
            thread.join(10)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            self._start_thread(self._serve, sock)

    def _start_thread(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _serve(self, sock: socket.socket) -> None:
        self._open.append(sock)
        with contextlib.suppress(OSError, ValueError, IndexError):
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                self._open.append(sock)
            self.serve_connection(sock)
        _close_socket(sock)

    def serve_connection(self, sock: socket.socket) -> None:
        """Serve the requests of one connection: a tunnel, or one request that is forwarded after the other."""
        while head := _head(sock):
            method, target, *_ = head.split(" ")
            if self.answer is not None:
                sock.sendall(f"HTTP/1.1 {self.answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
                return
            if not self._is_authorized(head):
                refusal = f"HTTP/1.1 407 Proxy Authentication Required\r\n{self._challenges}Content-Length: 0\r\n\r\n"
                sock.sendall(refusal.encode())
                continue
            self.targets.append(target)
            if method == "CONNECT":
                host, _, port = target.rpartition(":")
                upstream = self._connect(host, int(port))
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._tunnel(sock, upstream)
                return
            self._forward(sock, head, target)

    def _is_authorized(self, head: str) -> bool:
        if self.login is None:
            return True
        wanted = b64encode(":".join(self.login).encode()).decode()
        return f"proxy-authorization: basic {wanted}".lower() in head.lower() and wanted in head

    def _forward(self, sock: socket.socket, head: str, target: str) -> None:
        parts = urlsplit(target)
        upstream = self._connect(parts.hostname or "", parts.port or 80)
        lines = [line for line in head.split("\r\n")[1:] if not line.lower().startswith(("proxy-", "connection:"))]
        first = f"{head.split(' ')[0]} {parts.path or '/'}{'?' + parts.query if parts.query else ''} HTTP/1.1"
        upstream.sendall("\r\n".join([first, "Connection: close", *lines]).encode())
        while data := upstream.recv(65536):
            sock.sendall(data)
        _close_socket(upstream)
        _close_socket(sock)

    def _connect(self, host: str, port: int) -> socket.socket:
        upstream = socket.create_connection((host.strip("[]"), port))
        self._open.append(upstream)
        return upstream

    def _tunnel(self, sock: socket.socket, upstream: socket.socket) -> None:
        self._start_thread(_copy_bytes, upstream, sock)
        _copy_bytes(sock, upstream)


class SocksProxy(LoopbackProxy):
    """SOCKS5 (RFC 1928), which sends its answers a byte at a time. `refuses` is the reply to every CONNECT."""

    def __init__(self, *, login: tuple[str, str] | None = None, refuses: int = 0) -> None:
        super().__init__(login=login)
        self._refuses = refuses

    def serve_connection(self, sock: socket.socket) -> None:
        version, count = _exactly(sock, 2)
        if version != 5:
            return
        methods = _exactly(sock, count)
        method = 0 if self.login is None else 2 if 2 in methods else 0xFF
        self._send_bytewise(sock, bytes([5, method]))
        if method == 2 and not self._authenticate(sock):
            return
        _, _, _, kind = _exactly(sock, 4)
        host = _socks_host(sock, kind)
        port = int.from_bytes(_exactly(sock, 2), "big")
        self.targets.append(f"{host}:{port}")
        # An address with line feeds in it: 10.10.13.10, at a port of 2570.
        self._send_bytewise(sock, bytes([5, self._refuses, 0, 1, 10, 10, 13, 10, 10, 10]))
        if not self._refuses:
            self._tunnel(sock, self._connect(host, port))

    def _authenticate(self, sock: socket.socket) -> bool:
        user = _exactly(sock, _exactly(sock, 2)[1])
        password = _exactly(sock, _exactly(sock, 1)[0])
        right = (user.decode(), password.decode()) == self.login
        self._send_bytewise(sock, bytes([1, 0 if right else 1]))
        return right

    @staticmethod
    def _send_bytewise(sock: socket.socket, data: bytes) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            sock.sendall(bytes([byte]))


def _socks_host(sock: socket.socket, kind: int) -> str:
    if kind == 3:
        return _exactly(sock, _exactly(sock, 1)[0]).decode()
    family, length = (socket.AF_INET, 4) if kind == 1 else (socket.AF_INET6, 16)
    return socket.inet_ntop(family, _exactly(sock, length))


def _exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise ConnectionResetError
        data += more
    return data


def _head(sock: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(1)
        if not more:
            return ""
        data += more
    return data.decode("latin-1")


def _copy_bytes(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    _close_socket(source)
    _close_socket(target)


def _close_socket(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    with contextlib.suppress(OSError):
        sock.close()


@contextlib.contextmanager
def refusing_address() -> Iterator[str]:
    """A place on loopback that refuses: bound, so that no other program gets it, and not listened to."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"
