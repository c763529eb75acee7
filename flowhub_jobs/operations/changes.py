"""Changes since a known moment: jobs, installed models, limit, schedule and cap. Reads rows only.

A `Position` says up to which rows a reader has seen them. It is made of row numbers and not of a server's memory, so a
reader that was away resumes exactly, also after a restart of the server: whatever changed is sent as it is now.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowhub_jobs.database.lazy import Row, Snapshot
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.cap import CAP
from flowhub_jobs.jobs.controls import JOBS_MAX, SCHEDULE
from flowhub_jobs.jobs.rate_limits import LIMIT
from flowhub_jobs.operations.caps import read_cap
from flowhub_jobs.operations.library.usage import StoreListing, list_store
from flowhub_jobs.operations.limits import in_force
from flowhub_jobs.operations.schemas.controls import cap_json, limit_json, schedule_json
from flowhub_jobs.operations.session import Session
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import Job

_POSITION = re.compile(r"([0-9]{1,18})-([0-9a-f]{1,8})-([0-9a-f]{1,8})")
_LAST_EVENT = "SELECT coalesce(max(id), 0) AS last FROM events"
_LIBRARY = (
    "SELECT count(*) AS models, max(id) AS newest, max(verified_at) AS verified, count(damage) AS damaged "
    "FROM artifacts WHERE node = :node"
)
_NAMES = [CAP, JOBS_MAX, LIMIT, SCHEDULE]
_CONTROLS = 'SELECT name, set_at, "until" FROM controls WHERE node = :node AND name IN :names ORDER BY name'
_CHANGED_JOBS = (
    "SELECT DISTINCT events.job_id AS job FROM events JOIN jobs ON jobs.id = events.job_id "
    "WHERE events.id > :last AND jobs.node = :node ORDER BY events.job_id"
)


@dataclass(frozen=True, slots=True)
class Position:
    """The last event that was seen, and fingerprints of the library and of the controls as they were seen."""

    event: int
    library: int
    controls: int

    def __str__(self) -> str:
        return f"{self.event}-{self.library:x}-{self.controls:x}"

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        """Return the position that `str` wrote; None for any other text."""
        match = _POSITION.fullmatch(text)
        return cls(int(match[1]), int(match[2], 16), int(match[3], 16)) if match else None


@dataclass(frozen=True, slots=True)
class Changes:
    """Changes up to `position`. `listing` and `controls` are None where they did not change."""

    position: Position
    jobs: Sequence[Job]
    listing: StoreListing | None
    controls: dict[str, Any] | None


def library_version(home: Home) -> int:
    """Return a fingerprint of the library, which another installation, removal or verification changes."""
    return _fingerprint(home.database.query(_LIBRARY, node=home.node))


def position_now(home: Home) -> Position:
    with home.database.reading() as snapshot:
        return _position(snapshot, home)


def next_turn(home: Home) -> int | None:
    """Return the microsecond at which time alone changes what is in force: a window turns, a limit or a cap ends."""
    now = home.clock.now_us()
    with home.database.reading() as snapshot:
        gates = home.controls.gates_in(snapshot)
        ends = [row["until"] for row in snapshot.rows(_CONTROLS, node=home.node, names=_NAMES)]
    schedule = home.controls.schedule()
    turns = [schedule.next_change(now) if schedule else None, gates.cap_until_us, *ends]
    return min((turn for turn in turns if turn is not None and turn > now), default=None)


def changes_since(session: Session, since: Position) -> Changes:
    """Return what changed since `since`, as it is now; the running jobs too, whose progress makes no event."""
    home = session.home
    with home.database.reading() as snapshot:
        now = _position(snapshot, home)
        rows = snapshot.rows(_CHANGED_JOBS, last=since.event, node=home.node) if now.event != since.event else []
    numbers = [row["job"] for row in rows]
    running = [number for number in home.queries.in_state([State.RUNNING]) if number not in set(numbers)]
    return Changes(
        position=now,
        jobs=home.queries.known([*numbers, *running]),
        listing=list_store(session) if now.library != since.library else None,
        controls=controls_object(session) if now.controls != since.controls else None,
    )


def current_state(session: Session) -> Changes:
    """Return the queue's overview, the installed models and the controls, for a reader without a position."""
    position = position_now(session.home)  # first: what changes while the rest is read is sent once more
    return Changes(position, session.queries.overview(), list_store(session), controls_object(session))


def controls_object(session: Session) -> dict[str, Any]:
    """Return limit, schedule and cap in force, each as its own verb prints it."""
    now, schedule = session.now_us(), session.controls.schedule()
    return {
        "limit": limit_json(in_force(session)),
        "schedule": schedule_json(schedule, now),
        "cap": cap_json(read_cap(session)),
    }


def _position(snapshot: Snapshot, home: Home) -> Position:
    [event] = snapshot.rows(_LAST_EVENT)
    library = snapshot.rows(_LIBRARY, node=home.node)
    controls = snapshot.rows(_CONTROLS, node=home.node, names=_NAMES)
    return Position(
        event["last"], _fingerprint(library), _fingerprint([*controls, _in_force(snapshot, home, controls)])
    )


def _in_force(snapshot: Snapshot, home: Home, controls: Sequence[Row]) -> Row:
    """Return what the controls mean now, which time alone changes."""
    now, gates = home.clock.now_us(), home.controls.gates_in(snapshot)
    ended = tuple(row["name"] for row in controls if row["until"] is not None and row["until"] <= now)
    return {"closed": gates.window_shut(now), "rate": gates.rate_bps, "cap": gates.cap_until_us, "ended": ended}


def _fingerprint(rows: Sequence[Any]) -> int:
    return zlib.crc32(repr([tuple(row.values()) for row in rows]).encode())
