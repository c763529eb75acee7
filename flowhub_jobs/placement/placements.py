"""Places installed models in the folders of other programs, and removes the placements.

    the row (placing) ─► folders, temporary files ─► their stamps in the row (staged) ─► renames ─► the row (placed)
    the row (removing) ─► flowhub's own files, folders ─► no row

All of it happens under one lock of the machine: a row of another state than `placed` is that of a killed process, and
the next call finishes or undoes what it began (`recovery`).
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from flowhub_jobs.errors import Busy, FlowhubError
from flowhub_jobs.placement.app import App
from flowhub_jobs.placement.apps import app_named
from flowhub_jobs.placement.condition import condition_of_placement
from flowhub_jobs.placement.context import PlacementContext
from flowhub_jobs.placement.entries import PlacementState
from flowhub_jobs.placement.make import Placed, make_placement, plan_for
from flowhub_jobs.placement.recovery import settle_all
from flowhub_jobs.placement.remove import remove_row
from flowhub_jobs.placement.rows import PlacementRow, RowState
from flowhub_jobs.placement.values import Plan
from flowhub_jobs.store.library_check import LibraryEntry
from flowhub_jobs.store.links import LinkKind
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import EventKind

log = logging.getLogger("flowhub.placement")
PATIENCE_S = 60.0  # for another process that places, of a caller that has its own work to go on with


@dataclass(frozen=True, slots=True)
class Placements:
    """The placements of one node."""

    context: PlacementContext

    def place(self, name: str, program: str, *, copy: bool = False) -> Placed:
        """Place an installed model in a program's folder. `copy`: where neither reflink nor hard link is possible.

        Raises NotFound, UsageInvalid, PlacementRefused, NameTaken, and the errors of the disk.
        """
        app = app_named(program)
        root, entry = self.context.root_of(app), self.context.entry(name)
        with self.context.alone():
            settle_all(self.context)
            if (there := self._row(entry, app, root)) is not None:
                if condition_of_placement(there, entry) is PlacementState.OK:
                    return Placed(there, new=False)
                remove_row(self.context, there)
            return make_placement(self.context, self._new_row(entry, app, root, copy=copy), entry, app)

    def plan(self, name: str, program: str) -> Plan:
        """Return what `place` would make. Nothing is written."""
        app = app_named(program)
        return plan_for(self.context, self.context.entry(name), app, self.context.root_of(app))

    def _row(self, entry: LibraryEntry, app: App, root: Path) -> PlacementRow | None:
        wanted = (entry.name, app.name, root)
        return next((row for row in self.context.here() if (row.name, row.app, row.root) == wanted), None)

    def _new_row(self, entry: LibraryEntry, app: App, root: Path, *, copy: bool) -> PlacementRow:
        how = LinkKind.COPY if copy else None
        values = self.context.new_values(entry.name, entry, app, root)
        row = self.context.rows.row(self.context.rows.insert(**values, how=how, state=RowState.WANTED))
        assert row is not None, "it was written a moment ago, under the lock"
        return row

    def remove(self, rows: Sequence[PlacementRow]) -> None:
        """Remove placements: flowhub's own files as it made them, and its empty folders. All else stays."""
        with self.context.alone():
            settle_all(self.context)
            for row in rows:
                if (there := self.context.rows.row(row.id)) is not None:
                    remove_row(self.context, there)

    # For jobs ------------------------------------------------------------------------------------------------------

    def want(self, tx: sa.Connection, job: int, artifact: Artifact, name: str) -> None:
        """Have the placements of a job made by `settle`, in the transaction that completes it.

        Those of the model's older versions follow to this one.
        """
        version = {"name": name, "artifact_key": artifact.key, "job_id": job}
        self.context.rows.move(tx, self.context.library.store_id, artifact.claim, version)
        for program in self.context.rows.programs_of(tx, job):
            try:
                app = app_named(program)
                values = self.context.new_values(name, artifact, app, self.context.root_of(app))
            except FlowhubError as error:  # config.toml was changed since
                log.warning("Job %d: %s", job, error.message, extra={"job": job})
            else:
                self.context.rows.want(tx, values | {"job_id": job})

    def settle(self, *, wait: bool) -> bool:
        """Finish or undo what killed processes have begun, and make the placements that completed jobs want.

        Without `wait`, nothing is done while another process places. Return whether nothing is left to do. No error
        of a placement is raised: its job hears of it.
        """
        if not self.context.rows.any_unfinished():
            return True
        try:
            with self.context.alone(patience_s=PATIENCE_S if wait else 0.0):
                settle_all(self.context)
        except Busy:
            return False
        return not self.context.rows.any_unfinished()

    def note(self, job: int, kind: EventKind, text: str, code: str | None) -> None:
        """Write an event into the history of a job."""
        self.context.rows.note(job, self.context.clock.now_us(), kind, text, code)

    # Read ----------------------------------------------------------------------------------------------------------

    def all(self) -> list[PlacementRow]:
        """Return the placements of the models in the store that is there."""
        return self.context.here()

    def state(self, row: PlacementRow) -> PlacementState:
        """Return whether a placement is as it was made, and of the version that is installed."""
        return condition_of_placement(row, self.context.library.entry(row.name))
