"""Writes the rows of `placements`, and the events in the histories of their jobs."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import jobs, placements
from flowhub_jobs.jobs.shared_update_sql import write_event
from flowhub_jobs.placement.entries import Entry
from flowhub_jobs.placement.rows import PlacementReader, PlacementRow, RowState
from flowhub_jobs.values.enums import EventKind

NO_ERROR = {"error": sa.null(), "tries": 0, "next_at": None}


class PlacementRows(PlacementReader):
    """Reads and writes the placements of one node."""

    @property
    def _engine(self) -> sa.Engine:
        return self._database.engine

    def insert(self, **values: Any) -> int:
        """Write a new row; return its number."""
        with writing(self._engine) as tx:
            row = placements.insert().values(node=self._node, **_column_values(values)).returning(placements.c.id)
            return int(tx.execute(row).scalar_one())

    def update(self, number: int, **values: Any) -> None:
        with writing(self._engine) as tx:
            tx.execute(sa.update(placements).where(placements.c.id == number).values(**_column_values(values)))

    def advance(self, row: PlacementRow, **values: Any) -> bool:
        """Write the next step; return False, and write nothing, if a newer version took the row over since then."""
        as_read = (placements.c[name] == getattr(row, name) for name in ("id", "store_id", "name", "artifact_key"))
        with writing(self._engine) as tx:
            is_kept = placements.c.state != RowState.REMOVING
            step = sa.update(placements).where(*as_read, is_kept).values(**_column_values(values))
            return bool(tx.execute(step).rowcount)

    def complete(self, row: PlacementRow, entries: Sequence[Entry], now: int) -> None:
        """Record that all files of a placement have their names.

        If a newer version took the row over, it is wanted still: these files are those of the older one.
        """
        if not self.advance(row, state=RowState.PLACED, entries=entries, placed_at=now, **NO_ERROR):
            self.update(row.id, entries=entries)

    def remove(self, row: PlacementRow, staying: Sequence[Path]) -> None:
        """Remove a row. The folders that stay, since they are not empty, become those of another row of its root."""
        heirs = _heirs(row, staying, self.all())
        with writing(self._engine) as tx:
            for number, folders in heirs.items():
                values = _column_values({"folders": folders})
                tx.execute(sa.update(placements).where(placements.c.id == number).values(**values))
            tx.execute(sa.delete(placements).where(placements.c.id == row.id))

    def write_event(self, job: int | None, now: int, kind: EventKind, text: str, code: str | None = None) -> None:
        """Write an event into the history of a job, if it is known and still there."""
        if job is None:
            return
        with writing(self._engine) as tx:
            if tx.execute(sa.select(jobs.c.id).where(jobs.c.id == job)).first():
                write_event(tx, job, now, kind, text, code)

    # In the transaction that completes a job --------------------------------------------------------------------------

    def move(self, tx: sa.Connection, store_ids: Sequence[str], claim: str, version: dict[str, Any]) -> None:
        """Have the placements of a model's older versions follow to the new one: its `name`, `artifact_key`, `job_id`.

        Their files stay until the new ones are made.
        """
        of_store = sa.and_(placements.c.node == self._node, placements.c.store_id.in_(store_ids))
        # Also those that could not be made yet, and those that another process makes now: its next step sees that.
        older = sa.and_(of_store, placements.c.claim == claim, placements.c.state != RowState.REMOVING)
        rows = tx.execute(sa.select(placements).where(older)).mappings().all()
        occupied = {(row["app"], row["root"]) for row in rows if row["name"] == version["name"]}
        for row in rows:
            renamed = row["name"] != version["name"]
            follows = not renamed or (row["app"], row["root"]) not in occupied
            occupied.add((row["app"], row["root"]))
            _follow_or_remove(tx, row["id"], version if follows else None)

    def follow(self, tx: sa.Connection, store_ids: Sequence[str], name: str, version: dict[str, Any]) -> None:
        """Have the placements of a model follow to another store: its `store_id`, `name`, `job_id` there.

        A program in which the model is placed from there already keeps that placement.
        """
        of_node = placements.c.node == self._node
        columns = (placements.c.id, placements.c.app, placements.c.root)
        at_target = sa.and_(of_node, *(placements.c[column] == version[column] for column in ("store_id", "name")))
        occupied = {(row.app, row.root) for row in tx.execute(sa.select(*columns).where(at_target))}
        of_model = sa.and_(placements.c.store_id.in_(store_ids), placements.c.name == name)
        to_follow = sa.and_(of_node, of_model, placements.c.state != RowState.REMOVING)
        for row in tx.execute(sa.select(*columns).where(to_follow)).all():
            _follow_or_remove(tx, row.id, None if (row.app, row.root) in occupied else version)

    def want(self, tx: sa.Connection, values: dict[str, Any]) -> None:
        """Have a model placed, unless it has a row for this program and folder already."""
        same_placement = sa.and_(
            placements.c.node == self._node,
            *(placements.c[name] == values[name] for name in ("store_id", "name", "app", "root")),
        )
        if tx.execute(sa.select(placements.c.id).where(same_placement)).first() is None:
            tx.execute(placements.insert().values(node=self._node, state=RowState.WANTED, **values))

    def programs_of(self, tx: sa.Connection, job: int) -> list[str]:
        """Return the programs that a job is to place its model in."""
        stored = tx.execute(sa.select(jobs.c.place).where(jobs.c.id == job)).scalar()
        return [name for name in stored if isinstance(name, str)] if isinstance(stored, list) else []


def _heirs(row: PlacementRow, staying: Sequence[Path], rows: Sequence[PlacementRow]) -> dict[int, list[Path]]:
    """Return the folders of the rows that take over some of those of a removed row. Pure."""
    heirs: dict[int, list[Path]] = {}
    others = [other for other in rows if other.id != row.id]
    for folder in staying:
        for other in others:
            if any(entry.target.is_relative_to(folder) for entry in other.entries):
                heirs.setdefault(other.id, [*other.folders]).append(folder)
                break
    return heirs


def _follow_or_remove(tx: sa.Connection, number: int, version: dict[str, Any] | None) -> None:
    """Have a placement made again for a `version` of its model; without one, removed."""
    changes = {"state": RowState.REMOVING} if version is None else {"state": RowState.WANTED, **NO_ERROR, **version}
    tx.execute(sa.update(placements).where(placements.c.id == number).values(**_column_values(changes)))


def _column_values(values: dict[str, Any]) -> dict[str, Any]:
    """Return the values as the columns keep them."""
    columns: dict[str, Any] = {}
    for name, value in values.items():
        if name == "entries":
            columns[name] = None if value is None else [entry.as_dict() for entry in value]
        elif name == "folders":
            columns[name] = [str(folder) for folder in value]
        else:
            columns[name] = str(value) if isinstance(value, Path | StrEnum) else value
    return columns
