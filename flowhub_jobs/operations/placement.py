"""Installed models in the folders of other programs: placed, listed, and removed from there."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from flowhub_jobs.errors import NotFound
from flowhub_jobs.home import Home
from flowhub_jobs.operations.library.placed import placement_rows
from flowhub_jobs.operations.session import Session
from flowhub_jobs.placement.apps import program_names
from flowhub_jobs.placement.condition import condition_of_placement
from flowhub_jobs.placement.entries import PlacementState
from flowhub_jobs.placement.rows import PlacementRow
from flowhub_jobs.store.links import LinkKind
from flowhub_jobs.times import moment


@dataclass(frozen=True, slots=True)
class ShownPlacement:
    """A row of `flowhub/placements/1`. `how` is None, and `path` the program's folder, until it is made.

    `error` is that of the last try, of one that could not be made yet; a worker tries it again at `next_at`.
    """

    name: str
    model: str | None
    option: str | None
    app: str
    path: Path
    how: LinkKind | None
    state: PlacementState
    error: dict[str, Any] | None = None
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class PlaceResult:
    """What `place` did with one model in one program. `new`: it was not there before."""

    placement: ShownPlacement
    new: bool
    notes: tuple[str, ...]


def place_model(session: Session, name: str, program: str, *, copy: bool = False) -> PlaceResult:
    """Place an installed model; one that is in place already stays as it is.

    Raises NotFound, StoreOffline, UsageInvalid, PlacementRefused, NameTaken, and the errors of the disk.
    """
    session.installed.require_store_of(name)
    home, own_name = session.installed.located(name)
    placed = home.placements.place(own_name, program, copy=copy)
    return PlaceResult(_shown_placement(home, placed.row), placed.new, placed.notes)


def placements(session: Session) -> list[ShownPlacement]:
    """Return the placements of this node's models, by name. Nothing is written."""
    listed = [_shown_placement(home, row) for home in session.home.each_store() for row in placement_rows(home)]
    return listed if len(session.home.each_store()) == 1 else sorted(listed, key=lambda one: one.name)


def broken_placements(session: Session, names: Iterable[str]) -> list[ShownPlacement]:
    """Return the placements of these models that are not as they were made."""
    chosen_names = set(names)
    return [
        placement
        for placement in placements(session)
        if placement.name in chosen_names and placement.state is not PlacementState.OK
    ]


def rows_of(session: Session, refs: Sequence[str], program: str | None) -> list[PlacementRow]:
    """Return the placements of these models, in one program or in all. Raises NotFound, UsageInvalid.

    A model that was removed by hand is found by the name that it had.
    """
    [app] = program_names([program]) if program else [None]
    key = session.installed.key
    every = [
        (key(home.store.name, row.name), row) for home in session.home.each_store() for row in placement_rows(home)
    ]
    rows = [(name, row) for name, row in every if app in (None, row.app)]
    by_id: dict[int, PlacementRow] = {}
    for ref in refs:
        names = {name for name, _ in rows if name == ref} or set(session.installed.find_all(ref))
        matching = [row for name, row in rows if name in names]
        if not matching:
            programs_text = f"in {app}" if app else "in any program"
            raise NotFound(f"{ref} is not placed {programs_text}.", hint="`flowhub placements` lists what is.")
        by_id |= {row.id: row for row in matching}
    return list(by_id.values())


def unplace(session: Session, rows: Sequence[PlacementRow]) -> list[ShownPlacement]:
    """Remove these placements; return them as they were."""
    removed = []
    for home in session.home.each_store():
        ids = {row.id for row in placement_rows(home)}
        own_rows = [row for row in rows if row.id in ids]
        removed += [_shown_placement(home, row) for row in own_rows]
        if own_rows:
            home.placements.remove(own_rows)
    return removed


def _shown_placement(home: Home, row: PlacementRow) -> ShownPlacement:
    state = condition_of_placement(row, home.entries.entry(row.name))
    path, next_at = row.path or row.root, moment(row.next_at)
    return ShownPlacement(row.name, row.model, row.option, row.app, path, row.how, state, row.error, next_at)
