"""A transfer run step by step: the real state, hasher, committer and journal over a real partial; no thread, no socket.

A test calls the steps of fetchers (`pool`) itself, in any order. Time stands still until the test changes `now`.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from httpx import Headers

from flowhub_jobs.errors import SourceChanged, WrongRange
from flowhub_jobs.pieces.ranges import MIB, Range, Ranges
from flowhub_jobs.settings import HUB
from flowhub_jobs.transfer import file_state, hasher, range_scheduler
from flowhub_jobs.transfer import state as transfer_state
from flowhub_jobs.transfer.committer import Committer
from flowhub_jobs.transfer.file_state import FileState, RangeTask
from flowhub_jobs.transfer.hasher import Hasher
from flowhub_jobs.transfer.http.response_headers import HubMetadata, parse_body_range
from flowhub_jobs.transfer.open_file_limit import open_part
from flowhub_jobs.transfer.options import CancelToken
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.range_scheduler import next_task
from flowhub_jobs.transfer.response_acceptance import accept_end, accept_response, check_hub
from flowhub_jobs.transfer.resume import resume_partial
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.artifacts import Artifact
from support.forgetful_disk import ForgetfulDisk

SHARE_MIN = 100_000  # bytes


class NothingToHash(BaseException):
    """Replaces the hasher's wait. No Exception, since the hasher would handle that as an error of its own."""


def _raise_nothing_to_hash(timeout: float | None = None) -> bool:
    raise NothingToHash


@dataclass(frozen=True)
class WireAnswer:
    """An answer on the wire: `body` begins at `start` of the file. `location` is the target of a redirect."""

    status: int
    headers: dict[str, str]
    start: int
    body: memoryview
    hub: HubMetadata | None = None
    location: str | None = None


class Fetcher:
    """One connection: its task, its answer, and the number of received bytes."""

    def __init__(self, task: RangeTask) -> None:
        self.task = task
        self.requested: Range = (task.start, task.end)
        header, self.if_range = task.request_headers_locked()
        self.ranged, self.known = header is not None, task.state.current_address.location
        self.answer: WireAnswer | None = None
        self.accepted = False
        self.received = 0


class SteppedTransfer:
    """One run over a partial, on a disk that forgets unsynced bytes."""

    def __init__(self, artifact: Artifact, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.fetchers: list[Fetcher] = []
        self._patch = pytest.MonkeyPatch()
        self.disk = ForgetfulDisk(self._patch)
        for path in self._parts():
            status = path.stat()
            self.disk.durable[status.st_dev, status.st_ino].add(0, status.st_size)
        self.now = 1000.0
        clock = SimpleNamespace(monotonic=lambda: self.now)
        for module in (range_scheduler, transfer_state, hasher):
            self._patch.setattr(module, "time", clock)
        # Small files have several ranges here, and are worth sharing.
        self._patch.setattr(range_scheduler, "FIRST_RANGE", MIB)
        self._patch.setattr(file_state, "SHARE_MIN", SHARE_MIN)
        self.transfer = TransferState(artifact, folder, HUB)
        self._patch.setattr(self.transfer.hash_ready, "wait", _raise_nothing_to_hash)
        self.log = resume_partial(self.transfer, "job", 0)
        self.committer = Committer(self.transfer, self.log, "job", CancelToken())
        self._hasher = Hasher(self.transfer)

    def _parts(self) -> list[Path]:
        return [path for path in self.folder.glob("files*/**/*") if path.is_file()]

    def start_fetcher(self) -> Fetcher | None:
        """Start a fetcher with the next range; return None if there is no range."""
        with self.transfer.changed:
            task = next_task(self.transfer)
        if task is None:
            return None
        task.started_at = self.now
        fetcher = Fetcher(task)
        self.fetchers.append(fetcher)
        open_part(self.transfer, task)
        return fetcher

    def accept_answer(self, fetcher: Fetcher) -> None:
        """Check the answer against the known facts; a contradiction ends the fetcher."""
        answer, task = fetcher.answer, fetcher.task
        assert answer is not None
        try:
            if answer.hub is not None and answer.location is not None:
                check_hub(self.transfer, task, answer.hub)
            response = parse_body_range(
                answer.status, Headers(answer.headers), fetcher.requested, "h.example", ranged=fetcher.ranged
            )
            accept_response(self.transfer, task, response, answer.hub, answer.location)
            fetcher.accepted = True
        except (SourceChanged, WrongRange):
            self.drop(fetcher)

    def deliver(self, fetcher: Fetcher, count: int, flip: int | None = None) -> Range | None:
        """Receive `count` bytes of the body, up to its end; return the range that was kept.

        `flip` is the index of a byte to corrupt.
        """
        task, answer = fetcher.task, fetcher.answer
        assert answer is not None
        if task.written_to >= task.end:  # another fetcher has taken over the rest
            self._end(fetcher)
            return None
        at = answer.start + fetcher.received
        chunk = bytearray(answer.body[fetcher.received : fetcher.received + count])
        if flip is not None and chunk:
            chunk[flip % len(chunk)] ^= 0x55
        fetcher.received += len(chunk)
        task.bytes_received += len(chunk)
        assert at + len(chunk) <= task.response_end
        fresh = memoryview(chunk)[max(0, task.reserved_to - at) :]
        fresh = fresh[: self.transfer.reserve(task, len(fresh))]
        kept = self._keep(fetcher, fresh) if fresh else None
        if fetcher in self.fetchers and (fetcher.received == len(answer.body) or task.written_to >= task.end):
            self._end(fetcher)
        return kept

    def _end(self, fetcher: Fetcher) -> None:
        with contextlib.suppress(WrongRange):  # perhaps only the end of a part: the next request has no range
            accept_end(self.transfer, fetcher.task)
        self.drop(fetcher)

    def _keep(self, fetcher: Fetcher, data: memoryview) -> Range | None:
        task = fetcher.task
        begin = task.written_to
        assert task.part is not None
        task.part.write(data, begin)
        try:
            self.transfer.note_written(task, data, data)
        except SourceChanged:
            self.drop(fetcher)
            return None
        return begin, begin + len(data)

    def drop(self, fetcher: Fetcher) -> None:
        """End a connection, as a fetcher does after a fault."""
        self.fetchers.remove(fetcher)
        if fetcher.task.bytes_written == 0:
            fetcher.task.state.current_address.location = None
        self.transfer.release(fetcher.task)

    def hash(self) -> None:
        """Run the hasher until it has nothing to do."""
        with contextlib.suppress(NothingToHash):
            self._hasher.run()

    def stop(self) -> None:
        """Stop the run, with a last commit."""
        self.transfer.end()
        self.committer.commit_clean()
        self._close()

    def crash(self, lost: str) -> None:
        """End the run as a power failure does. `lost` are the unsynced bytes to lose: "nothing", "all", "ends"."""
        self._close()
        # A byte in the journal that was written again since is the old byte or the new one, and these are equal.
        journaled = {self.folder / file.part: file.kept for file in journal.load(self.folder).files.values()}
        for path in self._parts():
            status = path.stat()
            durable = Ranges([*self.disk.durable[status.st_dev, status.st_ino], *journaled.get(path, ())])
            self._revert_bytes(path, durable, lost)

    @staticmethod
    def _revert_bytes(path: Path, durable: Ranges, lost: str) -> None:
        size = path.stat().st_size
        with path.open("r+b") as file:
            for start, end in list(durable.gaps(0, size)) if lost == "all" else []:
                file.seek(start)
                file.write(bytes(end - start))
            if lost == "ends":
                file.truncate(max((end for _, end in durable), default=0))

    def _close(self) -> None:
        self.fetchers.clear()
        self.log.close()
        self.transfer.close()
        self._patch.undo()

    def on_disk(self, state: FileState, start: int, end: int) -> bytes:
        """Return the bytes of a file's part as they are on disk."""
        assert state.disk.part is not None
        buffer = bytearray(end - start)
        count = state.disk.part.read(memoryview(buffer), start)
        return bytes(buffer[:count])
