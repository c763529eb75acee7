"""A disk whose power fails at a chosen call: real files, reverted to a state that may be left, and a killed worker.

It wraps the functions of `os` that write bytes and names in a store (ForgetfulDisk only records them). The state that
may be left is the worst that the manuals allow and that ext4, XFS and btrfs show:

- bytes that were written and not synced are kept, lost, or kept for some sectors (512 bytes) only; a file that grew may
  have its new length and zeros, or its old length;
- a name that was given or exchanged is kept only if its folder was synced; of the others, the last few are undone;
- a removed name stays removed if its folder was synced, or the database committed since (its sync includes the folder);
  else it may come back;
- a sync of a file also keeps the name under which it was created.
"""

import atexit
import contextlib
import os
import random
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

SECTOR = 512
NAMES = ("pwrite", "write", "fdatasync", "fsync", "rename", "replace", "unlink", "rmdir", "link")
Inode = tuple[int, int]


@dataclass
class Write:
    offset: int
    old: bytes  # as long as the written bytes; zeros where the file had ended


@dataclass
class Unsynced:
    """A file's writes since its last sync, in order. `fd` reads and writes it under any name."""

    fd: int
    size: int  # bytes that are on the disk for certain
    writes: list[Write] = field(default_factory=list)


@dataclass
class NameChange:
    """A change of names that may be undone. A sync of one of `folders` makes it durable."""

    folders: set[str]
    undo: Callable[[], object]
    removal: bool = False


class FailingPower:
    """Counts the calls that change the store, and cuts the power instead of, or right after, one of them."""

    def __init__(self, store: Path, generator: random.Random, call: int, only: str = "") -> None:
        """Fail at the `call`-th call (from 1) of `os.only` or of all; at the end of the process if there are fewer."""
        self._store, self._random, self._calls_left, self._only = str(store), generator, call, only
        self._shadow = store.parent / f"{store.name}.shadow"  # hard links to what is removed or replaced
        self._files: dict[Inode, Unsynced] = {}
        self._name_changes: list[NameChange] = []
        self._shadows = 0
        self._lock = threading.RLock()
        self._real = {name: getattr(os, name) for name in NAMES}

    def patch_os(self) -> None:
        """Replace the functions of `os`, and the renames of system.py."""
        import sqlalchemy as sa

        from flowhub_jobs import system

        self._shadow.mkdir(exist_ok=True)
        for name in NAMES:
            setattr(os, name, getattr(self, f"_{name}"))
        self._rename_flags = system._rename_flags
        system._rename_flags = self._flagged_rename
        atexit.register(self._fail_power)
        sa.event.listen(sa.engine.Engine, "commit", lambda _connection: self._committed())

    # Bytes ----------------------------------------------------------------------------------------------------------

    def _pwrite(self, fd: int, data: Any, offset: int) -> int:
        if not self._is_in_store(fd):
            return int(self._real["pwrite"](fd, data, offset))
        with self._next_call("pwrite"):
            unsynced = self._unsynced_of(fd)
            old = os.pread(unsynced.fd, len(data), offset).ljust(len(data), b"\0")
            unsynced.writes.append(Write(offset, old))
            return int(self._real["pwrite"](fd, data, offset))

    def _write(self, fd: int, data: Any) -> int:
        if not self._is_in_store(fd):
            return int(self._real["write"](fd, data))
        with self._next_call("write"):
            unsynced = self._unsynced_of(fd)
            unsynced.writes.append(Write(os.fstat(fd).st_size, bytes(len(data))))  # the journal is only appended to
            return int(self._real["write"](fd, data))

    def _fdatasync(self, fd: int) -> None:
        self._sync(fd)

    def _fsync(self, fd: int) -> None:
        self._sync(fd)

    def _sync(self, fd: int) -> None:
        """Record a sync; nothing is really synced."""
        path = self._path_of(fd)
        if not path.startswith(self._store):
            return
        with self._next_call("sync"):
            if os.path.isdir(path):
                self._name_changes = [change for change in self._name_changes if path not in change.folders]
                return
            unsynced = self._unsynced_of(fd)
            unsynced.writes.clear()
            unsynced.size = os.fstat(fd).st_size

    def _unsynced_of(self, fd: int) -> Unsynced:
        status = os.fstat(fd)
        inode = status.st_dev, status.st_ino
        if inode not in self._files:
            # A new descriptor, since the caller's may only append; by number, since the file may have no name left.
            fd_copy = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
            self._files[inode] = Unsynced(fd_copy, status.st_size)
        return self._files[inode]

    # Names ----------------------------------------------------------------------------------------------------------

    def _rename(self, source: Any, target: Any, **options: Any) -> None:
        self._replace(source, target, **options)

    def _replace(self, source: Any, target: Any, **options: Any) -> None:
        source, target = os.path.abspath(source), os.path.abspath(target)
        if not target.startswith(self._store):
            self._real["replace"](source, target, **options)
            return
        with self._next_call("replace"):
            before = self._link_aside(target) if os.path.isfile(target) else None
            self._real["replace"](source, target, **options)
            self._record_rename(source, target, before)

    def _flagged_rename(self, source: Path, target: Path, *, linux: int, macos: int) -> bool:
        with self._next_call("rename"):
            exchanges = target.exists()
            if not self._rename_flags(source, target, linux=linux, macos=macos):
                return False
            if exchanges:
                self._record_change(
                    {source, target}, lambda: self._rename_flags(source, target, linux=linux, macos=macos)
                )
            else:
                self._record_rename(str(source), str(target), None)
            return True

    def _record_rename(self, source: str, target: str, before: Path | None) -> None:
        def undo() -> None:
            if os.path.isdir(os.path.dirname(source)):
                self._real["replace"](target, source)
            else:  # its old folder is gone: the file loses its name
                shutil.rmtree(target) if os.path.isdir(target) else self._real["unlink"](target)
            if before is not None:
                self._put_back(before, target)

        self._record_change({Path(source), Path(target)}, undo)

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        full_path = _absolute_path(path, dir_fd)
        if not full_path.startswith(self._store):
            self._real["unlink"](path, dir_fd=dir_fd)
            return
        with self._next_call("unlink"):
            before = self._link_aside(full_path)
            self._real["unlink"](path, dir_fd=dir_fd)
            self._record_change({Path(full_path)}, lambda: self._put_back(before, full_path), removal=True)

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        full_path = _absolute_path(path, dir_fd)
        if not full_path.startswith(self._store):
            self._real["rmdir"](path, dir_fd=dir_fd)
            return
        with self._next_call("rmdir"):
            self._real["rmdir"](path, dir_fd=dir_fd)
            self._record_change({Path(full_path)}, lambda: os.makedirs(full_path, exist_ok=True), removal=True)

    def _link(self, source: Any, target: Any, **options: Any) -> None:
        self._real["link"](source, target, **options)

    def _link_aside(self, path: str) -> Path:
        self._shadows += 1
        aside = self._shadow / f"{os.getpid()}-{self._shadows}"
        self._real["link"](path, aside, follow_symlinks=False)
        return aside

    def _put_back(self, aside: Path, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # remove a newer file at this path
            self._real["unlink"](path)
        self._real["link"](aside, path, follow_symlinks=False)

    def _record_change(self, places: set[Path], undo: Callable[[], object], *, removal: bool = False) -> None:
        self._name_changes.append(NameChange({str(place.parent) for place in places}, undo, removal))

    def _committed(self) -> None:
        with self._lock:
            self._name_changes = [change for change in self._name_changes if not change.removal]

    # The power failure ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _next_call(self, name: str) -> Iterator[None]:
        """Serialize the calls. Before or after the last one the power fails, and no thread does any more."""
        with self._lock:
            self._calls_left -= self._only in ("", name)
            last = self._calls_left == 0 and self._only in ("", name)
            if last and self._random.random() < 0.3:
                self._fail_power()
            yield
            if last:
                self._fail_power()

    def _fail_power(self) -> None:
        self._lock.acquire()  # never released: no other thread continues
        try:
            for change in reversed(self._name_changes[self._random.randint(0, len(self._name_changes)) :]):
                change.undo()
            for unsynced in self._files.values():
                self._revert_bytes(unsynced)
        except BaseException as error:  # an error of this class must not look like one of the worker
            self._real["write"](2, f"FailingPower failed: {error!r}\n".encode())
            os._exit(99)
        signal.pthread_kill(threading.get_ident(), signal.SIGKILL)

    def _revert_bytes(self, unsynced: Unsynced) -> None:
        end = unsynced.size
        for write in reversed(unsynced.writes):
            fate = self._random.choice(("lost", "torn", "kept"))
            for offset, old in _sectors(write):
                if fate == "lost" or (fate == "torn" and self._random.random() < 0.5):
                    self._real["pwrite"](unsynced.fd, old, offset)
                else:
                    end = max(end, offset + len(old))
        if end < os.fstat(unsynced.fd).st_size and self._random.random() < 0.5:
            os.ftruncate(unsynced.fd, end)

    def _path_of(self, fd: int) -> str:
        return os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")

    def _is_in_store(self, fd: int) -> bool:
        return self._path_of(fd).startswith(self._store)


def _sectors(write: Write) -> list[tuple[int, bytes]]:
    """Split the replaced bytes of a write at the sectors of the disk; return (offset in the file, bytes)."""
    first = SECTOR - write.offset % SECTOR
    cuts = [0, *range(first, len(write.old), SECTOR), len(write.old)]
    return [(write.offset + a, write.old[a:b]) for a, b in pairwise(cuts) if a < b]


def _absolute_path(path: Any, dir_fd: int | None) -> str:
    folder = os.getcwd() if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
    return os.path.normpath(os.path.join(folder, os.fspath(path)))


def fail_power(seed: str, call: str, only: str = "") -> None:
    """Make the power of this process's store fail at that call."""
    home = Path(os.environ["FLOWHUB_HOME"])
    store = Path(os.environ.get("FLOWHUB_STORE") or home / "llms")
    FailingPower(store, random.Random(f"{seed}/{call}"), int(call), only).patch_os()
