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
from flowhub_jobs.jobs.shared_update_sql import write_event
from flowhub_jobs.placement.app import App
from flowhub_jobs.placement.apps import app_named
from flowhub_jobs.placement.carry_out_plan import Overtaken, PlacementResult, make_placement, plan_for
from flowhub_jobs.placement.condition import condition_of_placement
from flowhub_jobs.placement.context import PlacementContext
from flowhub_jobs.placement.entries import PlacementState
from flowhub_jobs.placement.find_hub_commit import learn_commit
from flowhub_jobs.placement.recovery import record_failure, refusal, settle_all
from flowhub_jobs.placement.remove import remove_row
from flowhub_jobs.placement.rows import PlacementRow, RowState
from flowhub_jobs.placement.values import Plan
from flowhub_jobs.store.library_check import LibraryEntry
from flowhub_jobs.store.links import LinkKind
from flowhub_jobs.values.artifacts import Artifact

log = logging.getLogger("flowhub.placement")
PATIENCE_S = 60.0  # for another process that places, if the caller has other work to do
HUB_PATIENCE_S = 5.0  # with a busy Hub, for a worker, which asks again later


def _needs_commit(row: PlacementRow) -> bool:
    try:
        return app_named(row.app).needs_commit
    except FlowhubError:  # the row is of a newer version; `place_pending` records the error
        return False


@dataclass(frozen=True, slots=True)
class Placements:
    """The placements of one node."""

    context: PlacementContext

    def place(self, name: str, program: str, *, copy: bool = False, job: int | None = None) -> PlacementResult:
        """Place an installed model in a program's folder. `copy`: where neither reflink nor hard link is possible.

        Raises NotFound, UsageInvalid, PlacementRefused, NameTaken, and the errors of the disk. One that a `job` wants,
        or has wanted, is tried again by a worker if the fault may pass.
        """
        try:
            app = app_named(program)
            root, entry = self.context.root_of(app), self.context.entry(name)
        except FlowhubError as error:
            self.context.rows.write_event(job, self.context.clock.now_us(), *refusal(program, error))
            raise
        fault = learn_commit(self.context, name, PATIENCE_S) if app.needs_commit else None
        with self.context.alone():
            settle_all(self.context)
            if (existing := self._row(entry, app, root)) is not None:
                if condition_of_placement(existing, entry) is PlacementState.OK:
                    return PlacementResult(existing, new=False)
                remove_row(self.context, existing)
                job = job if job is not None or existing.error is None else existing.job
            row = self._new_row(entry, app, root, copy=copy, job=job)
            try:
                return make_placement(self.context, row, entry, app, fault)
            except Overtaken:
                raise
            except FlowhubError as error:
                if job is not None:
                    record_failure(self.context, row, error)
                raise

    def plan(self, name: str, program: str) -> Plan:
        """Return what `place` would make. Nothing is written."""
        app = app_named(program)
        return plan_for(self.context, self.context.entry(name), app, self.context.root_of(app))

    def _row(self, entry: LibraryEntry, app: App, root: Path) -> PlacementRow | None:
        key = (entry.name, app.name, root)
        return next((row for row in self.context.rows_here() if (row.name, row.app, row.root) == key), None)

    def _new_row(self, entry: LibraryEntry, app: App, root: Path, *, copy: bool, job: int | None) -> PlacementRow:
        link_kind = LinkKind.COPY if copy else None
        values = self.context.new_values(entry.name, entry, app, root) | {"job_id": job}
        row = self.context.rows.row(self.context.rows.insert(**values, how=link_kind, state=RowState.WANTED))
        assert row is not None, "it was written a moment ago, under the lock"
        return row

    def remove(self, rows: Sequence[PlacementRow]) -> None:
        """Remove placements: flowhub's own files as it made them, and its empty folders. All else stays."""
        with self.context.alone():
            settle_all(self.context)
            for row in rows:
                if (current := self.context.rows.row(row.id)) is not None:
                    remove_row(self.context, current)

    # For jobs ------------------------------------------------------------------------------------------------------

    def want(self, tx: sa.Connection, job: int, artifact: Artifact, name: str) -> None:
        """Have the placements of a job made by `place_pending`, in the transaction that completes it.

        Those of the model's older versions follow to this one.
        """
        version = {"name": name, "artifact_key": artifact.key, "job_id": job}
        self.context.rows.move(tx, self.context.library.ids_here, artifact.claim, version)
        for program in self.context.rows.programs_of(tx, job):
            try:
                app = app_named(program)
                values = self.context.new_values(name, artifact, app, self.context.root_of(app))
            except FlowhubError as error:  # config.toml was changed since, or the program's folder is unknown
                log.warning("Job %d: %s", job, error.message, extra={"job": job})
                write_event(tx, job, self.context.clock.now_us(), *refusal(program, error))
            else:
                self.context.rows.want(tx, values | {"job_id": job})

    def follow(self, tx: sa.Connection, job: int, store_ids: Sequence[str], old: str, new: str) -> None:
        """Have the placements of the model `old` of those stores follow to `new` in this store, by `place_pending`."""
        version = {"store_id": self.context.library.store_id, "name": new, "job_id": job}
        self.context.rows.follow(tx, store_ids, old, version)

    def place_pending(self, *, wait: bool) -> bool:
        """Finish or undo what killed processes have begun, and make the placements that completed jobs want.

        Without `wait`, nothing is done while another process places. Return whether nothing is left to do now. No error
        of a placement is raised: its job's history records it.
        """
        if not self.any_due():
            return True
        faults = self._learn_commits()
        try:
            with self.context.alone(patience_s=PATIENCE_S if wait else 0.0):
                settle_all(self.context, faults)
        except Busy:
            return False
        return not self.any_due()

    def _learn_commits(self) -> dict[str, FlowhubError]:
        """Have the Hub asked for the commits that due placements need; return its errors, by the model's name.

        That is done without the lock, since the Hub may be slow.
        """
        now = self.context.clock.now_us()
        due = [row for row in self.context.rows.unfinished() if row.state is RowState.WANTED and row.is_due(now)]
        names = {row.name for row in due if _needs_commit(row)}
        faults = {name: learn_commit(self.context, name, HUB_PATIENCE_S) for name in names}
        return {name: fault for name, fault in faults.items() if fault is not None}

    def any_due(self) -> bool:
        return self.context.rows.any_due(self.context.clock.now_us())

    # Read ----------------------------------------------------------------------------------------------------------

    def all(self) -> list[PlacementRow]:
        """Return the placements of the models in the mounted store."""
        return self.context.rows_here()

    def state(self, row: PlacementRow) -> PlacementState:
        """Return whether a placement is as it was made, and of the version that is installed."""
        return condition_of_placement(row, self.context.library.entry(row.name))
