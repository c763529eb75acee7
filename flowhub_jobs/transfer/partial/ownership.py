"""Decides which run works in a partial, by a lock next to its bytes: several databases may share one store.

    <partial>/lock      locked while a run works there, with its owner as JSON; removed by a run that ends well

A run continues in a partial only if its last owner is dead. From a run of its own job that is suspended it takes the
kept bytes over, as copies in a partial of a new name: what the late run still has open is never installed. Another
owner's partial (a second home with the same node name) is left alone, and the run works in a partial apart.
"""

import contextlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.file_systems import Traits, traits_of
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.fs.locks import CONTENT_BYTES, NO_LOCKS, LockFile
from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.system import machine_name, process_lives, process_name, rename_new
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.partial.copy import copy_kept

LOCK = "lock"
TAKEN_OVER = "taken-"  # before the name of a copy until it is whole, and of what was copied until it is removed
SILENT_S = 600.0  # without a byte written: then an owner on another machine counts as gone, and its bytes are copied


@dataclass(frozen=True, slots=True)
class Owner:
    """A run: on which machine, in which process and for which home it works. `run` is its lease's token."""

    host: str
    process: str
    home: str
    run: str


_NOT_SAID = Owner("", "", "", "")  # the lock file cannot be read as one


def namesake_words(other: Owner, node: str, home: Path) -> str:
    """Return what a person is told of another home that bears this node's name and works in the same store."""
    where = f"the home {other.home} on {other.host.partition('/')[0]}" if other.home else "another home or machine"
    return (
        f"A second flowhub with the node name {node} works on this model in the same store: {where}. This job fetches "
        f"into a folder of its own. Give one of the two another name: set FLOWHUB_NODE, or remove {home / 'node'}."
    )


class Held(Enum):
    """What the lock of a partial says."""

    FREE = "free"
    LOCKED = "locked"  # by a process that lives
    UNKNOWN = "unknown"  # its file system has no locks


class Verdict(Enum):
    CONTINUE = "continue"
    COPY = "copy"  # take the kept bytes over: whether its owner will write again is not known
    APART = "apart"  # leave it to its owner


def this_run(home: str, run: str) -> Owner:
    return Owner(machine_name(), process_name(), home, run)


def judge(
    held: Held,
    before: Owner | None,
    me: Owner,
    traits: Traits,
    *,
    own_runs: Collection[str],
    lives: Callable[[str], bool | None] = process_lives,
    silent: Callable[[], bool],
) -> Verdict:
    """Return what a run does with a partial whose last owner was `before`; None: that one ended well.

    `lives` tells of a process of this machine, `silent` whether nothing was written for SILENT_S. A lock proves
    something of this machine's processes alone: over NFS it may be local to each machine (man 5 nfs, `local_lock`),
    over FUSE it mostly is.
    """
    same_kernel = before is not None and _boot(before) == _boot(me)
    # A home that was copied to another machine knows the original's runs, too.
    own_run = before is not None and same_kernel and before.home == me.home and before.run in own_runs
    if held is Held.LOCKED:
        return Verdict.COPY if own_run else Verdict.APART
    if before is None:
        return Verdict.CONTINUE
    if held is Held.FREE and (same_kernel or not traits.shared):
        return Verdict.CONTINUE
    alive = lives(before.process)
    if alive is None:  # of another machine, or of this one before it was started again
        return Verdict.COPY if before.host == me.host or silent() else Verdict.APART
    if not alive:
        return Verdict.CONTINUE
    return Verdict.COPY if own_run else Verdict.APART


def _boot(owner: Owner) -> str:
    return owner.process.partition("/")[0]


class _OwnerFile:
    """The lock where the file system has none: a file in a folder whose name no other process can know yet."""

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
class Claim:
    """A partial that is this run's alone. `strangers` are living owners of other partials of the same name."""

    folder: Path
    strangers: tuple[Owner, ...]
    lock: Lock


@contextlib.contextmanager
def claimed(
    existing: Sequence[Path],
    fresh: Path,
    me: Owner,
    *,
    own_runs: Collection[str] = (),
    may_go_on: Callable[[], None] = lambda: None,
) -> Iterator[Claim]:
    """Hold a partial: one of `existing` where its owner is gone, else a copy of it named `fresh`, else an empty one.

    `own_runs` are the tokens of this job's earlier runs. `may_go_on` is called while bytes are copied and may raise.
    Raises the errors of the disk.
    """
    found = _claim(existing, fresh, me, own_runs, may_go_on)
    try:
        yield found
    finally:
        taken_over = not found.lock.is_in_place()
        found.lock.release()
        with contextlib.suppress(OSError, FlowhubError):
            if taken_over:
                # Another run has taken this partial over and may have completed the job. It does not know of a folder
                # that a late write of this run makes at the old path.
                discard([found.folder], me)
            else:
                found.folder.rmdir()  # of a run that kept nothing, nothing is left


def discard(existing: Sequence[Path], me: Owner, *, own_runs: Collection[str] = ()) -> None:
    """Remove the partials whose owner is gone, and those of this job's own late runs."""
    for folder in existing:
        if folder.is_symlink():
            continue
        seen = _look_at(folder, me, own_runs)
        if seen is not None:
            if seen.verdict is not Verdict.APART:
                shutil.rmtree(folder, ignore_errors=True)
            if seen.lock is not None:
                seen.lock.release()


def is_at_work(folder: Path, me: Owner) -> bool:
    """Return whether a living run, or one that may live, works in a partial. Nothing is written to find it out."""
    seen = _look_at(folder, me, ()) if os.path.lexists(folder / LOCK) else None
    if seen is None:
        return False
    if seen.lock is not None:
        seen.lock.leave()
    return seen.verdict is Verdict.APART


def unless_at_work(folder: Path, me: Owner, act: Callable[[], None]) -> bool:
    """Do something to a partial while no run can begin with it; return False if one is at work in it."""
    seen = _look_at(folder, me, ())
    try:
        if seen is not None and seen.verdict is Verdict.APART:
            return False
        act()
    finally:
        if seen is not None and seen.lock is not None:
            seen.lock.release()
    return True


def _claim(
    existing: Sequence[Path], fresh: Path, me: Owner, own_runs: Collection[str], may_go_on: Callable[[], None]
) -> Claim:
    strangers: list[Owner] = []
    late: list[Path] = []
    for folder in existing:
        seen = _look_at(folder, me, own_runs)
        if seen is None:
            continue
        if seen.verdict is Verdict.CONTINUE and (claim := _continued(folder, fresh, me, seen)) is not None:
            return replace(claim, strangers=tuple(strangers))
        if seen.lock is not None:
            seen.lock.leave()
        if seen.verdict is Verdict.COPY:
            late.append(folder)
        elif seen.verdict is Verdict.APART:
            strangers.append(seen.owner or _NOT_SAID)
    if late:
        return Claim(fresh, tuple(strangers), _taken_over(late[0], fresh, me, may_go_on))
    with disk_errors(fresh):
        fresh.mkdir(0o775)  # not its parents: a disk that is not there must not be taken for an empty one
        return Claim(fresh, tuple(strangers), _locked_new(fresh, me))


# Look ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Seen:
    verdict: Verdict
    owner: Owner | None
    lock: LockFile | None  # where this process has it now


def _look_at(folder: Path, me: Owner, own_runs: Collection[str]) -> _Seen | None:
    """Return what a run does with a partial, and its lock, if it is locked now; None where there is none."""
    with disk_errors(folder):
        try:
            if folder.is_symlink():
                return None
            held, before, lock = _tried(folder / LOCK)
        except (FileNotFoundError, NotADirectoryError):
            return None
        traits = traits_of(folder)
        verdict = judge(held, before, me, traits, own_runs=own_runs, silent=lambda: _is_silent(folder))
        return _Seen(verdict, before, lock)


def _tried(path: Path) -> tuple[Held, Owner | None, LockFile | None]:
    try:
        lock = LockFile(path)
    except BlockingIOError:
        return Held.LOCKED, _owner(read_regular(path, CONTENT_BYTES)), None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return Held.UNKNOWN, _owner(read_regular(path, CONTENT_BYTES)), None
    return Held.FREE, _owner(lock.content()), lock


def _owner(content: bytes) -> Owner | None:
    """Return the owner that a lock file names; None if it is empty."""
    try:
        return Owner(**{name: str(value) for name, value in json.loads(content).items()}) if content else None
    except (ValueError, TypeError, AttributeError):
        return _NOT_SAID


def _as_json(owner: Owner) -> bytes:
    return json.dumps(asdict(owner)).encode()


def _is_silent(folder: Path) -> bool:
    """Return whether nothing was written for SILENT_S, by the clock of the disk: its server's may differ from ours."""
    probe = folder.with_name(f"{TAKEN_OVER}{folder.name}.{secrets.token_hex(4)}")
    probe.mkdir()
    now = probe.stat().st_mtime
    probe.rmdir()
    times = [0.0]
    for place in (folder / journal.NAME, folder):
        with contextlib.suppress(OSError):
            times.append(place.stat().st_mtime)
    return now - max(times) > SILENT_S


# Take ----------------------------------------------------------------------------------------------------------------


def _continued(folder: Path, fresh: Path, me: Owner, seen: _Seen) -> Claim | None:
    """Return the claim of a partial whose owner is gone; None if another run was first."""
    with disk_errors(folder):
        if seen.lock is not None:
            seen.lock.write(_as_json(me))
            return Claim(folder, (), seen.lock)
        try:
            folder.rename(fresh)  # without locks, a new name is what only one of two can give
        except FileNotFoundError:
            return None
        return Claim(fresh, (), _locked_new(fresh, me))


def _locked_new(folder: Path, me: Owner) -> Lock:
    """Lock a folder of which no other process can know yet."""
    lock: Lock
    try:
        lock = LockFile(folder / LOCK)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        lock = _OwnerFile(folder)
    lock.write(_as_json(me))
    return lock


def _taken_over(late: Path, fresh: Path, me: Owner, may_go_on: Callable[[], None]) -> Lock:
    """Copy what a partial has kept to new files under the name `fresh`, remove the partial, return the copy's lock."""
    staged = fresh.with_name(f"{TAKEN_OVER}{fresh.name}")
    with disk_errors(staged):
        try:
            staged.mkdir(0o775)
            lock = _locked_new(staged, me)
            copy_kept(late, staged, may_go_on)
            rename_new(staged, fresh)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise
        lock.moved_to(fresh / LOCK)
        aside = late.with_name(f"{TAKEN_OVER}{late.name}")
        with contextlib.suppress(OSError):  # a late run may be at work in it, and removes or adds a file meanwhile
            late.rename(aside)
            shutil.rmtree(aside, ignore_errors=True)
        return lock
