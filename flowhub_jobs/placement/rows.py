"""Reads the rows of `placements` in plain SQL, so that screens start fast (`row_writes` writes them).

    wanted ──► placing ──► staged ──► placed ──► removing ──► (no row)
                 temporary   stamps
                 names       recorded

A row that is not `placed` belongs to the process that holds the lock `placement`; without one, its process was killed,
and the next holder finishes or undoes what it began (placement/place_and_unplace.py). One that a completed job wants,
and that could not be made for a passing reason, keeps its error and is tried again at `next_at`.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from flowhub_jobs.database.decode_row_values import json_of
from flowhub_jobs.database.lazy import Database, Row
from flowhub_jobs.placement.entries import Entry, entries_of
from flowhub_jobs.placement.retry_times import MAX_US, is_due
from flowhub_jobs.store.links import LinkKind


class RowState(StrEnum):
    WANTED = "wanted"  # by a job that is completed; the entries of an older version may still be in place
    PLACING = "placing"  # its folders and temporary files are being made
    STAGED = "staged"  # they are made; the names are being given
    PLACED = "placed"
    REMOVING = "removing"


@dataclass(frozen=True, slots=True)
class PlacementRow:
    """One placement of a model. Times are microseconds; `job` is the one whose history records it.

    `error` has the four keys of an error, of the last of so many `tries` that failed; it is tried again at `next_at`.
    """

    id: int
    store_id: str
    name: str
    artifact_key: str
    claim: str
    model: str | None
    option: str | None
    app: str
    root: Path
    state: RowState
    token: str
    path: Path | None
    how: LinkKind | None
    entries: tuple[Entry, ...]
    folders: tuple[Path, ...]
    job: int | None
    placed_at: int | None
    error: dict[str, Any] | None = None
    tries: int = 0
    next_at: int | None = None

    def is_due(self, now: int) -> bool:
        """Return whether it is to be finished, undone or tried again now."""
        return self.state is not RowState.PLACED and is_due(self.next_at, now)

    @property
    def hard_links(self) -> list[Path]:
        """The names of the store's files that flowhub made in the program's folder."""
        return [entry.target for entry in self.entries if entry.own and entry.how is LinkKind.HARDLINK]


_COLUMNS = ", ".join(
    f'"{name}"'
    for name in (
        *("id", "store_id", "name", "artifact_key", "claim", "model", "option", "app", "root", "state", "token"),
        *("path", "how", "entries", "folders", "job_id", "placed_at", "error", "tries", "next_at"),
    )
)


class PlacementReader:
    """Reads the placements of one node."""

    def __init__(self, database: Database, node: str) -> None:
        self._database, self._node = database, node

    def all(self) -> list[PlacementRow]:
        """Return all rows, by name, program and folder."""
        return self._rows("node = :node")

    def unfinished(self) -> list[PlacementRow]:
        return self._rows("node = :node AND state <> 'placed'")

    def any_due(self, now: int) -> bool:
        """Return whether one is to be finished, undone or tried again now."""
        query = """
            SELECT 1 FROM placements WHERE node = :node AND state <> 'placed'
            AND (next_at IS NULL OR next_at <= :now OR next_at > :latest) LIMIT 1
        """
        return bool(self._database.query(query, node=self._node, now=now, latest=now + MAX_US))

    def row(self, number: int) -> PlacementRow | None:
        rows = self._rows("node = :node AND id = :number", number=number)
        return rows[0] if rows else None

    def _rows(self, where: str, **values: Any) -> list[PlacementRow]:
        query = f"SELECT {_COLUMNS} FROM placements WHERE {where} ORDER BY name, app, root, id"  # noqa: S608, fixed text
        with self._database.reading() as tx:
            return [_row(row) for row in tx.rows(query, node=self._node, **values)]


def _row(row: Row) -> PlacementRow:
    kinds, states = frozenset[str](LinkKind), frozenset[str](RowState)
    stored = json_of(row["folders"])
    folders = stored if isinstance(stored, list) else []
    error = json_of(row["error"])
    return PlacementRow(
        **{name: row[name] for name in ("id", "store_id", "name", "artifact_key", "claim", "model", "option", "app")},
        root=Path(row["root"]),
        # A state of a newer version is left alone, as if nothing were to be done.
        state=RowState(row["state"]) if row["state"] in states else RowState.PLACED,
        token=row["token"],
        path=Path(row["path"]) if row["path"] else None,
        how=LinkKind(row["how"]) if row["how"] in kinds else None,
        entries=entries_of(json_of(row["entries"])),
        folders=tuple(Path(folder) for folder in folders if isinstance(folder, str)),
        job=row["job_id"],
        placed_at=row["placed_at"],
        error=error if isinstance(error, dict) and "message" in error else None,
        tries=row["tries"],
        next_at=row["next_at"],
    )
