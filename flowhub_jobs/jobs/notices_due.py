"""Reads the events that the user is to be notified of, with long waits and failed subscription checks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.lazy import snapshot_of
from flowhub_jobs.database.tables import events, is_live, jobs
from flowhub_jobs.errors import ERRORS
from flowhub_jobs.errors.hint_placeholders import for_jobs
from flowhub_jobs.jobs.remedies import disk_wait_remedy, what_to_do
from flowhub_jobs.jobs.report_values import DISK_WAIT_REASONS, PLACEMENT_REMEDY, PLACEMENT_WAIT_REMEDY
from flowhub_jobs.jobs.subscriptions.subscription_queries import subscriptions_of
from flowhub_jobs.jobs.subscriptions.subscription_values import Subscription
from flowhub_jobs.times import moment, rfc3339
from flowhub_jobs.values.enums import EventKind, JobKind, Reason, State
from flowhub_jobs.values.notify_settings import FAILED, NEEDS_YOU, QUEUE_EMPTY, UPDATE

PATIENCE_US = 3_600_000_000  # a job that is parked for longer needs a person
BATCH = 100  # of one notice; the rest is in the next
SIGN_IN = 4  # the exit status of sign-in and licence
_ENDS = (EventKind.COMPLETED, EventKind.FAILED, EventKind.CANCELLED, EventKind.RESCUED)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far the notices have come, as `controls` keeps it.

    `event` and `ended` are numbers of events: the last one read, and the last end of a job before an empty queue was
    announced. `at` is the last notice's microsecond. `parked` is [since, bytes kept, whether announced] by job,
    `subscriptions` since when each subscription is failing for which the user was notified.
    """

    event: int
    ended: int
    at: int = 0
    parked: Mapping[str, Sequence[int]] = field(default_factory=dict)
    subscriptions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Notification:
    """The events of a notice, oldest first, and the cursor after it. `no_job_runs`: no running job may add to it."""

    items: tuple[dict[str, Any], ...]
    since: int  # the microsecond of the oldest
    no_job_runs: bool
    cursor: Cursor


class PendingNotifications:
    """Reads the pending events of one node; `on` are the kinds that the user wants."""

    def __init__(self, engine: sa.Engine, node: str, on: Sequence[str]) -> None:
        self._engine, self._node, self._on = engine, node, on

    def first_cursor(self) -> Cursor:
        """Return the cursor for the first notice: it starts with the events from now on."""
        with reading(self._engine) as tx:
            last = _last_event(tx)
        return Cursor(event=last, ended=last)

    def read(self, cursor: Cursor, now_us: int) -> Notification:
        """Return what is new, with the next cursor, also where there is nothing."""
        with reading(self._engine) as tx:
            failed, last_event = self._failed(tx, cursor.event)
            running = self._exists(tx, jobs.c.state == State.RUNNING)
            parked, parked_ids = self._parked_events(tx, cursor, now_us)
            ended, counts = self._queue_end(tx, cursor.ended)
            updates = self._updates(tx, cursor.event, last_event)
            blocked = self._blocked_subscriptions(tx)
        if not {FAILED, NEEDS_YOU} & set(self._on):
            failed = []
        if NEEDS_YOU not in self._on:
            parked, blocked = [], []
        fresh, failing_since = _new_blocked(blocked, cursor)
        items = [
            *(_failure(event, job) for event, job in failed),
            *(_blocked(one) for one in fresh),
            *parked,
            *(_update(event, ref) for event, ref in updates),
            *([_queue_empty_event(now_us, counts)] if counts else []),
        ]
        # A parked job has waited for long enough.
        times = [*(event["at"] for event, _ in [*failed, *updates]), *(one.failing_since or now_us for one in fresh)]
        since = min([now_us, *times, *(now_us - PATIENCE_US for _ in parked)])
        after = replace(cursor, event=last_event, ended=ended, parked=parked_ids, subscriptions=failing_since)
        return Notification(tuple(items), since, not running, after)

    def _exists(self, tx: sa.Connection, which: sa.ColumnElement[bool]) -> bool:
        conditions = (jobs.c.node == self._node, is_live, which)
        return tx.execute(sa.select(jobs.c.id).where(*conditions).limit(1)).first() is not None

    # Both ask the events first, then the jobs: joined, the planner would begin with all jobs there ever were.

    def _failed(self, tx: sa.Connection, after: int) -> tuple[list[tuple[sa.RowMapping, sa.RowMapping]], int]:
        """Return the jobs that failed, or need the user, since then, each with its event; and the last event read."""
        last = _last_event(tx)
        where = (events.c.id > after, events.c.kind.in_(_OF_A_FAULT))
        rows = tx.execute(sa.select(events).where(*where).order_by(events.c.id).limit(BATCH)).mappings().all()
        those_jobs = (jobs.c.node == self._node, jobs.c.id.in_({row["job_id"] for row in rows}))
        by_number = {job["id"]: job for job in tx.execute(sa.select(jobs).where(*those_jobs)).mappings()}
        # For a job that its rescuer failed, the rescue is the event.
        by_job = {
            row["job_id"]: (row, job)
            for row in rows
            if (job := by_number.get(row["job_id"]))
            and (row["kind"] != EventKind.RESCUED or job["state"] == State.FAILED)
        }
        return list(by_job.values()), rows[-1]["id"] if len(rows) == BATCH else max(last, after)

    def _updates(self, tx: sa.Connection, after: int, last: int) -> list[tuple[sa.RowMapping, str]]:
        """Return the events of newer versions that a subscription queued, each with the reference of its job."""
        if UPDATE not in self._on:
            return []
        where = (events.c.id > after, events.c.id <= last, events.c.kind == EventKind.UPDATE)
        rows = tx.execute(sa.select(events).where(*where).order_by(events.c.id)).mappings().all()
        those_jobs = (jobs.c.node == self._node, jobs.c.id.in_({row["job_id"] for row in rows}))
        refs = {row.id: row.ref for row in tx.execute(sa.select(jobs.c.id, jobs.c.ref).where(*those_jobs))}
        return [(row, refs[row["job_id"]]) for row in rows if row["job_id"] in refs]

    def _blocked_subscriptions(self, tx: sa.Connection) -> list[Subscription]:
        """Return the subscriptions whose last check found something that only the user can change."""
        subscriptions = subscriptions_of(snapshot_of(tx), self._node)
        return [one for one in subscriptions if one.needs_user]

    def _queue_end(self, tx: sa.Connection, after: int) -> tuple[int, dict[str, int]]:
        """Return the last end of a job and, if the queue is empty since, how many ended in which state."""
        if QUEUE_EMPTY not in self._on or self._exists(tx, is_live):
            return after, {}
        ends = (events.c.id > after, events.c.kind.in_(_ENDS))
        last = tx.execute(sa.select(sa.func.max(events.c.id)).where(*ends)).scalar()
        if last is None:
            return after, {}
        ended_jobs = sa.select(events.c.job_id).where(*ends)
        those_jobs = (jobs.c.node == self._node, jobs.c.id.in_(ended_jobs))
        query = sa.select(jobs.c.state, sa.func.count().label("many")).where(*those_jobs).group_by(jobs.c.state)
        return last, {row.state: row.many for row in tx.execute(query)}

    def _parked_events(
        self, tx: sa.Connection, cursor: Cursor, now_us: int
    ) -> tuple[list[dict[str, Any]], dict[str, Sequence[int]]]:
        """Return the events for parked jobs, and since when each job is parked.

        A parked job runs for a moment now and then, to check: until it has kept more bytes, it counts as parked.
        """
        waits = sa.and_(jobs.c.state == State.QUEUED, jobs.c.wait_reason.in_(DISK_WAIT_REASONS))
        looks = sa.and_(jobs.c.state == State.RUNNING, jobs.c.id.in_([int(job) for job in cursor.parked]))
        query = sa.select(jobs).where(jobs.c.node == self._node, is_live, sa.or_(waits, looks)).order_by(jobs.c.id)
        items: list[dict[str, Any]] = []
        known_parked: dict[str, Sequence[int]] = {}
        for row in tx.execute(query).mappings():
            since, done, announced = cursor.parked.get(str(row["id"]), (now_us, row["bytes_done"], False))
            if row["state"] == State.RUNNING and row["bytes_done"] != done:
                continue
            late = now_us - since >= PATIENCE_US and not announced and row["state"] == State.QUEUED
            if late and len(items) < BATCH:
                items.append(_disk_wait_item(row, now_us))
            known_parked[str(row["id"])] = [since, row["bytes_done"], bool(announced or late)]
        return items, known_parked


_OF_A_FAULT = (
    *(EventKind.FAILED, EventKind.RESCUED, EventKind.NEEDS_YOU),
    *(EventKind.PLACEMENT_FAILED, EventKind.PLACEMENT_WAITS),
)


def _last_event(tx: sa.Connection) -> int:
    return tx.execute(sa.select(sa.func.max(events.c.id))).scalar() or 0


def _failure(event: sa.RowMapping, job: sa.RowMapping) -> dict[str, Any]:
    if event["kind"] == EventKind.NEEDS_YOU:  # it is tried again, but hardly passes without the user
        advice = f"`flowhub status {job['id']}` says what to do; a worker tries again by itself."
        return _item(NEEDS_YOU, event["at"], job["id"], job["ref"], None, event["text"], advice)
    if event["kind"] == EventKind.PLACEMENT_FAILED:
        return _item(NEEDS_YOU, event["at"], job["id"], job["ref"], event["code"], event["text"], PLACEMENT_REMEDY)
    if event["kind"] == EventKind.PLACEMENT_WAITS:
        return _item(NEEDS_YOU, event["at"], job["id"], job["ref"], event["code"], event["text"], PLACEMENT_WAIT_REMEDY)
    still = job["error"] if job["state"] == State.FAILED and isinstance(job["error"], dict) else {}
    code = still.get("code")
    kind = NEEDS_YOU if code in ERRORS and ERRORS[code].exit_status == SIGN_IN else FAILED
    hint = what_to_do(job["id"], job["ref"], job["model"], still, JobKind(job["kind"])) if still else None
    return _item(kind, event["at"], job["id"], job["ref"], code, still.get("message", event["text"]), hint)


def _update(event: sa.RowMapping, ref: str) -> dict[str, Any]:
    hint = f"`flowhub status {event['job_id']}` shows its job; the old version stays until it is verified."
    return _item(UPDATE, event["at"], event["job_id"], ref, None, event["text"], hint)


def _new_blocked(blocked: Sequence[Subscription], cursor: Cursor) -> tuple[list[Subscription], dict[str, int]]:
    """Return the blocked subscriptions to announce now, and since when each announced one has been failing."""
    since = {str(one.id): one.failing_since or 0 for one in blocked}
    new = [one for one in blocked if cursor.subscriptions.get(str(one.id)) != since[str(one.id)]]
    left = {str(one.id) for one in new[BATCH:]}  # for the next notice
    return new[:BATCH], {number: at for number, at in since.items() if number not in left}


def _blocked(one: Subscription) -> dict[str, Any]:
    error = one.error or {}
    message = f"{one.ref} is followed, but cannot be checked: {error.get('message')}"
    return _item(NEEDS_YOU, one.failing_since or 0, None, one.ref, error.get("code"), message, error.get("hint"))


def _disk_wait_item(row: sa.RowMapping, now_us: int) -> dict[str, Any]:
    code, message, template = disk_wait_remedy(Reason(row["wait_reason"]))
    hint = for_jobs(template, str(row["id"]), [row["ref"]])
    return _item(NEEDS_YOU, now_us, row["id"], row["ref"], code, row["wait_text"] or message, hint)


def _queue_empty_event(now_us: int, counts: Mapping[str, int]) -> dict[str, Any]:
    ended = ", ".join(f"{count} {state}" for state, count in sorted(counts.items()))
    return _item(QUEUE_EMPTY, now_us, None, None, None, f"The queue is empty: {ended}.", "`flowhub report` tells more.")


def _item(
    kind: str, at: int, job: int | None, ref: str | None, code: str | None, message: str, hint: str | None
) -> dict[str, Any]:
    time = moment(at)
    assert time is not None
    return {
        "kind": kind,
        "at": rfc3339(time),
        "job": job,
        "ref": ref,
        "code": code,
        "message": message,
        "hint": hint,
    }
