"""A disk that forgets: real files, and a model of what a power failure would leave of them.

It wraps the functions of `os` that write bytes and names. Bytes that were written and not synced are lost, and so is
a rename before its folder was synced. Bytes of a failed sync are lost even if the next sync succeeds, as on ext4 and
XFS ("PostgreSQL's fsync() surprise", LWN, 2018).
"""

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flowhub_jobs.pieces.ranges import Ranges

Inode = tuple[int, int]


class ForgetfulDisk:
    """Wraps `os` in this process.

    `at_journal` gets each line of the journal before it is written, `at_sync` the name of each file or folder before it
    is synced; if that raises an OSError, the sync fails.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.written: defaultdict[Inode, Ranges] = defaultdict(Ranges)
        self.durable: defaultdict[Inode, Ranges] = defaultdict(Ranges)
        self.synced_folders: list[Path] = []
        self.calls: list[str] = []
        self.at_sync: Callable[[str], None] = lambda name: None
        self.at_journal: Callable[[bytes], None] = lambda line: None
        self._real = {name: getattr(os, name) for name in ("pwrite", "write", "fdatasync", "fsync")}
        for name in self._real:
            patch.setattr(os, name, getattr(self, f"_{name}"))

    def durable_bytes(self, path: Path) -> Ranges:
        status = path.stat()
        return self.durable[status.st_dev, status.st_ino]

    def _pwrite(self, fd: int, data: Any, offset: int) -> int:
        count: int = self._real["pwrite"](fd, data, offset)
        inode = _inode(fd)
        self.written[inode].add(offset, offset + count)
        self.durable[inode].remove(offset, offset + count)  # a power failure may leave old bytes or new ones
        return count

    def _write(self, fd: int, data: Any) -> int:
        name = _name(fd)
        if name.startswith("journal"):
            self.at_journal(bytes(data))
            self.calls.append("journal")
        return int(self._real["write"](fd, data))

    def _fdatasync(self, fd: int) -> None:
        self._sync(fd, "fdatasync")

    def _fsync(self, fd: int) -> None:
        self._sync(fd, "fsync")

    def _sync(self, fd: int, call: str) -> None:
        inode = _inode(fd)
        before = self.written[inode].copy()  # a sync does not promise what is written during it
        try:
            self.at_sync(_name(fd))
        except OSError:
            for start, end in before:
                self.written[inode].remove(start, end)
            raise
        self._real[call](fd)
        for start, end in before:
            self.durable[inode].add(start, end)
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        if path.is_dir():
            self.synced_folders.append(path)
        self.calls.append(f"sync {path.name}")


def _inode(fd: int) -> Inode:
    status = os.fstat(fd)
    return status.st_dev, status.st_ino


def _name(fd: int) -> str:
    try:
        return Path(os.readlink(f"/proc/self/fd/{fd}")).name
    except OSError:
        return ""
