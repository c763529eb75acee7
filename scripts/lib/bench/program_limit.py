"""The limit: no Python can fetch, hash and keep a file faster. `program_limit.py URL NAME SHA256 BUFFER_KIB SYNC_MIB`.

One connection, one request, no checks: a thread fills a ring of buffers from the socket and writes each at its offset,
another feeds the same buffers to SHA-256; then fdatasync and rename. A third, unless SYNC_MIB is 0, syncs the bytes so
far, so that the last fdatasync has little to do. It handles no fault, and cannot resume.
"""

import hashlib
import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from urllib.parse import urlsplit

BUFFERS = 8


def connected(scheme: str, host: str, port: int) -> socket.socket:
    sock = socket.create_connection((host, port))
    return ssl.create_default_context().wrap_socket(sock, server_hostname=host) if scheme == "https" else sock


def body_begun(sock: socket.socket, host: str, path: str) -> tuple[bytes, int]:
    """Request the file; return the part of the body that came with the head, and the length of the body."""
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(65536)
    head, _, rest = data.partition(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return rest, int(length.split(b":")[1])


def fill(sock: socket.socket, view: memoryview) -> None:
    """Fill the buffer: in one call if the system can, record by record over TLS."""
    flags = 0 if isinstance(sock, ssl.SSLSocket) else socket.MSG_WAITALL
    at = 0
    while at < len(view):
        count = sock.recv_into(view[at:], 0, flags)
        if not count:
            sys.exit("the server closed the connection too early")
        at += count


def in_thread(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def keep(fd: int, name: str, digest: str, expected: str) -> None:
    """Sync the written bytes, and rename the file."""
    os.fdatasync(fd)
    os.rename(f"{name}.part", name)
    if digest != expected:
        sys.exit(f"the bytes are wrong: {digest}")


def main() -> None:
    url, name, expected, buffer_kib, sync_mib = sys.argv[1:]
    parts = urlsplit(url)
    fd = os.open(f"{name}.part", os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
    full: SimpleQueue[memoryview | None] = SimpleQueue()
    free: SimpleQueue[memoryview] = SimpleQueue()
    due: SimpleQueue[bool] = SimpleQueue()
    for _ in range(BUFFERS):
        free.put(memoryview(bytearray(int(buffer_kib) << 10)))
    digest = hashlib.sha256()

    def hash_what_is_full() -> None:
        while (view := full.get()) is not None:
            digest.update(view)
            free.put(memoryview(view.obj))

    def sync_when_due() -> None:
        while due.get():
            os.fdatasync(fd)

    threads = [in_thread(hash_what_is_full), in_thread(sync_when_due)]
    sock = connected(parts.scheme, parts.hostname or "", parts.port or 0)
    rest, length = body_begun(sock, parts.netloc, parts.path)
    at, step = 0, int(sync_mib) << 20
    while at < length:
        view = free.get()[: length - at]
        view[: len(rest)] = rest
        fill(sock, view[len(rest) :])
        rest = b""
        os.pwrite(fd, view, at)
        full.put(view)
        if step and (at + len(view)) // step > at // step:
            due.put(True)
        at += len(view)
    full.put(None)
    due.put(False)
    for thread in threads:
        thread.join()
    keep(fd, name, digest.hexdigest(), expected)


if __name__ == "__main__":
    main()
