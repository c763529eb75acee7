"""Holds a partial for one run, so that no two runs write into the same files: several databases may share a store.

The lock file next to the bytes (`owner_lock`) names the run that works there, and `ownership_decision` decides:
continue the partial in place, copy its kept bytes into a partial with a new name, or leave it alone and start a
separate one.

The order makes each step safe against a crash and against a suspended run that wakes up late:

1. A copy is made in a folder with the prefix `taken-`, which no run continues.
2. Its lock is written before its first byte, its journal last; then one rename gives it its name. Before that rename
   the old partial is the one to continue, after it the copy.
3. Only then the old partial is renamed and removed. A late run may still have its files open: it writes into files
   without a name. A folder that it creates at the old path is removed when that run ends (`hold_partial`).
"""

import contextlib
import os
import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.system import rename_new
from flowhub_jobs.transfer.partial.kept_bytes_copy import copy_kept
from flowhub_jobs.transfer.partial.owner_lock import LOCK, TAKEN_OVER, Inspection, Lock, inspect, lock_new, write_owner
from flowhub_jobs.transfer.partial.ownership_decision import UNKNOWN_OWNER, Owner, PartialUse


@dataclass(frozen=True, slots=True)
class PartialHold:
    """A partial that belongs to this run alone. `other_owners` are living owners of other partials of its name."""

    folder: Path
    other_owners: tuple[Owner, ...]
    lock: Lock


@contextlib.contextmanager
def hold_partial(
    existing: Sequence[Path],
    fresh: Path,
    owner: Owner,
    *,
    own_runs: Collection[str] = (),
    check_continue: Callable[[], None] = lambda: None,
) -> Iterator[PartialHold]:
    """Hold a partial: one of `existing` whose owner is dead, else a copy of one named `fresh`, else an empty one.

    `own_runs` are the tokens of this job's earlier runs. `check_continue` is called while bytes are copied; it may
    raise. Raises the errors of the disk.
    """
    hold = _hold(existing, fresh, owner, own_runs, check_continue)
    try:
        yield hold
    finally:
        taken_over = not hold.lock.is_in_place()
        hold.lock.release()
        with contextlib.suppress(OSError, FlowhubError):
            if taken_over:
                # Another run has taken this partial over and may have completed the job. It does not know of a folder
                # that a late write of this run makes at the old path.
                discard([hold.folder], owner)
            else:
                hold.folder.rmdir()  # empty if the run kept nothing


def discard(existing: Sequence[Path], owner: Owner, *, own_runs: Collection[str] = ()) -> None:
    """Remove the partials whose owner is dead, and those of this job's own late runs."""
    for folder in existing:
        if folder.is_symlink():
            continue
        inspection = inspect(folder, owner, own_runs)
        if inspection is not None:
            if inspection.use is not PartialUse.SEPARATE:
                shutil.rmtree(folder, ignore_errors=True)
            if inspection.lock is not None:
                inspection.lock.release()


def is_in_use(folder: Path, owner: Owner) -> bool:
    """Return whether a living run, or one that may live, works in a partial. It writes nothing to find out."""
    inspection = inspect(folder, owner, ()) if os.path.lexists(folder / LOCK) else None
    if inspection is None:
        return False
    if inspection.lock is not None:
        inspection.lock.leave()
    return inspection.use is PartialUse.SEPARATE


def run_unless_in_use(folder: Path, owner: Owner, action: Callable[[], None]) -> bool:
    """Call `action` while no run can start in a partial; return False, without the call, if a run works there."""
    inspection = inspect(folder, owner, ())
    try:
        if inspection is not None and inspection.use is PartialUse.SEPARATE:
            return False
        action()
    finally:
        if inspection is not None and inspection.lock is not None:
            inspection.lock.release()
    return True


def _hold(
    existing: Sequence[Path], fresh: Path, owner: Owner, own_runs: Collection[str], check_continue: Callable[[], None]
) -> PartialHold:
    other_owners: list[Owner] = []
    to_copy: list[Path] = []
    for folder in existing:
        inspection = inspect(folder, owner, own_runs)
        if inspection is None:
            continue
        if (
            inspection.use is PartialUse.CONTINUE
            and (hold := _continue_in(folder, fresh, owner, inspection)) is not None
        ):
            return replace(hold, other_owners=tuple(other_owners))
        if inspection.lock is not None:
            inspection.lock.leave()
        if inspection.use is PartialUse.COPY:
            to_copy.append(folder)
        elif inspection.use is PartialUse.SEPARATE:
            other_owners.append(inspection.owner or UNKNOWN_OWNER)
    if to_copy:
        return PartialHold(fresh, tuple(other_owners), _take_over(to_copy[0], fresh, owner, check_continue))
    return PartialHold(fresh, tuple(other_owners), _create_partial(fresh, owner))


def _continue_in(folder: Path, fresh: Path, owner: Owner, inspection: Inspection) -> PartialHold | None:
    """Hold a partial whose owner is dead; None if another run was first."""
    with disk_errors(folder):
        if inspection.lock is not None:
            write_owner(inspection.lock, owner)
            return PartialHold(folder, (), inspection.lock)
        try:
            folder.rename(fresh)  # without locks the rename decides: of two runs only one succeeds
        except FileNotFoundError:
            return None
        return PartialHold(fresh, (), lock_new(fresh, owner))


def _create_partial(fresh: Path, owner: Owner) -> Lock:
    """Make an empty partial, and return its lock."""
    with disk_errors(fresh):
        fresh.mkdir(0o775)  # not its parents: a disk that is not there must not be taken for an empty one
        try:
            return lock_new(fresh, owner)
        except BaseException:
            with contextlib.suppress(OSError):
                fresh.rmdir()
            raise


def _take_over(late: Path, fresh: Path, owner: Owner, check_continue: Callable[[], None]) -> Lock:
    """Copy the kept bytes of a partial to new files named `fresh`, remove the partial, return the copy's lock."""
    staged = fresh.with_name(f"{TAKEN_OVER}{fresh.name}")
    with disk_errors(staged):
        lock: Lock | None = None
        try:
            staged.mkdir(0o775)
            lock = lock_new(staged, owner)
            copy_kept(late, staged, check_continue)
            rename_new(staged, fresh)
        except BaseException:
            if lock is not None:
                lock.release()
            shutil.rmtree(staged, ignore_errors=True)
            raise
        lock.moved_to(fresh / LOCK)
        taken_over = late.with_name(f"{TAKEN_OVER}{late.name}")
        with contextlib.suppress(OSError):  # a late run may still create or remove a file in it
            late.rename(taken_over)
            shutil.rmtree(taken_over, ignore_errors=True)
        return lock
