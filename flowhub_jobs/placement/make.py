"""Carries out a plan: the row, the folders and temporary files, their stamps, the names, the row again."""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from flowhub_jobs.errors import FlowhubError, PlacementRefused
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.placement import staging
from flowhub_jobs.placement.app import DIRECTORY, App
from flowhub_jobs.placement.conflicts import entries_for, missing_folders
from flowhub_jobs.placement.context import PlacementContext
from flowhub_jobs.placement.entries import Entry, EntryKind
from flowhub_jobs.placement.installed_for_placement import installed_for_placement
from flowhub_jobs.placement.remove import remove_row
from flowhub_jobs.placement.rows import PlacementRow, RowState
from flowhub_jobs.placement.values import Plan
from flowhub_jobs.store.library_check import LibraryEntry
from flowhub_jobs.store.links import LinkKind
from flowhub_jobs.system import sync_path


@dataclass(frozen=True, slots=True)
class Placed:
    """The result of a placement: its row, whether it is new, and sentences for the user."""

    row: PlacementRow
    new: bool
    notes: tuple[str, ...] = ()


def plan_for(context: PlacementContext, entry: LibraryEntry, app: App, root: Path) -> Plan:
    """Return the plan of a placement. Nothing is written. Raises PlacementRefused."""
    artifact = context.library.artifact(entry.name)
    return app.plan(installed_for_placement(entry, context.store.root / entry.name, artifact), root)


def make_placement(context: PlacementContext, row: PlacementRow, entry: LibraryEntry, app: App) -> Placed:
    """Carry out a row that is `wanted`; if that fails, what was made and the row are removed."""
    try:
        plan = plan_for(context, entry, app, row.root)
        with _errors_of(row.root):
            _make(context, row, plan, app)
    except BaseException:
        remove_row(context, context.rows.row(row.id) or row)
        raise
    return Placed(context.rows.row(row.id) or row, new=True, notes=plan.notes)


@contextmanager
def _errors_of(root: Path) -> Iterator[None]:
    """Convert the errors of the program's disk into flowhub's."""
    try:
        with disk_errors(root):
            yield
    except FlowhubError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise PlacementRefused(
            f"{cause.filename or root} may not be written: {cause.strerror}.",
            hint="Give your user the right to write there, or name another folder under [apps] in config.toml.",
        ) from cause


def _make(context: PlacementContext, row: PlacementRow, plan: Plan, app: App) -> None:
    _make_root(row.root, app)
    symlinks = plan.without_symlinks is None or staging.has_symlinks(row.root, row.token)
    others = [entry for other in context.rows.all() if other.id != row.id for entry in other.entries]
    entries = entries_for(plan, row.root, others, symlinks=symlinks)
    folders = missing_folders(entries, row.root)
    kept = [*row.folders, *(folder for folder in folders if folder not in row.folders)]
    context.rows.update(row.id, state=RowState.PLACING, entries=entries, folders=kept)
    for folder in folders:
        folder.mkdir(exist_ok=True)
        sync_path(folder.parent)
    made = staging.make(entries, row.token, _kinds(app, copy=row.how is LinkKind.COPY))
    context.rows.update(row.id, state=RowState.STAGED, entries=made, path=plan.path, how=_how(made))
    staging.put_in_place(made, row.token)
    complete_row(context, row, made)


def complete_row(context: PlacementContext, row: PlacementRow, entries: Sequence[Entry]) -> None:
    """Record that all files of a placement have their names."""
    done = [replace(entry, replaces=None) for entry in entries]
    context.rows.update(row.id, state=RowState.PLACED, entries=done, placed_at=context.clock.now_us())


def _make_root(root: Path, app: App) -> None:
    if app.name.startswith(DIRECTORY) and not root.parent.is_dir():
        raise PlacementRefused(
            f"{root.parent} is not there, or its disk is not mounted.", hint="Make the folder, or mount its disk."
        )
    root.mkdir(parents=True, exist_ok=True)


def _kinds(app: App, *, copy: bool) -> tuple[LinkKind, ...]:
    if copy:
        return staging.WITH_COPY
    return staging.WITH_SYMLINK if app.follows_symlinks else staging.WITHOUT_SYMLINK


def _how(entries: Sequence[Entry]) -> LinkKind | None:
    """Return how the largest file is there; one that the program had itself is a copy, or the same file."""
    links = [entry for entry in entries if entry.kind is EntryKind.LINK]
    if not links:
        return None
    largest = max(links, key=lambda entry: entry.size)
    if largest.how is not None:
        return largest.how
    assert largest.source is not None
    return LinkKind.HARDLINK if largest.target.samefile(largest.source) else LinkKind.COPY
