"""What of a partial is on the disk: an append-only log beside it, the only truth.

One line a record: the CRC-32 of the JSON in eight hex digits, a space, the JSON. A torn or damaged line ends the log.
The order is: write the bytes, sync them, then append here and sync: what the journal says is on the disk.
Opening a journal writes it anew under its name, so that a late writer's appends reach a file that nobody reads.
"""

import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.pieces.ranges import Ranges
from flowhub_jobs.system import sync_data, sync_path

NAME = "journal"
VERSION = 1
COMPACT_BYTES = 8 << 20
BYTES_MAX = 1 << 30  # no transfer writes so much: of a folder of 100,000 files, a journal has 100 MB


@dataclass(slots=True)
class FileRecord:
    """One file of the partial. `identity` binds its bytes to a content; `part` is their path inside the partial."""

    part: str
    size: int | None = None
    identity: str | None = None
    piece: int = 0  # bytes
    kept: Ranges = field(default_factory=Ranges)
    # The digest's states: after `n` whole pieces, and at the frontier, the end of what was hashed.
    states: dict[int, str] = field(default_factory=dict)
    frontier: int = 0
    frontier_state: str | None = None

    def begin(self) -> dict[str, Any]:
        return {"part": self.part, "size": self.size, "identity": self.identity, "piece": self.piece}


@dataclass(slots=True)
class Record:
    """All that a journal says. `fetched`: bytes over the wire in all attempts of the job named `tag`."""

    files: dict[str, FileRecord] = field(default_factory=dict)
    fetched: int = 0
    tag: str = ""
    clean: bool = False  # the last words of a graceful stop
    install: dict[str, Any] | None = None  # what the installation was about to do


def load(folder: Path) -> Record:
    """Return what the journal in `folder` says; an empty record where there is none that this version reads."""
    record = Record()
    try:
        for entry in _lines(folder / NAME):
            if entry.get("version", VERSION) != VERSION:
                return Record()
            _apply(record, entry)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Record()  # of a form that no version of ours wrote, whatever its checksum says
    return record


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        text = read_regular(path, BYTES_MAX, follow=False)
    except FileNotFoundError:
        return
    for line in text.split(b"\n"):
        crc, _, body = line.partition(b" ")
        if not body or crc != b"%08x" % zlib.crc32(body):
            return
        yield json.loads(body)


def _apply(record: Record, entry: dict[str, Any]) -> None:
    record.clean = entry.get("clean", False)
    record.fetched = entry.get("fetched", record.fetched)
    record.tag = entry.get("tag", record.tag)
    record.install = entry.get("install", record.install)
    for path, begun in entry.get("begin", {}).items():
        record.files[path] = FileRecord(**begun)
    for path, change in entry.get("files", {}).items():
        known = record.files[path]
        known.kept = Ranges((start, end) for start, end in change["kept"])
        known.states |= {int(number): state for number, state in change.get("states", {}).items()}
        known.frontier, known.frontier_state = change["frontier"], change["state"]


def file_entry(record: FileRecord, states: dict[int, str]) -> dict[str, Any]:
    """Return what a commit says of one file; `states` are only those that the journal does not have yet."""
    return {
        "kept": list(record.kept),
        "states": states,
        "frontier": record.frontier,
        "state": record.frontier_state,
    }


class Journal:
    """The open journal of a running transfer. Not thread-safe: the committer takes turns."""

    def __init__(self, folder: Path, record: Record, may_write: Callable[[], None] = lambda: None) -> None:
        """`may_write` raises where the partial is another's by now."""
        self._folder, self._may_write = folder, may_write
        self._fd = -1
        self._bytes = self._long = 0
        self.rewrite(record)

    def rewrite(self, record: Record) -> None:
        """Write the whole record into a new file and put it in the old one's place, in one step."""
        self._may_write()
        new = self._folder / f"{NAME}.new"
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._bytes = _write(fd, _snapshot(record))
            self._long = self._bytes + COMPACT_BYTES
            sync_data(fd)
            self._may_write()  # a late one must not put an old word in the place of its successor's
            new.replace(self._folder / NAME)
            sync_path(self._folder)
        except BaseException:
            os.close(fd)
            raise
        self.close()
        self._fd = fd

    def commit(self, entry: dict[str, Any]) -> None:
        """Append one entry and put it on the disk."""
        self._bytes += _write(self._fd, entry)
        sync_data(self._fd)

    @property
    def is_long(self) -> bool:
        """Whether the log has grown so much that it should be written anew."""
        return self._bytes > self._long

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def append(folder: Path, entry: dict[str, Any]) -> None:
    """Append one entry to a journal that no transfer has open, and put it on the disk."""
    fd = os.open(folder / NAME, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        _write(fd, entry)
        sync_data(fd)
    finally:
        os.close(fd)


def _snapshot(record: Record) -> dict[str, Any]:
    return {
        "version": VERSION,
        "tag": record.tag,
        "fetched": record.fetched,
        "install": record.install,
        "begin": {path: known.begin() for path, known in record.files.items()},
        "files": {path: file_entry(known, known.states) for path, known in record.files.items()},
    }


def _write(fd: int, entry: dict[str, Any]) -> int:
    body = json.dumps(entry, separators=(",", ":")).encode()
    line = b"%08x %s\n" % (zlib.crc32(body), body)
    view = memoryview(line)
    while view:
        view = view[os.write(fd, view) :]
    return len(line)
