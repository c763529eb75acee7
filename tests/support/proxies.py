"""Proxies on loopback: HTTP (forwarding and tunnels, also over TLS) and SOCKS5, with or without a password."""

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
    """Forwards every request. `targets` are the requested targets in order, `connections` the number of connections.

    `login` is the required user and password, `challenges` are the methods of sign-in that it offers. `answer` is a
    status line that it sends to every request instead.
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

    def _start_thread(self, function: object, *arguments: object) -> None:
        thread = threading.Thread(target=function, args=arguments, daemon=True)  # type: ignore[arg-type]
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
        """Serve the requests of one connection: open a tunnel, or forward the requests one by one."""
        while head := _read_head(sock):
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
        credentials = b64encode(":".join(self.login).encode()).decode()
        return f"proxy-authorization: basic {credentials}".lower() in head.lower() and credentials in head

    def _forward(self, sock: socket.socket, head: str, target: str) -> None:
        parts = urlsplit(target)
        upstream = self._connect(parts.hostname or "", parts.port or 80)
        lines = [line for line in head.split("\r\n")[1:] if not line.lower().startswith(("proxy-", "connection:"))]
        request_line = f"{head.split(' ')[0]} {parts.path or '/'}{'?' + parts.query if parts.query else ''} HTTP/1.1"
        upstream.sendall("\r\n".join([request_line, "Connection: close", *lines]).encode())
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
    """A SOCKS5 proxy (RFC 1928) that sends its answers byte by byte. `refuses` is the reply to every CONNECT."""

    def __init__(self, *, login: tuple[str, str] | None = None, refuses: int = 0) -> None:
        super().__init__(login=login)
        self._refuses = refuses

    def serve_connection(self, sock: socket.socket) -> None:
        version, count = _read_exactly(sock, 2)
        if version != 5:
            return
        methods = _read_exactly(sock, count)
        method = 0 if self.login is None else 2 if 2 in methods else 0xFF
        self._send_bytewise(sock, bytes([5, method]))
        if method == 2 and not self._authenticate(sock):
            return
        _, _, _, kind = _read_exactly(sock, 4)
        host = _socks_host(sock, kind)
        port = int.from_bytes(_read_exactly(sock, 2), "big")
        self.targets.append(f"{host}:{port}")
        # The bytes of this address are line breaks: 10.10.13.10, port 2570.
        self._send_bytewise(sock, bytes([5, self._refuses, 0, 1, 10, 10, 13, 10, 10, 10]))
        if not self._refuses:
            self._tunnel(sock, self._connect(host, port))

    def _authenticate(self, sock: socket.socket) -> bool:
        user = _read_exactly(sock, _read_exactly(sock, 2)[1])
        password = _read_exactly(sock, _read_exactly(sock, 1)[0])
        accepted = (user.decode(), password.decode()) == self.login
        self._send_bytewise(sock, bytes([1, 0 if accepted else 1]))
        return accepted

    @staticmethod
    def _send_bytewise(sock: socket.socket, data: bytes) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data:
            sock.sendall(bytes([byte]))


def _socks_host(sock: socket.socket, address_type: int) -> str:
    if address_type == 3:
        return _read_exactly(sock, _read_exactly(sock, 1)[0]).decode()
    family, length = (socket.AF_INET, 4) if address_type == 1 else (socket.AF_INET6, 16)
    return socket.inet_ntop(family, _read_exactly(sock, length))


def _read_exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = sock.recv(count - len(data))
        if not chunk:
            raise ConnectionResetError
        data += chunk
    return data


def _read_head(sock: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(1)
        if not chunk:
            return ""
        data += chunk
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
    """Yield an address on loopback that refuses connections: bound, so that no program takes it, and not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"
