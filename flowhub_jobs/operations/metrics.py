"""Figures of one node for monitoring: counts by state and error code, without names of models, files or hosts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.operations.session import Session
from flowhub_jobs.store.space import device_of
from flowhub_jobs.values.enums import State

STALLS = ("stalled", "too_slow")  # error codes
_STATES = "SELECT state, count(*) AS jobs FROM jobs WHERE node = :node GROUP BY state"
_BYTES = (
    "SELECT coalesce(sum(bytes_fetched), 0) AS fetched, "
    "coalesce(sum(CASE WHEN state = 'running' THEN rate_bps END), 0) AS rate FROM jobs WHERE node = :node"
)
_ERRORS = (
    "SELECT events.code, count(*) AS events FROM events JOIN jobs ON jobs.id = events.job_id "
    "WHERE events.code IS NOT NULL AND jobs.node = :node GROUP BY events.code ORDER BY events.code"
)
_LIBRARY = "SELECT count(*) AS models, coalesce(sum(bytes), 0) AS bytes FROM artifacts WHERE node = :node"
_HEARTBEATS = "SELECT worker, seen_at FROM workers WHERE node = :node"


@dataclass(frozen=True, slots=True)
class DiskRoom:
    """Bytes that live jobs have yet to put on a disk, and those that are free; None while it cannot be read."""

    promised: int
    free: int | None


@dataclass(frozen=True, slots=True)
class Metrics:
    """Bytes and seconds. `errors` counts events by error code.

    `disks` has each disk with stores, that of the default store first.
    `heartbeat_age_s` is that of the living worker that was silent longest; None without one.
    """

    jobs: Mapping[str, int]
    fetched: int
    rate_bps: int
    errors: Mapping[str, int]
    models: int
    installed: int
    disks: Sequence[DiskRoom]
    workers: int
    heartbeat_age_s: float | None

    @property
    def stalls(self) -> int:
        return sum(self.errors.get(code, 0) for code in STALLS)


def read_metrics(session: Session) -> Metrics:
    home, now = session.home, session.now_us()
    with home.database.reading() as snapshot:
        states = {row["state"]: row["jobs"] for row in snapshot.rows(_STATES, node=home.node)}
        [totals] = snapshot.rows(_BYTES, node=home.node)
        errors = {row["code"]: row["events"] for row in snapshot.rows(_ERRORS, node=home.node)}
        [library] = snapshot.rows(_LIBRARY, node=home.node)
        heartbeats = {row["worker"]: row["seen_at"] for row in snapshot.rows(_HEARTBEATS, node=home.node)}
    ages = [(now - at) / 1e6 for worker, at in heartbeats.items() if home.is_dead(worker) is False]
    return Metrics(
        jobs={str(state): states.get(state, 0) for state in State},
        fetched=totals["fetched"],
        rate_bps=totals["rate"],
        errors=errors,
        models=library["models"],
        installed=library["bytes"],
        disks=_disks(session),
        workers=len(ages),
        heartbeat_age_s=max(0.0, *ages) if ages else None,
    )


def _disks(session: Session) -> list[DiskRoom]:
    """Return the room of each disk that has stores, counted once however many stores it has."""
    disks: dict[int, list[Session]] = {}
    for store_session in session.each_store():
        disks.setdefault(device_of(store_session.store.root), []).append(store_session)
    free = {
        disk: [room for store_session in on_disk if (room := _free(store_session)) is not None]
        for disk, on_disk in disks.items()
    }
    return [DiskRoom(on_disk[0].home.bytes_promised(), next(iter(free[disk]), None)) for disk, on_disk in disks.items()]


def _free(session: Session) -> int | None:
    try:
        return None if session.home.store_is_away() else session.disk_free
    except (FlowhubError, OSError):
        return None
