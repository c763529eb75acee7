"""The journal of a partial: an append-only log of the bytes that are on the disk, the only source of truth about them.

Each record is one line: the CRC-32 of the JSON in eight hex digits, a space, the JSON. A torn or damaged line ends the
log. The order of writes is: write the bytes, sync them, append here, sync. So the journal never claims a byte that a
power cut could lose.

Opening a journal rewrites it: into a new file, which then replaces the old one under its name. A late writer of an
earlier run still has the old file open, and its appends reach a file that no run will read.
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
BYTES_MAX = 1 << 30  # no journal is larger: one of a folder of 100,000 files has 100 MB


@dataclass(slots=True)
class FileRecord:
    """One file of the partial. `identity` names the content of its bytes; `part` is their path inside the partial."""

    part: str
    size: int | None = None
    identity: str | None = None
    piece: int = 0  # bytes
    kept: Ranges = field(default_factory=Ranges)
    # States of the digest: after `n` whole pieces, and at the frontier, where hashing stopped.
    states: dict[int, str] = field(default_factory=dict)
    frontier: int = 0
    frontier_state: str | None = None
    bytes_by_mirror: dict[str, Ranges] = field(default_factory=dict)  # the bytes that each mirror sent
    bad_mirrors: set[str] = field(default_factory=set)  # mirrors that sent wrong bytes: not used again
    # How often the file started over, and the most bytes that were kept before: the next attempt continues the count.
    restarts: int = 0
    most_kept: int = 0

    def begin(self) -> dict[str, Any]:
        return {"part": self.part, "size": self.size, "identity": self.identity, "piece": self.piece}


@dataclass(slots=True)
class Record:
    """The content of a journal. `fetched`: bytes over the wire in all attempts of the job named `tag`.

    `fetched_by_origin` has the same bytes by the origin that sent them ("sources" in the file).
    """

    files: dict[str, FileRecord] = field(default_factory=dict)
    fetched: int = 0
    fetched_by_origin: dict[str, int] = field(default_factory=dict)
    tag: str = ""
    clean: bool = False  # the last entry of a graceful stop
    install: dict[str, Any] | None = None  # the intent of an installation that has begun


def load(folder: Path) -> Record:
    """Return the content of the journal in `folder`; an empty record if there is none that this version reads."""
    record = Record()
    try:
        for entry in _lines(folder / NAME):
            if entry.get("version", VERSION) != VERSION:
                return Record()
            _apply(record, entry)
    except (ValueError, KeyError, TypeError, AttributeError):
        return Record()  # no version of flowhub writes such an entry, though its checksum is right
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
    record.fetched_by_origin = entry.get("sources", record.fetched_by_origin)
    record.tag = entry.get("tag", record.tag)
    record.install = entry.get("install", record.install)
    for path, fields in entry.get("begin", {}).items():
        record.files[path] = FileRecord(**fields)
    for path, change in entry.get("files", {}).items():
        file = record.files[path]
        file.kept = Ranges((start, end) for start, end in change["kept"])
        file.states |= {int(number): state for number, state in change.get("states", {}).items()}
        file.frontier, file.frontier_state = change["frontier"], change["state"]
        file.bytes_by_mirror = {
            mirror: Ranges(map(tuple, ranges)) for mirror, ranges in change.get("given", {}).items()
        }
        file.bad_mirrors = set(change.get("dropped", ()))
        file.restarts, file.most_kept = change.get("restarts", 0), change.get("most_kept", 0)


def file_entry(record: FileRecord, states: dict[int, str]) -> dict[str, Any]:
    """Return the entry of one file in a commit; `states` are only those that the journal does not have yet."""
    entry: dict[str, Any] = {
        "kept": list(record.kept),
        "states": states,
        "frontier": record.frontier,
        "state": record.frontier_state,
    }
    if record.bytes_by_mirror:
        entry["given"] = {mirror: list(ranges) for mirror, ranges in record.bytes_by_mirror.items()}
    if record.bad_mirrors:
        entry["dropped"] = sorted(record.bad_mirrors)
    if record.restarts or record.identity is None:
        entry |= {"restarts": record.restarts, "most_kept": record.most_kept}
    return entry


class Journal:
    """The open journal of a running transfer. Not thread-safe: the committer serialises its calls."""

    def __init__(self, folder: Path, record: Record, check_owner: Callable[[], None] = lambda: None) -> None:
        """`check_owner` raises once the partial belongs to another run."""
        self._folder, self._check_owner = folder, check_owner
        self._fd = -1
        self._bytes = self._long = 0
        self.rewrite(record)

    def rewrite(self, record: Record) -> None:
        """Write the whole record into a new file, and replace the old one in one step."""
        self._check_owner()
        new = self._folder / f"{NAME}.new"
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._bytes = _write(fd, _snapshot(record))
            self._long = self._bytes + COMPACT_BYTES
            sync_data(fd)
            self._check_owner()  # checked again: a late run must not replace its successor's journal by an old one
            new.replace(self._folder / NAME)
            sync_path(self._folder)
        except BaseException:
            os.close(fd)
            raise
        self.close()
        self._fd = fd

    def commit(self, entry: dict[str, Any]) -> None:
        """Append one entry and sync it."""
        self._bytes += _write(self._fd, entry)
        sync_data(self._fd)

    @property
    def is_long(self) -> bool:
        """Whether the log has grown so much that it should be rewritten."""
        return self._bytes > self._long

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def append(folder: Path, entry: dict[str, Any]) -> None:
    """Append one entry to a journal that no transfer has open, and sync it."""
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
        "sources": record.fetched_by_origin,
        "install": record.install,
        "begin": {path: file.begin() for path, file in record.files.items()},
        "files": {path: file_entry(file, file.states) for path, file in record.files.items()},
    }


def _write(fd: int, entry: dict[str, Any]) -> int:
    body = json.dumps(entry, separators=(",", ":")).encode()
    line = b"%08x %s\n" % (zlib.crc32(body), body)
    view = memoryview(line)
    while view:
        view = view[os.write(fd, view) :]
    return len(line)
