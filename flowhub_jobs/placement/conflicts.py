"""Compares a plan with the files that exist: those to make, those that can stay, those in the way."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from flowhub_jobs.errors import InternalError, NameTaken, PlacementRefused
from flowhub_jobs.placement.entries import Entry, EntryKind, is_intact, is_own, shared_with
from flowhub_jobs.placement.values import Plan, Planned, PlannedLink, PlannedSymlink


def entries_for(plan: Plan, root: Path, others: Sequence[Entry], *, symlinks: bool = True) -> list[Entry]:
    """Return the entries of a plan, in its order; `others` are those of all other placements below the root.

    Raises NameTaken for a file that flowhub did not create, PlacementRefused for a plan that cannot be carried out.
    """
    planned = plan.entries if symlinks or plan.without_symlinks is None else plan.without_symlinks
    _check(planned, root)
    resolved = [_entry(file, others) for file in planned]
    return [entry for entry in resolved if entry is not None]


def missing_folders(entries: Sequence[Entry], root: Path) -> list[Path]:
    """Return the folders below the root that the entries need and that are not there, the outer ones first."""
    needed = {
        parent for entry in entries if entry.own for parent in entry.target.parents if parent.is_relative_to(root)
    }
    return sorted(folder for folder in needed - {root} if not folder.is_dir())


def _check(planned: Sequence[Planned], root: Path) -> None:
    targets = [file.target for file in planned]
    for target in targets:
        below = target.is_relative_to(root) and target != root
        if not below or ".." in target.parts or target.name.startswith(".flowhub-"):
            raise InternalError(f"The plan names {target}, which is not a file below {root}.")
        try:
            str(target).encode()
        except UnicodeEncodeError:
            raise PlacementRefused(f"The path of {os.fsencode(target)!r} is not UTF-8 text.") from None
    if not targets or len(set(targets)) != len(targets):
        raise InternalError(f"The plan for {root} names no file, or one twice.")


def _entry(planned: Planned, others: Sequence[Entry]) -> Entry | None:
    """Return the entry of a planned file; None for an optional one in whose place the program has another."""
    entry = _of_plan(planned)
    if not os.path.lexists(entry.target):
        return entry
    of_others = [
        other for other in others if other.target == entry.target and other.own and is_own(other, entry.target)
    ]
    if of_others and (shareable := _shareable_entry(entry, of_others)):
        return replace(entry, how=shareable.how, stamp=shareable.stamp, text=shareable.text)
    if _serves(entry, planned):
        return replace(entry, own=False)
    if of_others and entry.optional:
        return replace(entry, replaces=of_others[0].stamp)
    if entry.optional:
        return None
    owner = "is another model's placement" if of_others else "is not flowhub's; it is never replaced"
    raise NameTaken(
        f"{entry.target} is there already, and {owner}.",
        hint="Move or remove it, then place the model again.",
    )


def _of_plan(planned: Planned) -> Entry:
    if isinstance(planned, PlannedLink):
        return Entry(EntryKind.LINK, planned.target, source=planned.source, size=_size(planned.source))
    if isinstance(planned, PlannedSymlink):
        return Entry(EntryKind.SYMLINK, planned.target, text=planned.text)
    try:
        text = planned.content.decode()
    except UnicodeDecodeError:
        raise InternalError(f"The plan's {planned.target} is not UTF-8 text.") from None
    return Entry(
        EntryKind.TEXT,
        planned.target,
        text=text,
        size=len(planned.content),
        optional=planned.optional,
        staged_in=planned.staged_in,
    )


def _size(source: Path) -> int:
    try:
        return source.stat().st_size
    except OSError as error:
        raise PlacementRefused(f"{source} cannot be read: {error.strerror or error}.") from error


def _shareable_entry(entry: Entry, of_others: Sequence[Entry]) -> Entry | None:
    """Return the entry of another placement whose file serves this one, too: the same link, the same text."""
    matching = [other for other in shared_with(entry, of_others) if other.kind is entry.kind]
    if entry.kind is EntryKind.SYMLINK:
        matching = [other for other in matching if other.text == entry.text]
    if entry.kind is EntryKind.LINK:
        matching = [other for other in matching if other.size == entry.size]
    return matching[0] if matching else None


def _serves(entry: Entry, planned: Planned) -> bool:
    """Return whether the file that the program made itself is what the plan wants."""
    target = entry.target
    try:
        if entry.kind is not EntryKind.LINK:
            return is_intact(entry, target)
        assert entry.source is not None
        by_name = isinstance(planned, PlannedLink) and planned.by_digest
        return target.is_file() and (target.samefile(entry.source) or (by_name and target.stat().st_size == entry.size))
    except OSError:
        return False
