"""Reads finished files once more, several stretches at once, and finds the pieces that are not what they were.

Where the states at the ends of a file's pieces are kept, each piece is hashed from the state before it, and must end in
the state behind it: if all do, the whole has its digest. So a file may be read from many places at once, and a piece
that differs is found by itself. Where they are not, the file is hashed from front to back, and they are learned.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from flowhub_jobs.errors import StorageFailed
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.pieces.digest import PieceDigest, Sha256, can_save, pieces_of, states_of
from flowhub_jobs.pieces.ranges import MIB, Range, Ranges, piece_size
from flowhub_jobs.system import let_go_of_cache, read_once
from flowhub_jobs.values.artifacts import Pieces

READ = MIB
STRETCH = 64 * MIB
AT_ONCE = min(4, os.cpu_count() or 1)
TELL_S = 0.5


@dataclass(frozen=True, slots=True)
class Known:
    """A file as it was installed: `bytes` long, of this digest."""

    path: Path
    bytes: int
    sha256: str
    pieces: Pieces | None = None


@dataclass(slots=True)
class CheckResult:
    """How a file stands: what of it differs, how long it is now, and the time that it bore when it was read.

    `pieces` were learned, if it is whole.
    """

    known: Known
    bytes: int
    mtime_ns: int
    bad: Ranges = field(default_factory=Ranges)
    pieces: Pieces | None = None

    @property
    def good(self) -> bool:
        return not len(self.bad) and self.bytes == self.known.bytes


def recheck(
    files: Sequence[Known], may_go_on: Callable[[], None], tell: Callable[[list[int]], None]
) -> list[CheckResult]:
    """Return how these files stand, in their order; a file that is gone is bad from end to end.

    `may_go_on` is asked before each read, in several threads, and may raise. `tell` gets the bytes that were read of
    each file, twice a second. Raises StorageFailed for a disk that does not read.
    """
    looked = [CheckResult(known, *_stamp(known.path)) for known in files]
    board = _Read(len(files), may_go_on)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="recheck") as pool:
        works = [pool.submit(work) for number, one in enumerate(looked) for work in _works(one, number, board)]
        _await(works, lambda: tell(board.so_far()), board)
    for one in looked:
        if _stamp(one.known.path) != (one.bytes, one.mtime_ns):
            hint = "Verify it again when no program writes to it."
            raise StorageFailed(f"{one.known.path} was written to while it was read.", hint=hint)
    return looked


class _Read:
    """How many bytes were read of each file, and whether reading goes on."""

    def __init__(self, files: int, may_go_on: Callable[[], None]) -> None:
        self._bytes, self._lock, self._may_go_on = [0] * files, Lock(), may_go_on
        self.over = False

    def more(self, number: int, count: int) -> None:
        self._may_go_on()
        with self._lock:
            self._bytes[number] += count

    def found_bad(self, one: CheckResult, ranges: Sequence[Range]) -> None:
        with self._lock:
            for start, end in ranges:
                one.bad.add(start, end)

    def so_far(self) -> list[int]:
        with self._lock:
            return list(self._bytes)


def _await(works: Sequence["Future[None]"], tell: Callable[[], None], board: _Read) -> None:
    """Wait for all; the first that fails ends the others, and is raised."""
    try:
        pending = set(works)
        while pending:
            done, pending = wait(pending, TELL_S, FIRST_EXCEPTION)
            for work in done:
                work.result()
            tell()
    except BaseException:
        board.over = True
        for work in works:
            work.cancel()
        raise


def _stamp(path: Path) -> tuple[int, int]:
    """Return the size and the time of a file; of one that is gone nothing of both."""
    with disk_errors(path):
        try:
            there = path.stat()
        except FileNotFoundError:
            return 0, 0
        return there.st_size, there.st_mtime_ns


def _works(one: CheckResult, number: int, board: _Read) -> Iterator[Callable[[], None]]:
    """Yield what may be done side by side for one file."""
    known = one.known
    one.bad.add(one.bytes, known.bytes)  # what is missing at the end
    if known.pieces is None or not can_save():
        yield lambda: _front_to_back(one, number, board)
        return
    states, piece = states_of(known.pieces), known.pieces.piece
    for start in range(0, min(one.bytes, known.bytes), _stretch(piece)):
        yield lambda start=start: _stretch_of(one, number, board, states, piece, start)  # type: ignore[misc]


def _stretch(piece: int) -> int:
    return max(1, STRETCH // piece) * piece


def _stretch_of(one: CheckResult, number: int, board: _Read, states: dict[int, str], piece: int, start: int) -> None:
    """Hash the pieces of one stretch, each from the state before it to the one behind it."""
    end = min(start + _stretch(piece), one.known.bytes)
    digest = Sha256(states.get(start // piece))
    bad: list[Range] = []
    with disk_errors(one.known.path), one.known.path.open("rb", buffering=0) as file:
        let_go_of_cache(file.fileno(), start, end)  # it is the disk that is verified
        for first in range(start, end, piece):
            last = min(first + piece, end)
            _hash(digest, file.fileno(), first, last, number, board)
            if not _ends_well(one.known, digest, states, piece, last):
                bad.append((first, last))
                digest = Sha256(states.get(last // piece))
    board.found_bad(one, bad)


def _ends_well(known: Known, digest: Sha256, states: dict[int, str], piece: int, at: int) -> bool:
    whole = at != known.bytes or digest.hexdigest() == known.sha256
    return whole and (at % piece != 0 or digest.save() == states.get(at // piece))


def _front_to_back(one: CheckResult, number: int, board: _Read) -> None:
    known, piece = one.known, piece_size(one.known.bytes)
    digest = Sha256()
    pieces = PieceDigest(digest, 0, piece)
    if one.bytes:
        with disk_errors(known.path), known.path.open("rb", buffering=0) as file:
            let_go_of_cache(file.fileno(), 0, one.bytes)  # as above
            for view in _views(file.fileno(), 0, one.bytes, number, board):
                pieces.update(view)
    if digest.hexdigest() == known.sha256:
        one.pieces = pieces_of(pieces.states, piece, known.bytes)
    else:
        board.found_bad(one, [(0, known.bytes)])  # nothing tells which part


def _hash(digest: Sha256, fd: int, start: int, end: int, number: int, board: _Read) -> None:
    for view in _views(fd, start, end, number, board):
        digest.update(view)


def _views(fd: int, start: int, end: int, number: int, board: _Read) -> Iterator[memoryview]:
    """Yield the bytes of a range; what lies behind the file's end is not there, and hashes to something else."""
    buffer, at = bytearray(min(READ, end - start)), start
    while at < end and not board.over:
        view = memoryview(buffer)[: min(READ, end - at)]
        count = read_once(fd, view, at)
        if not count:
            return
        board.more(number, count)
        yield view[:count]
        at += count
