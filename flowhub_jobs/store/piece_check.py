"""Reads finished files again, several stretches in parallel, and finds the pieces that changed.

Where the digest states at piece boundaries are known, each piece is hashed from the state before it, and must end in
the state after it: if all do, the whole has its digest. So a file can be read in parallel, and a damaged piece is
located. Where they are unknown, the file is hashed from front to back, and they are learned.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from flowhub_jobs.errors import StorageFailed
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.pieces.ranges import MIB, Range, Ranges, piece_size
from flowhub_jobs.pieces.resumable_sha256 import PieceDigest, Sha256, can_save, pieces_of, states_of
from flowhub_jobs.system import let_go_of_cache, read_once
from flowhub_jobs.values.artifacts import Pieces

READ = MIB
STRETCH = 64 * MIB
READ_THREADS = min(4, os.cpu_count() or 1)
TELL_S = 0.5


@dataclass(frozen=True, slots=True)
class FileToCheck:
    """A file as it was installed: `bytes` long, of this digest."""

    path: Path
    bytes: int
    sha256: str
    pieces: Pieces | None = None


@dataclass(slots=True)
class CheckResult:
    """Result for one file: the ranges that differ, its length now, and its mtime when it was read.

    `pieces` are learned, if the file is whole and they were unknown.
    """

    expected: FileToCheck
    bytes: int
    mtime_ns: int
    bad: Ranges = field(default_factory=Ranges)
    pieces: Pieces | None = None

    @property
    def good(self) -> bool:
        return not len(self.bad) and self.bytes == self.expected.bytes


def check_files(
    files: Sequence[FileToCheck], may_continue: Callable[[], None], on_read: Callable[[list[int]], None]
) -> list[CheckResult]:
    """Return the results of these files, in their order; a file that is gone is bad from end to end.

    `may_continue` is called before each read, in several threads, and may raise. `on_read` gets the bytes read by file,
    twice a second. Raises StorageFailed for a disk that does not read.
    """
    results = [CheckResult(file, *_stamp(file.path)) for file in files]
    counter = _ReadCounter(len(files), may_continue)
    with ThreadPoolExecutor(READ_THREADS, thread_name_prefix="recheck") as pool:
        futures = [
            pool.submit(work) for number, result in enumerate(results) for work in _check_tasks(result, number, counter)
        ]
        _await(futures, lambda: on_read(counter.so_far()), counter)
    for result in results:
        if _stamp(result.expected.path) != (result.bytes, result.mtime_ns):
            hint = "Verify it again when no program writes to it."
            raise StorageFailed(f"{result.expected.path} was written to while it was read.", hint=hint)
    return results


class _ReadCounter:
    """Bytes read of each file, and the signal to stop reading."""

    def __init__(self, files: int, may_continue: Callable[[], None]) -> None:
        self._bytes, self._lock, self._may_continue = [0] * files, Lock(), may_continue
        self.stopped = False

    def add_read(self, number: int, count: int) -> None:
        self._may_continue()
        with self._lock:
            self._bytes[number] += count

    def add_bad(self, result: CheckResult, ranges: Sequence[Range]) -> None:
        with self._lock:
            for start, end in ranges:
                result.bad.add(start, end)

    def so_far(self) -> list[int]:
        with self._lock:
            return list(self._bytes)


def _await(futures: Sequence["Future[None]"], on_read: Callable[[], None], counter: _ReadCounter) -> None:
    """Wait for all; the first that fails ends the others, and is raised."""
    try:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, TELL_S, FIRST_EXCEPTION)
            for future in done:
                future.result()
            on_read()
    except BaseException:
        counter.stopped = True
        for future in futures:
            future.cancel()
        raise


def _stamp(path: Path) -> tuple[int, int]:
    """Return the size and mtime of a file; zeros if it is gone."""
    with disk_errors(path):
        try:
            status = path.stat()
        except FileNotFoundError:
            return 0, 0
        return status.st_size, status.st_mtime_ns


def _check_tasks(result: CheckResult, number: int, counter: _ReadCounter) -> Iterator[Callable[[], None]]:
    """Yield the tasks for one file, which may run in parallel."""
    file = result.expected
    result.bad.add(result.bytes, file.bytes)  # missing at the end
    if file.pieces is None or not can_save():
        yield lambda: _front_to_back(result, number, counter)
        return
    states, piece = states_of(file.pieces), file.pieces.piece
    for start in range(0, min(result.bytes, file.bytes), _stretch(piece)):
        yield lambda start=start: _stretch_of(result, number, counter, states, piece, start)  # type: ignore[misc]


def _stretch(piece: int) -> int:
    return max(1, STRETCH // piece) * piece


def _stretch_of(
    result: CheckResult, number: int, counter: _ReadCounter, states: dict[int, str], piece: int, start: int
) -> None:
    """Hash the pieces of one stretch, each from the state before it to the state after it."""
    end = min(start + _stretch(piece), result.expected.bytes)
    digest = Sha256(states.get(start // piece))
    bad: list[Range] = []
    with disk_errors(result.expected.path), result.expected.path.open("rb", buffering=0) as file:
        let_go_of_cache(file.fileno(), start, end)  # the disk is verified, not the page cache
        for first in range(start, end, piece):
            last = min(first + piece, end)
            _hash(digest, file.fileno(), first, last, number, counter)
            if not _ends_well(result.expected, digest, states, piece, last):
                bad.append((first, last))
                digest = Sha256(states.get(last // piece))
    counter.add_bad(result, bad)


def _ends_well(file: FileToCheck, digest: Sha256, states: dict[int, str], piece: int, at: int) -> bool:
    digest_matches = at != file.bytes or digest.hexdigest() == file.sha256
    return digest_matches and (at % piece != 0 or digest.save() == states.get(at // piece))


def _front_to_back(result: CheckResult, number: int, counter: _ReadCounter) -> None:
    file_to_check, piece = result.expected, piece_size(result.expected.bytes)
    digest = Sha256()
    pieces = PieceDigest(digest, 0, piece)
    if result.bytes:
        with disk_errors(file_to_check.path), file_to_check.path.open("rb", buffering=0) as file:
            let_go_of_cache(file.fileno(), 0, result.bytes)  # as above
            for view in _views(file.fileno(), 0, result.bytes, number, counter):
                pieces.update(view)
    if digest.hexdigest() == file_to_check.sha256:
        result.pieces = pieces_of(pieces.states, piece, file_to_check.bytes)
    else:
        counter.add_bad(result, [(0, file_to_check.bytes)])  # nothing tells which part


def _hash(digest: Sha256, fd: int, start: int, end: int, number: int, counter: _ReadCounter) -> None:
    for view in _views(fd, start, end, number, counter):
        digest.update(view)


def _views(fd: int, start: int, end: int, number: int, counter: _ReadCounter) -> Iterator[memoryview]:
    """Yield the bytes of a range; beyond the file's end there are none, so that the digest differs."""
    buffer, at = bytearray(min(READ, end - start)), start
    while at < end and not counter.stopped:
        view = memoryview(buffer)[: min(READ, end - at)]
        count = read_once(fd, view, at)
        if not count:
            return
        counter.add_read(number, count)
        yield view[:count]
        at += count
