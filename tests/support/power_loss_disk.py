"""A disk whose power fails at some call: real files, set back to what might be left of them, and the worker killed.

It stands behind the calls of `os` that put bytes and names into a store (ForgetfulDisk watches; this one strikes).
What may be left is what the manuals allow, the worst that ext4, XFS and btrfs show:

- bytes written and not synced are there, are not, or are there sector by sector (512 bytes); a file that grew may have
  its new length and zeros, or its old length;
- a name given or exchanged is there only when its folder was synced; of those that were not, the last few are undone;
- a name removed is gone when its folder was synced or the database was committed since, whose sync takes it along; else
  it may be back;
- a sync of a file also keeps the name that it was made under.
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
    old: bytes  # as long as what was written; what lay behind the file's end counts as zeros


@dataclass
class Unsynced:
    """A file's writes since its last sync, in order. `fd` reads and writes it, whatever its name is by now."""

    fd: int
    size: int  # bytes that are on the disk for certain
    writes: list[Write] = field(default_factory=list)


@dataclass
class Step:
    """A change of names that may be undone. `folders` are those whose sync keeps it."""

    folders: set[str]
    undo: Callable[[], object]
    removal: bool = False


class FailingPower:
    """Counts the calls that change the store, and pulls the plug instead of, or right after, one of them."""

    def __init__(self, store: Path, turns: random.Random, call: int, only: str = "") -> None:
        """It strikes at the `call`-th (from 1), of `os.only` or of all; at the process's end if there are fewer."""
        self._store, self._turns, self._left, self._only = str(store), turns, call, only
        self._shadow = store.parent / f"{store.name}.shadow"  # another name of what is removed or replaced
        self._files: dict[Inode, Unsynced] = {}
        self._steps: list[Step] = []
        self._shadows = 0
        self._lock = threading.RLock()
        self._real = {name: getattr(os, name) for name in NAMES}

    def plug_in(self) -> None:
        """Stand behind `os` from now on, and behind the names that system.py gives."""
        import sqlalchemy as sa

        from flowhub_jobs import system

        self._shadow.mkdir(exist_ok=True)
        for name in NAMES:
            setattr(os, name, getattr(self, f"_{name}"))
        self._rename_flags = system._rename_flags
        system._rename_flags = self._flagged_rename
        atexit.register(self._unplug)
        sa.event.listen(sa.engine.Engine, "commit", lambda _connection: self._committed())

    # Bytes ----------------------------------------------------------------------------------------------------------

    def _pwrite(self, fd: int, data: Any, offset: int) -> int:
        if not self._is_ours(fd):
            return int(self._real["pwrite"](fd, data, offset))
        with self._turn("pwrite"):
            known = self._known(fd)
            old = os.pread(known.fd, len(data), offset).ljust(len(data), b"\0")
            known.writes.append(Write(offset, old))
            return int(self._real["pwrite"](fd, data, offset))

    def _write(self, fd: int, data: Any) -> int:
        if not self._is_ours(fd):
            return int(self._real["write"](fd, data))
        with self._turn("write"):
            known = self._known(fd)
            known.writes.append(Write(os.fstat(fd).st_size, bytes(len(data))))  # the journal is only appended to
            return int(self._real["write"](fd, data))

    def _fdatasync(self, fd: int) -> None:
        self._sync(fd)

    def _fsync(self, fd: int) -> None:
        self._sync(fd)

    def _sync(self, fd: int) -> None:
        """Nothing is really synced: what stays is what this disk says."""
        place = self._place(fd)
        if not place.startswith(self._store):
            return
        with self._turn("sync"):
            if os.path.isdir(place):
                self._steps = [step for step in self._steps if place not in step.folders]
                return
            known = self._known(fd)
            known.writes.clear()
            known.size = os.fstat(fd).st_size

    def _known(self, fd: int) -> Unsynced:
        there = os.fstat(fd)
        inode = there.st_dev, there.st_ino
        if inode not in self._files:
            # Opened again, as the caller's may only append; and by number, as it may have no name any more.
            own = os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
            self._files[inode] = Unsynced(own, there.st_size)
        return self._files[inode]

    # Names ----------------------------------------------------------------------------------------------------------

    def _rename(self, source: Any, target: Any, **options: Any) -> None:
        self._replace(source, target, **options)

    def _replace(self, source: Any, target: Any, **options: Any) -> None:
        source, target = os.path.abspath(source), os.path.abspath(target)
        if not target.startswith(self._store):
            self._real["replace"](source, target, **options)
            return
        with self._turn("replace"):
            before = self._kept_aside(target) if os.path.isfile(target) else None
            self._real["replace"](source, target, **options)
            self._gave(source, target, before)

    def _flagged_rename(self, source: Path, target: Path, *, linux: int, macos: int) -> bool:
        with self._turn("rename"):
            both = target.exists()
            if not self._rename_flags(source, target, linux=linux, macos=macos):
                return False
            if both:
                self._step({source, target}, lambda: self._rename_flags(source, target, linux=linux, macos=macos))
            else:
                self._gave(str(source), str(target), None)
            return True

    def _gave(self, source: str, target: str, before: Path | None) -> None:
        def undo() -> None:
            if os.path.isdir(os.path.dirname(source)):
                self._real["replace"](target, source)
            else:  # its old folder is gone for good: it has no name any more
                shutil.rmtree(target) if os.path.isdir(target) else self._real["unlink"](target)
            if before is not None:
                self._put_back(before, target)

        self._step({Path(source), Path(target)}, undo)

    def _unlink(self, path: Any, *, dir_fd: int | None = None) -> None:
        whole = _whole(path, dir_fd)
        if not whole.startswith(self._store):
            self._real["unlink"](path, dir_fd=dir_fd)
            return
        with self._turn("unlink"):
            before = self._kept_aside(whole)
            self._real["unlink"](path, dir_fd=dir_fd)
            self._step({Path(whole)}, lambda: self._put_back(before, whole), removal=True)

    def _rmdir(self, path: Any, *, dir_fd: int | None = None) -> None:
        whole = _whole(path, dir_fd)
        if not whole.startswith(self._store):
            self._real["rmdir"](path, dir_fd=dir_fd)
            return
        with self._turn("rmdir"):
            self._real["rmdir"](path, dir_fd=dir_fd)
            self._step({Path(whole)}, lambda: os.makedirs(whole, exist_ok=True), removal=True)

    def _link(self, source: Any, target: Any, **options: Any) -> None:
        self._real["link"](source, target, **options)

    def _kept_aside(self, path: str) -> Path:
        self._shadows += 1
        aside = self._shadow / f"{os.getpid()}-{self._shadows}"
        self._real["link"](path, aside, follow_symlinks=False)
        return aside

    def _put_back(self, aside: Path, path: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # what was made there since is gone
            self._real["unlink"](path)
        self._real["link"](aside, path, follow_symlinks=False)

    def _step(self, places: set[Path], undo: Callable[[], object], *, removal: bool = False) -> None:
        self._steps.append(Step({str(place.parent) for place in places}, undo, removal))

    def _committed(self) -> None:
        with self._lock:
            self._steps = [step for step in self._steps if not step.removal]

    # The plug -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _turn(self, name: str) -> Iterator[None]:
        """Do one call after the other; at the last, before or after it, nothing more is done by anybody."""
        with self._lock:
            self._left -= self._only in ("", name)
            last = self._left == 0 and self._only in ("", name)
            if last and self._turns.random() < 0.3:
                self._unplug()
            yield
            if last:
                self._unplug()

    def _unplug(self) -> None:
        self._lock.acquire()  # for good: no other thread does anything after this
        try:
            for step in reversed(self._steps[self._turns.randint(0, len(self._steps)) :]):
                step.undo()
            for known in self._files.values():
                self._lose(known)
        except BaseException as error:  # a fault of this disk's own must not pass for one of the worker's
            self._real["write"](2, f"FailingPower failed: {error!r}\n".encode())
            os._exit(99)
        signal.pthread_kill(threading.get_ident(), signal.SIGKILL)

    def _lose(self, known: Unsynced) -> None:
        end = known.size
        for write in reversed(known.writes):
            fate = self._turns.choice(("lost", "torn", "kept"))
            for offset, old in _sectors(write):
                if fate == "lost" or (fate == "torn" and self._turns.random() < 0.5):
                    self._real["pwrite"](known.fd, old, offset)
                else:
                    end = max(end, offset + len(old))
        if end < os.fstat(known.fd).st_size and self._turns.random() < 0.5:
            os.ftruncate(known.fd, end)

    def _place(self, fd: int) -> str:
        return os.readlink(f"/proc/self/fd/{fd}").removesuffix(" (deleted)")

    def _is_ours(self, fd: int) -> bool:
        return self._place(fd).startswith(self._store)


def _sectors(write: Write) -> list[tuple[int, bytes]]:
    """Return what a write replaced, cut where the disk's sectors begin: each with its offset in the file."""
    first = SECTOR - write.offset % SECTOR
    cuts = [0, *range(first, len(write.old), SECTOR), len(write.old)]
    return [(write.offset + a, write.old[a:b]) for a, b in pairwise(cuts) if a < b]


def _whole(path: Any, dir_fd: int | None) -> str:
    folder = os.getcwd() if dir_fd is None else os.readlink(f"/proc/self/fd/{dir_fd}")
    return os.path.normpath(os.path.join(folder, os.fspath(path)))


def fail_power(seed: str, call: str, only: str = "") -> None:
    """Have the power of this process's store fail at that call."""
    home = Path(os.environ["FLOWHUB_HOME"])
    store = Path(os.environ.get("FLOWHUB_STORE") or home / "llms")
    FailingPower(store, random.Random(f"{seed}/{call}"), int(call), only).plug_in()
