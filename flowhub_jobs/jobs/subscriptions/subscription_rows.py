"""Writes subscriptions: follow, unfollow, results of checks. Each write is conditional on the row read before."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.batches import in_groups
from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import subscription_items, subscription_jobs, subscriptions
from flowhub_jobs.jobs.shared_update_sql import write_event
from flowhub_jobs.jobs.subscriptions.subscription_values import (
    CheckOutcome,
    NewJob,
    Subscription,
    SubscriptionKind,
    Terms,
)
from flowhub_jobs.system import Clock
from flowhub_jobs.values.enums import EventKind


class CheckOvertaken(Exception):
    """Another worker has written the result of a check, or the subscription was removed, since this one began."""


class SubscriptionRows:
    """Writes the subscriptions of one node."""

    def __init__(self, engine: sa.Engine, node: str, clock: Clock) -> None:
        self._engine, self._node, self._clock = engine, node, clock

    # The user's ----------------------------------------------------------------------------------------------------

    def add(self, kind: SubscriptionKind, ref: str, terms: Terms, next_at: int) -> None:
        """Follow a reference, or change the terms of a followed one. Changed globs start from what exists now."""
        values = _of_terms(terms)
        with writing(self._engine) as tx:
            where = (subscriptions.c.node == self._node, subscriptions.c.ref == ref)
            query = sa.select(subscriptions.c.id, subscriptions.c.include).where(*where)
            existing = tx.execute(query).first()
            if existing is None:
                row = {"node": self._node, "kind": kind, "ref": ref, "created_at": self._clock.now_us()}
                tx.execute(subscriptions.insert().values(**row, **values, next_at=next_at))
                return
            if (existing.include or []) != values["include"]:
                _forget_items(tx, existing.id)
            new_values = values | {"next_at": next_at, "version": subscriptions.c.version + 1}
            tx.execute(sa.update(subscriptions).where(*where).values(**new_values))

    def remove(self, numbers: Sequence[int]) -> None:
        """Unfollow. The jobs that they queued, and the installed models, stay."""
        with writing(self._engine) as tx:
            for group in in_groups(numbers):
                _remove(tx, sa.and_(subscriptions.c.node == self._node, subscriptions.c.id.in_(group)))

    # A check's -----------------------------------------------------------------------------------------------------

    def record(
        self,
        tx: sa.Connection,
        before: Subscription,
        known: Mapping[str, str],
        result: CheckOutcome,
        new_jobs: Sequence[NewJob],
        next_at: int,
    ) -> None:
        """Write the result of a check, inside the transaction that queues its jobs.

        `before` and `known` are the subscription and its items as the check read them. Raises CheckOvertaken if the
        row has another version by now: then nothing of this check may stay.
        """
        now_us = self._clock.now_us()
        as_read = (subscriptions.c.id == before.id, subscriptions.c.version == before.version)
        values = {
            **_of_result(before, known, result, new_jobs, now_us),
            "next_at": next_at,
            "version": before.version + 1,
        }
        if tx.execute(sa.update(subscriptions).where(*as_read).values(**values)).rowcount != 1:
            raise CheckOvertaken
        self._write_items(tx, before.id, known, result)
        for one in new_jobs:
            tx.execute(subscription_jobs.insert().values(subscription_id=before.id, job_id=one.job))
            if one.text is not None:
                write_event(tx, one.job, now_us, EventKind.UPDATE, one.text)

    def _write_items(self, tx: sa.Connection, number: int, known: Mapping[str, str], result: CheckOutcome) -> None:
        changed = {item: version for item, version in result.seen.items() if known.get(item) != version}
        removed = known.keys() - result.seen.keys() if result.complete else set()
        for group in in_groups([*(item for item in changed if item in known), *removed]):
            where = (subscription_items.c.subscription_id == number, subscription_items.c.item.in_(group))
            tx.execute(sa.delete(subscription_items).where(*where))
        if changed:
            rows = [{"subscription_id": number, "item": item, "version": one} for item, one in changed.items()]
            tx.execute(subscription_items.insert(), rows)


def remove_of_node(tx: sa.Connection, node: str) -> None:
    """Remove the subscriptions of a node that is removed, inside the transaction that does so."""
    _remove(tx, subscriptions.c.node == node)


def _remove(tx: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    numbers = sa.select(subscriptions.c.id).where(which).scalar_subquery()
    for table in (subscription_items, subscription_jobs):
        tx.execute(sa.delete(table).where(table.c.subscription_id.in_(numbers)))
    tx.execute(sa.delete(subscriptions).where(which))


def _of_terms(terms: Terms) -> dict[str, Any]:
    return {
        "every_us": terms.every_us,
        "at_minute": terms.at_minute,
        "include": list(terms.include),
        "keep": terms.keep,
        "place": list(terms.place),
    }


def _of_result(
    before: Subscription, known: Mapping[str, str], result: CheckOutcome, new_jobs: Sequence[NewJob], now_us: int
) -> dict[str, Any]:
    """Return the columns that the result of a check changes."""
    changed = bool(new_jobs) or any(item in known and known[item] != one for item, one in result.seen.items())
    values: dict[str, Any] = {"checked_at": now_us, "error": sa.null(), "failures": 0, "failing_since": None}
    if result.error is not None:
        same_error = before.error is not None and before.error.get("code") == result.error.code
        values |= {
            "error": result.error.as_dict(),
            "failures": before.failures + 1,
            "failing_since": before.failing_since if same_error and before.failing_since else now_us,
        }
    if changed:
        values["changed_at"] = now_us
    if new_jobs:
        values["job_id"] = new_jobs[-1].job
    return values


def _forget_items(tx: sa.Connection, number: int) -> None:
    tx.execute(sa.delete(subscription_items).where(subscription_items.c.subscription_id == number))
