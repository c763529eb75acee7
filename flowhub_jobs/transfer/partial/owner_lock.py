"""Reads and writes the lock file of a partial, which names the run that works there.

<partial>/lock      locked while a run works there, with its owner as JSON; a run that ends well removes it
"""

import contextlib
import json
import os
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from flowhub_jobs.file_systems import traits_of
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.fs.locks import CONTENT_BYTES, NO_LOCKS, LockFile
from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.system import is_process_alive, machine_name, process_name
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.partial.ownership_decision import UNKNOWN_OWNER, LockStatus, Owner, PartialUse, decide_use

LOCK = "lock"
TAKEN_OVER = "taken-"  # prefix of a copy until it is complete, and of a copied partial until it is removed
SILENT_S = 600.0  # after this long without a write, an owner on another machine counts as dead


class _OwnerFile:
    """Stands in for the lock on a file system without locks: a file in a folder that no other process can know yet."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK

    def write(self, content: bytes) -> None:
        self._path.unlink(missing_ok=True)
        fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "wb") as file:
            file.write(content)

    def moved_to(self, path: Path) -> None:
        self._path = path

    def is_in_place(self) -> bool:
        return self._path.exists()

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()


Lock = LockFile | _OwnerFile


@dataclass(frozen=True, slots=True)
class Inspection:
    """How a run may use an existing partial. `lock` is the partial's lock if this process holds it now."""

    use: PartialUse
    owner: Owner | None
    lock: LockFile | None


def this_run(home: str, run: str) -> Owner:
    """Return this process as the owner of a partial; `home` is the flowhub home, `run` its lease's token."""
    return Owner(machine_name(), process_name(), home, run)


def inspect(folder: Path, owner: Owner, own_runs: Collection[str]) -> Inspection | None:
    """Return how `owner` may use the partial `folder`, locked if its lock was free; None if there is no partial."""
    with disk_errors(folder):
        try:
            if folder.is_symlink():
                return None
            status, lock = _try_lock(folder / LOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            previous = _parse_owner(lock.content() if lock else read_regular(folder / LOCK, CONTENT_BYTES))
            traits = traits_of(folder)
            use = decide_use(
                status,
                previous,
                owner,
                traits,
                own_runs=own_runs,
                is_alive=is_process_alive,
                is_silent=lambda: _is_silent(folder),
            )
        except BaseException:
            if lock is not None:
                lock.leave()
            raise
        return Inspection(use, previous, lock)


def lock_new(folder: Path, owner: Owner) -> Lock:
    """Lock a folder that no other process can know yet."""
    lock: Lock
    try:
        lock = LockFile(folder / LOCK)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        lock = _OwnerFile(folder)
    write_owner(lock, owner)
    return lock


def write_owner(lock: Lock, owner: Owner) -> None:
    """Write the owner into a lock that this process holds; give the lock up if that fails, as on a full disk.

    A descriptor that stays open keeps the partial locked for as long as the process lives: every later run would take
    its owner for alive, and would work in another partial.
    """
    try:
        lock.write(owner_json(owner))
    except BaseException:
        lock.release()
        raise


def owner_json(owner: Owner) -> bytes:
    return json.dumps(asdict(owner)).encode()


def _try_lock(path: Path) -> tuple[LockStatus, LockFile | None]:
    try:
        return LockStatus.FREE, LockFile(path)
    except BlockingIOError:
        return LockStatus.LOCKED, None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return LockStatus.UNKNOWN, None


def _parse_owner(content: bytes) -> Owner | None:
    """Return the owner that a lock file names; None if the file is empty."""
    try:
        return Owner(**{name: str(value) for name, value in json.loads(content).items()}) if content else None
    except (ValueError, TypeError, AttributeError):
        return UNKNOWN_OWNER


def _is_silent(folder: Path) -> bool:
    """Return whether nothing was written for SILENT_S.

    Both times come from the clock of the disk: the clock of its server may differ from this machine's.
    """
    probe = folder.with_name(f"{TAKEN_OVER}{folder.name}.{secrets.token_hex(4)}")
    probe.mkdir()
    now = probe.stat().st_mtime
    probe.rmdir()
    times = [0.0]
    for path in (folder / journal.NAME, folder):
        with contextlib.suppress(OSError):
            times.append(path.stat().st_mtime)
    return now - max(times) > SILENT_S
