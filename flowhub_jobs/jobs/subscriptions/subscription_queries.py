"""Reads subscriptions as values, in plain SQL: `status` shows them and must start fast."""

from dataclasses import dataclass
from typing import Any

from flowhub_jobs.database.decode_row_values import json_of
from flowhub_jobs.database.lazy import Database, Row, Snapshot
from flowhub_jobs.jobs.subscriptions.subscription_values import Subscription, SubscriptionKind, Terms

_COLUMNS = (
    'id, kind, ref, include, every_us, at_minute, "keep", place, created_at, next_at, checked_at, changed_at, job_id, '
    "error, failures, failing_since, version"
)
_ALL = f"SELECT {_COLUMNS} FROM subscriptions WHERE node = :node ORDER BY id"  # noqa: S608, fixed text
# A check that lies ahead of the clock: it was set back since.
_DUE = (
    f"SELECT {_COLUMNS} FROM subscriptions WHERE node = :node AND (next_at <= :now OR checked_at > :now) "  # noqa: S608, fixed text
    "ORDER BY next_at, id LIMIT :most"
)
_SUMMARY = (
    "SELECT count(*) AS many, min(next_at) AS next_at, sum(CASE WHEN failures > 0 THEN 1 ELSE 0 END) AS failing "
    "FROM subscriptions WHERE node = :node"
)
_ITEMS = "SELECT item, version FROM subscription_items WHERE subscription_id = :id"
_JOBS = "SELECT job_id FROM subscription_jobs WHERE subscription_id = :id"
_SAME = ("id", "ref", "created_at", "next_at", "checked_at", "changed_at", "failures", "failing_since", "version")
DUE_MAX = 200
_KINDS = frozenset[str](SubscriptionKind)


@dataclass(frozen=True, slots=True)
class Summary:
    """How many subscriptions there are, when the first check is due, and how many of the last checks failed."""

    count: int
    next_at: int | None
    failing: int


class SubscriptionQueries:
    """Reads the subscriptions of one node."""

    def __init__(self, database: Database, node: str) -> None:
        self._database, self._node = database, node

    def all(self) -> list[Subscription]:
        """Return all subscriptions, the oldest first."""
        return self._read(_ALL)

    def due(self, now_us: int) -> list[Subscription]:
        """Return those whose check is due, the one first that waits longest; 200 at most."""
        return self._read(_DUE, now=now_us, most=DUE_MAX)

    def summary(self) -> Summary:
        with self._database.reading() as snapshot:
            [row] = snapshot.rows(_SUMMARY, node=self._node)
        return Summary(row["many"], row["next_at"], row["failing"] or 0)

    def items(self, subscription: int) -> dict[str, str]:
        """Return the version of each item that was seen."""
        with self._database.reading() as snapshot:
            return {row["item"]: row["version"] for row in snapshot.rows(_ITEMS, id=subscription)}

    def jobs(self, subscription: int) -> set[int]:
        """Return the jobs that the subscription queued."""
        with self._database.reading() as snapshot:
            return {row["job_id"] for row in snapshot.rows(_JOBS, id=subscription)}

    def _read(self, sql: str, **values: Any) -> list[Subscription]:
        return [_subscription(row) for row in self._database.query(sql, node=self._node, **values)]


def subscriptions_of(snapshot: Snapshot, node: str) -> list[Subscription]:
    """Return all subscriptions of a node, as one state of the database has them."""
    return _rows(snapshot, _ALL, node=node)


def _rows(snapshot: Snapshot, sql: str, **values: Any) -> list[Subscription]:
    return [_subscription(row) for row in snapshot.rows(sql, **values) if row["kind"] in _KINDS]


def _subscription(row: Row) -> Subscription:
    error = json_of(row["error"])
    return Subscription(
        kind=SubscriptionKind(row["kind"]),
        terms=Terms(
            every_us=row["every_us"],
            at_minute=row["at_minute"],
            include=_texts(row["include"]),
            keep=row["keep"],
            place=_texts(row["place"]),
        ),
        job=row["job_id"],
        error=error if isinstance(error, dict) else None,
        **{name: row[name] for name in _SAME},
    )


def _texts(stored: Any) -> tuple[str, ...]:
    """Return the texts of a JSON column; none where it is damaged."""
    values = json_of(stored)
    return tuple(one for one in values if isinstance(one, str)) if isinstance(values, list) else ()
