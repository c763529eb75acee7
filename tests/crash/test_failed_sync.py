"""A failed sync loses its bytes, and the next sync succeeds: the journal must never claim the lost bytes."""

import errno
import json
import os
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from support.app import app_of
from support.faults import Hold
from support.forgetful_disk import ForgetfulDisk
from support.models import gguf_pattern, one_file_model
from support.origin import Origin
from support.run_fetch import journaled_bytes

from flowhub_jobs.pieces.ranges import Ranges
from flowhub_jobs.transfer.hasher import Hasher
from flowhub_jobs.values.enums import State

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/self/fd to tell what a descriptor is")

MIB = 1 << 20
CONTENT = gguf_pattern(6 * MIB, 1)


class FailingSyncDisk(ForgetfulDisk):
    """After `at` bytes of `part`, its next sync fails; the transfer makes progress before the sync returns.

    `journaled` is set when the journal has the first 2 MiB, `syncing` when the sync is about to fail.
    """

    def __init__(self, patch: pytest.MonkeyPatch, part: Path, code: int, at: int) -> None:
        super().__init__(patch)
        self._part, self._code, self._at = part, code, at
        self.journaled, self.syncing = threading.Event(), threading.Event()
        self.claimed, self.false_claims = Ranges(), Ranges()
        self.at_sync, self.at_journal = self._fail, self._record_claims

    def _fail(self, name: str) -> None:
        if name != self._part.name or self._written_bytes() < self._at or self.syncing.is_set():
            return
        self.syncing.set()
        while not (self._written_bytes() > self._at or _main_thread_is_in("commit")):
            threading.Event().wait(0.01)
        raise OSError(self._code, os.strerror(self._code))

    def _written_bytes(self) -> int:
        status = self._part.stat()
        return self.written[status.st_dev, status.st_ino].total

    def _record_claims(self, line: bytes) -> None:
        for file in json.loads(line.partition(b" ")[2]).get("files", {}).values():
            self.claimed = Ranges((start, end) for start, end in file["kept"])
            for start, end in self.claimed:
                for gap in self.durable_bytes(self._part).gaps(start, end):
                    self.false_claims.add(*gap)
            if self.claimed.total >= 2 * MIB:
                self.journaled.set()


def _after(event: threading.Event, holder: type, name: str, patch: pytest.MonkeyPatch) -> None:
    """Make a method wait for the event: while the digest waits, the committer syncs the last bytes."""
    real = getattr(holder, name)

    def delayed(*arguments: Any) -> Any:
        assert event.wait(30)
        return real(*arguments)

    patch.setattr(holder, name, delayed)


def _main_thread_is_in(name: str) -> bool:
    frame: FrameType | None = sys._current_frames()[threading.main_thread().ident or 0]
    while frame is not None and frame.f_code.co_name != name:
        frame = frame.f_back
    return frame is not None


@pytest.mark.parametrize("code", [errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS], ids=errno.errorcode.get)
@pytest.mark.parametrize("at", [4 * MIB, 6 * MIB], ids=["more to come", "the last of all"])
def test_what_a_sync_failed_to_put_on_the_disk_is_never_claimed_and_is_fetched_again(
    home: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch, code: int, at: int
) -> None:
    """Even if the run has ended by then, and has verified each byte."""
    monkeypatch.setenv("FLOWHUB_CONNECTIONS_PER_HOST", "1")
    monkeypatch.setenv("FLOWHUB_LOOK_AGAIN_S", "0.01")
    url = origin.serve("/m.gguf", CONTENT)
    with app_of(home, one_file_model("m", url, CONTENT)) as app:
        job, partial = app.enqueue("m"), app.partial("m")
        partial.mkdir(parents=True)  # an empty partial is used: so the path of the part is known
        part = partial / "files" / "m.gguf"
        disk = FailingSyncDisk(monkeypatch, part, code, at)
        holds = [Hold(after=2 * MIB, event=disk.journaled).once()]
        if at < CONTENT.size:
            holds.append(Hold(after=at, event=disk.syncing).once())
        origin.break_with(*holds, path="/m.gguf")
        _after(disk.syncing, Hasher, "_finish", monkeypatch)
        app.run_next_job()
        assert disk.syncing.is_set()
        assert 2 * MIB <= journaled_bytes(partial) < at
        assert not disk.false_claims

        if app.job(job).state is State.FAILED:
            app.session.requeue(job, "retry")
        app.until(lambda: app.job(job).reason is None, "the end of its wait")
        app.run_next_job()
        assert app.job(job).state is State.COMPLETED
        assert list(disk.durable_bytes(app.store / "m.gguf")) == [(0, CONTENT.size)]
        assert not disk.false_claims
