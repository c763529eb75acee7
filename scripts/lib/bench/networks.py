"""Servers and lines beyond nginx: with a rate limit, far away, with counts, or with redirects as on the Hub."""

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from lib.bench.files import Served
from lib.bench.processes import BenchFailed
from lib.origin.answer import Answer, Request, content_answer, text_answer
from lib.origin.content import File
from lib.origin.server import OriginServer
from lib.processes import stopped_after

SLOW_LINE = Path(__file__).with_name("slow_line.py")


@contextlib.contextmanager
def slow_line(to_port: int, rate: str, rtt_s: float = 0.0, habits: Sequence[str] = ()) -> Iterator[str]:
    """Run slow_line.py in front of a port while the block runs; yield its address.

    `habits` are further options of it.
    """
    command = [sys.executable, str(SLOW_LINE), "--to", str(to_port), "--rate", rate, "--rtt", str(rtt_s), *habits]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    with stopped_after(process), process.stdout:
        port = process.stdout.readline().strip()
        if not port:
            raise BenchFailed("the slow line ended by itself; what it said stands above")
        yield f"http://127.0.0.1:{int(port)}"


class CountingOrigin(OriginServer):
    """Serves the files under `root` by their paths, counts the sent bytes, and can be limited to a rate at any time.

    Bytes in socket buffers count as sent, which is megabytes by default: `send_buffer` (bytes) keeps that small.
    """

    def __init__(self, root: Path, *, send_buffer: int | None = None) -> None:
        super().__init__()
        self._root, self._send_buffer = root, send_buffer

    def _welcome(self, sock: socket.socket) -> None:
        if self._send_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer)
        super()._welcome(sock)

    def answer(self, request: Request) -> Answer:
        content = File(self._root / request.path.lstrip("/"))
        return content_answer(request, content, content.etag, {})


def sent_over_time(origin: CountingOrigin, seconds: float, step_s: float = 0.1) -> list[tuple[float, int]]:
    """Return samples of (time in s, bytes sent so far) every `step_s`."""
    began = time.monotonic()
    samples = [(0.0, origin.sent())]
    while samples[-1][0] < seconds:
        time.sleep(max(0.0, began + len(samples) * step_s - time.monotonic()))
        samples.append((time.monotonic() - began, origin.sent()))
    return samples


class HubFront(OriginServer):
    """Answers for one file as the Hub does, and redirects requests of its bytes to another server."""

    def __init__(self, base: str, file: Served) -> None:
        super().__init__()
        self._target, self._file = f"{base}/{file.path}", file

    def answer(self, request: Request) -> Answer:
        if "/resolve/" not in request.path:
            return text_answer(404, "Not Found")
        moved = text_answer(302, "Found", Location=self._target, Accept_Ranges="bytes", X_Repo_Commit="1" * 40)
        linked = f'"{self._file.sha256}"'
        return moved.with_headers(X_Linked_ETag=linked, X_Linked_Size=str(self._file.size), ETag=linked)
