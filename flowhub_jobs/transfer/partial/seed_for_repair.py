"""Makes a partial from installed files, as a crash would have left it: the next fetch fetches only what differs.

A repair needs exactly what a fetch does after a crash: the journal says which bytes are kept and what their pieces
hash to, the pieces are read once, and a piece that does not match is fetched again.
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.fs.disk_errors import disk_errors, sync_tree
from flowhub_jobs.pieces.ranges import Range, piece_size
from flowhub_jobs.pieces.resumable_sha256 import states_of
from flowhub_jobs.system import reflink, sync_path
from flowhub_jobs.transfer.partial.journal import FileRecord, Journal, Record
from flowhub_jobs.transfer.partial.part_file import part_path
from flowhub_jobs.values.artifacts import Pieces


@dataclass(frozen=True, slots=True)
class SeedFile:
    """A file as it was installed, its path now, and the ranges that are known to differ."""

    path: str
    installed: Path
    bytes: int
    sha256: str
    pieces: Pieces | None
    bad: Sequence[Range]


def seed_partial(folder: Path, seeds: Sequence[SeedFile]) -> int:
    """Fill a new `folder` with copies of the files and their journal; return the bytes that need not be fetched.

    A file that differs and has no known pieces is left out: all of it is fetched. Raises DiskFull and the other errors
    of the disk.
    """
    record = Record()
    with disk_errors(folder):
        folder.mkdir(parents=True)
        for seed in seeds:
            if (file := _seed_file(folder, seed)) is not None:
                record.files[seed.path] = file
        sync_tree(folder)
        Journal(folder, record).close()
    return sum(file.kept.total for file in record.files.values())


def _seed_file(folder: Path, seed: SeedFile) -> FileRecord | None:
    if seed.bad and seed.pieces is None:
        return None
    try:
        present = min(seed.installed.stat().st_size, seed.bytes)
    except FileNotFoundError:
        return None
    piece = seed.pieces.piece if seed.pieces else piece_size(seed.bytes)
    record = FileRecord(part_path(seed.path, 0), size=seed.bytes, identity=f"sha256:{seed.sha256}", piece=piece)
    record.kept.add(0, present)
    for start, end in seed.bad:
        record.kept.remove(start, end)
    if seed.pieces is not None:
        _remember_states(record, seed.pieces)
    _copy(seed.installed, folder / record.part, present)
    return record


def _remember_states(record: FileRecord, pieces: Pieces) -> None:
    """Set the digest's frontier to the last piece end of the contiguous bytes; the rest is hashed again."""
    states, whole_pieces = states_of(pieces), record.kept.reach(0) // pieces.piece
    record.states = {number: state for number, state in states.items() if number <= whole_pieces}
    record.frontier, record.frontier_state = whole_pieces * pieces.piece, record.states.get(whole_pieces)


def _copy(source: Path, target: Path, count: int) -> None:
    """Copy the first `count` bytes; a file system that can share them writes nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not reflink(source, target):
        shutil.copyfile(source, target)
    os.truncate(target, count)
    sync_path(target)
