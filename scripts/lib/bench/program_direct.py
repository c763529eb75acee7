"""The limit past the page cache: the same bare loop with O_DIRECT. `program_direct.py URL NAME SHA256 BUFFER_KIB`.

One thread fills a ring of buffers from the socket; two others get every buffer, one hashes it, one writes it. The disk
must accept O_DIRECT, as ext4 and XFS do. No aim refers to it: it shows what more is possible.
"""

import hashlib
import mmap
import os
import sys
import threading
from collections.abc import Callable
from queue import SimpleQueue
from urllib.parse import urlsplit

from program_limit import body_begun, connected, fill, in_thread, keep

BUFFERS = 10
PAGE = 4096


class Buffer:
    """Page-aligned memory; `view` is the used part, from byte `at` of the file, with `users` threads using it."""

    def __init__(self, size: int) -> None:
        self.memory = memoryview(mmap.mmap(-1, size))
        self.view, self.at, self.users = self.memory, 0, 0


class User:
    """A thread that processes every buffer that it gets, then releases it."""

    def __init__(self, work: Callable[[Buffer], object], let_go: Callable[[Buffer], None]) -> None:
        self.queue: SimpleQueue[Buffer | None] = SimpleQueue()
        self._work, self._let_go = work, let_go
        self.thread = in_thread(self._run)

    def _run(self) -> None:
        while (buffer := self.queue.get()) is not None:
            self._work(buffer)
            self._let_go(buffer)


def main() -> None:
    url, name, expected, buffer_kib = sys.argv[1:]
    parts = urlsplit(url)
    fd = os.open(f"{name}.part", os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_DIRECT, 0o644)
    cached = os.open(f"{name}.part", os.O_WRONLY)  # for the last bytes, less than a page
    free: SimpleQueue[Buffer] = SimpleQueue()
    for _ in range(BUFFERS):
        free.put(Buffer(int(buffer_kib) << 10))
    digest, lock = hashlib.sha256(), threading.Lock()

    def let_go(buffer: Buffer) -> None:
        with lock:
            buffer.users -= 1
            unused = buffer.users == 0
        if unused:
            free.put(buffer)

    def write(buffer: Buffer) -> None:
        os.pwrite(cached if len(buffer.view) % PAGE else fd, buffer.view, buffer.at)

    users = [User(lambda buffer: digest.update(buffer.view), let_go), User(write, let_go)]
    sock = connected(parts.scheme, parts.hostname or "", parts.port or 0)
    rest, length = body_begun(sock, parts.netloc, parts.path)
    at = 0
    while at < length:
        buffer = free.get()
        buffer.view, buffer.at, buffer.users = buffer.memory[: length - at], at, len(users)
        buffer.view[: len(rest)] = rest
        fill(sock, buffer.view[len(rest) :])
        rest = b""
        at += len(buffer.view)
        for user in users:
            user.queue.put(buffer)
    for user in users:
        user.queue.put(None)
        user.thread.join()
    keep(cached, name, digest.hexdigest(), expected)


if __name__ == "__main__":
    main()
