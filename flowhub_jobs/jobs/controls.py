"""The settings that a user changes while workers run: limit, schedule, cap.

Workers read these rows about every second, or when the database notifies them.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import tzinfo
from typing import Any

from flowhub_jobs.database.decode_row_values import json_of
from flowhub_jobs.database.lazy import Database, Row, Snapshot
from flowhub_jobs.jobs.cap import CAP, Cap, CapUse, use_of
from flowhub_jobs.jobs.schedule import UNLIMITED, Schedule
from flowhub_jobs.jobs.states import Gates
from flowhub_jobs.system import Clock

SCHEDULE = "schedule"  # Schedule.as_json
JOBS_MAX = "jobs_max"  # {"jobs": how many may run at a time on the node}
NETWORK = "network"  # {"text": the cause, "place": [host, port] to probe}, until the next probe
GATES = (SCHEDULE, NETWORK, CAP, JOBS_MAX)
ControlsInForce = dict[str, tuple[Any, int | None]]  # value and end, by name
_IN_FORCE = (
    'SELECT name, value, "until" FROM controls '
    'WHERE node = :node AND name IN :names AND ("until" IS NULL OR "until" > :now)'
)


class Controls:
    """The controls of one node, by name. A value is JSON; with `until_us` it ends by itself."""

    def __init__(self, database: Database, node: str, clock: Clock) -> None:
        self._database, self._node, self._clock = database, node, clock

    def set(self, name: str, value: Any, *, until_us: int | None = None) -> None:
        """Set a control; None deletes it."""
        import sqlalchemy as sa  # not at the top: a command that only reads needs no SQLAlchemy

        from flowhub_jobs.database.engine import writing
        from flowhub_jobs.database.notifications import notify_changed
        from flowhub_jobs.database.tables import controls
        from flowhub_jobs.jobs.shift_waits import shift_waits_in

        with writing(self._database.engine) as tx:
            if until_us is not None:  # a clock change that no worker has seen yet must not shift this new control
                shift_waits_in(tx, self._node, self._clock)
            tx.execute(sa.delete(controls).where(controls.c.node == self._node, controls.c.name == name))
            if value is not None:
                row = {"node": self._node, "name": name, "value": value, "until": until_us}
                tx.execute(controls.insert().values(**row, set_at=self._clock.now_us()))
            notify_changed(tx, self._node)

    def get(self, name: str) -> tuple[Any, int | None] | None:
        """Return a control that is in force, and until when; None if there is none, or its time is over."""
        return self.in_force(name).get(name)

    def schedule(self) -> Schedule | None:
        control = self.get(SCHEDULE)
        return Schedule.from_json(control[0]) if control else None

    def jobs_max(self) -> int | None:
        """Return how many jobs may run at a time on the node; None: as many as its workers have slots."""
        control = self.get(JOBS_MAX)
        return control[0]["jobs"] if control else None

    def cap(self, zone: tzinfo | None = None) -> CapUse | None:
        """Return the cap and its use now; `zone` is that of its days, None the machine's."""
        with self._database.reading() as snapshot:
            control = self._in_force(snapshot, CAP).get(CAP)
            return self._use(snapshot, control, zone) if control else None

    def gates(self, zone: tzinfo | None = None) -> Gates:
        """Return what holds all jobs of the node now; `zone` is that of the schedule's times, None the machine's."""
        return self.gates_of(self.in_force(*GATES), zone)

    def in_force(self, *names: str) -> ControlsInForce:
        """Return the controls of these names that are in force."""
        return _by_name(self._database.query(_IN_FORCE, **self._names(*names)))

    def gates_of(self, in_force: ControlsInForce, zone: tzinfo | None = None) -> Gates:
        """Return the gates from what `in_force` returned for GATES, and perhaps for other names."""
        if CAP not in in_force:  # every worker asks every second: one query, and no transaction
            return self._gates(in_force, None, zone)
        with self._database.reading() as snapshot:
            return self.gates_in(snapshot, zone)

    def gates_in(self, snapshot: Snapshot, zone: tzinfo | None = None) -> Gates:
        """Return the same, as one state of the database has it."""
        return self._gates(self._in_force(snapshot, *GATES), snapshot, zone)

    def _gates(self, in_force: ControlsInForce, snapshot: Snapshot | None, zone: tzinfo | None) -> Gates:
        """Return the gates of these controls; `snapshot` is needed where a cap is one of them."""
        now_us = self._clock.now_us()
        why, down_until = in_force.get(NETWORK, ({}, None))
        most = in_force[JOBS_MAX][0]["jobs"] if JOBS_MAX in in_force else None
        gates = Gates(network_down_until_us=down_until, network_text=why.get("text"), jobs_max=most)
        if CAP in in_force and snapshot is not None:
            gates = replace(gates, cap_until_us=self._use(snapshot, in_force[CAP], zone).holds_until)
        if SCHEDULE not in in_force:
            return gates
        schedule = Schedule.from_json(in_force[SCHEDULE][0])
        rate = schedule.rate_at(now_us, zone)
        if not rate:
            return replace(gates, window_opens_us=schedule.opens_at(now_us, zone))
        return replace(gates, rate_bps=None if rate == UNLIMITED else rate)

    def _use(self, snapshot: Snapshot, control: tuple[Any, int | None], zone: tzinfo | None) -> CapUse:
        return use_of(snapshot, self._node, Cap.from_json(control[0]), self._clock.now_us(), zone)

    def _in_force(self, snapshot: Snapshot, *names: str) -> ControlsInForce:
        return _by_name(snapshot.rows(_IN_FORCE, **self._names(*names)))

    def _names(self, *names: str) -> dict[str, Any]:
        """Return the values of `_IN_FORCE`."""
        return {"node": self._node, "names": list(names), "now": self._clock.now_us()}


def still_in_force(in_force: ControlsInForce, now_us: int) -> ControlsInForce:
    """Return those whose time is not over at that microsecond."""
    return {
        name: (value, until_us) for name, (value, until_us) in in_force.items() if until_us is None or until_us > now_us
    }


def _by_name(rows: Sequence[Row]) -> ControlsInForce:
    return {row["name"]: (json_of(row["value"]), row["until"]) for row in rows}
