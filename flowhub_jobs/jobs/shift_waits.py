"""Shifts flowhub's own waits (backoff, host, disk, network, `limit --for`) when the system clock is set.

A wait ends at a time of the system clock, which a screen can show and a reboot does not change. When that clock is set,
a backoff of a minute would end at once, or last a day. There are two cases:

- Within one boot, the system clock and the awake clock advance together. If their distance has changed since the last
  check, the system clock was set, and every wait is shifted by the difference.
- Across boots, the time for which the machine was off is unknown. But no wait may last longer than its length: a
  machine without a battery for its clock starts years or a day behind, and an earlier wait would last until the clock
  is corrected, or, shifted by that correction, for years. So a wait is cut to its length, counted from now.

Times that the user named (`--at`, a window) are not changed.
"""

from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import querying, writing
from flowhub_jobs.database.tables import controls, host_waits, is_live, jobs
from flowhub_jobs.system import Clock, boot_id
from flowhub_jobs.values.enums import Reason

NAME = "calendar"  # in `controls`: the distance of the system clock from the awake clock at the last check
NOTICED_US = 1_000_000
READ_EVERY_S = 10.0  # another worker may have seen the clock set, and written that down
OWN_REASONS = (Reason.BACKOFF, Reason.HOST_WAIT, Reason.DISK, Reason.NETWORK, Reason.STORE_OFFLINE)
OWN_CONTROLS = ("limit", "network")  # names in `controls` whose `until` is a length of time, not a time of day


class ClockWatch:
    """The clock of one worker, which calls every second. The last known distance is read again now and then."""

    def __init__(self, engine: sa.Engine, node: str, clock: Clock) -> None:
        self._engine, self._node, self._clock = engine, node, clock
        self._last: dict[str, Any] | None = None
        self._read_at = float("-inf")

    def shift_waits(self) -> int:
        """Do what the function `shift_waits` does, without a query where the clock was not set."""
        awake_s = self._clock.awake()
        clock_state = {"boot": boot_id(), "apart_us": _clock_offset_us(self._clock)}
        if awake_s - self._read_at < READ_EVERY_S and _is_unchanged(self._last, clock_state):
            return 0
        jump = shift_waits(self._engine, self._node, self._clock)
        with querying(self._engine) as tx:
            self._last, self._read_at = _stored_clock_state(tx, self._node), awake_s
        return jump


def shift_waits(engine: sa.Engine, node: str, clock: Clock) -> int:
    """Keep the length of the node's waits; return by how many microseconds the clock was set since the last check."""
    with querying(engine) as tx:
        if _is_unchanged(_stored_clock_state(tx, node), {"boot": boot_id(), "apart_us": _clock_offset_us(clock)}):
            return 0
    with writing(engine) as tx:
        return shift_waits_in(tx, node, clock)


def shift_waits_in(tx: sa.Connection, node: str, clock: Clock) -> int:
    """Do the same inside a transaction that writes, before it adds a wait."""
    stored = _stored_clock_state(
        tx, node
    )  # again, under the write lock: another worker may have shifted the waits since
    clock_state = {"boot": boot_id(), "apart_us": _clock_offset_us(clock)}
    if _is_unchanged(stored, clock_state):
        return 0
    same_boot = stored is not None and stored["boot"] == clock_state["boot"]
    jump = int(clock_state["apart_us"] - stored["apart_us"]) if stored is not None and same_boot else 0
    if same_boot:
        _shift(tx, node, jump)
    else:
        _shorten(tx, node, clock.now_us())
    tx.execute(sa.delete(controls).where(controls.c.node == node, controls.c.name == NAME))
    tx.execute(controls.insert().values(node=node, name=NAME, value=clock_state, set_at=clock.now_us()))
    return jump


def _stored_clock_state(tx: sa.Connection, node: str) -> dict[str, Any] | None:
    where = (controls.c.node == node, controls.c.name == NAME)
    value: dict[str, Any] | None = tx.execute(sa.select(controls.c.value).where(*where)).scalar()
    return value


def _shift(tx: sa.Connection, node: str, jump: int) -> None:
    """Shift every wait by the jump of the clock."""
    tx.execute(sa.update(jobs).where(*_own_waits(node)).values(not_before=jobs.c.not_before + jump))
    moved = {"until": host_waits.c.until + jump, "since": host_waits.c.since + jump}
    tx.execute(sa.update(host_waits).where(host_waits.c.node == node).values(**moved))
    moved = {"until": controls.c.until + jump, "set_at": controls.c.set_at + jump}
    tx.execute(sa.update(controls).where(*_own_controls(node)).values(**moved))


def _shorten(tx: sa.Connection, node: str, now_us: int) -> None:
    """Cut the waits of an earlier boot to their length, counted from now."""
    late = (*_own_waits(node), jobs.c.not_before > now_us + jobs.c.wait_us)
    tx.execute(sa.update(jobs).where(*late).values(not_before=now_us + jobs.c.wait_us))
    late_hosts = (host_waits.c.node == node, host_waits.c.until > now_us + host_waits.c.wait_us)
    since = sa.case((host_waits.c.since > now_us, now_us), else_=host_waits.c.since)
    until = now_us + host_waits.c.wait_us
    tx.execute(sa.update(host_waits).where(*late_hosts).values(until=until, since=since))
    late_controls = (*_own_controls(node), controls.c.set_at > now_us)
    until = now_us + controls.c.until - controls.c.set_at
    tx.execute(sa.update(controls).where(*late_controls).values(until=until, set_at=now_us))


def _own_waits(node: str) -> tuple[sa.ColumnElement[bool], ...]:
    return jobs.c.node == node, is_live, jobs.c.wait_reason.in_(OWN_REASONS), jobs.c.not_before.is_not(None)


def _own_controls(node: str) -> tuple[sa.ColumnElement[bool], ...]:
    return controls.c.node == node, controls.c.name.in_(OWN_CONTROLS), controls.c.until.is_not(None)


def _is_unchanged(stored: dict[str, Any] | None, clock_state: dict[str, Any]) -> bool:
    """Return whether the clock was not set. Corrections of a time service count once they add up to a second."""
    if stored is None or stored["boot"] != clock_state["boot"]:
        return False
    return bool(abs(clock_state["apart_us"] - stored["apart_us"]) < NOTICED_US)


def _clock_offset_us(clock: Clock) -> int:
    """Return by how many microseconds the system clock is ahead of the awake clock."""
    while True:
        before, now_us, after = clock.awake(), clock.now_us(), clock.awake()
        # A longer gap means that this process was suspended between the reads; the distance would include that time.
        if after - before < 0.1:
            return now_us - round(before * 1e6)
