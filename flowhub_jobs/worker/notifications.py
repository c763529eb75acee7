"""Notifies the user of failures and of problems that need the user, by a command or a webhook (`[notify]`)."""

import json
import logging
import threading
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.notices_due import Cursor, Notification, PendingNotifications
from flowhub_jobs.jobs.values_shared_by_workers import SharedValue, ValueVersion
from flowhub_jobs.net.redaction import driver_message
from flowhub_jobs.times import moment, rfc3339
from flowhub_jobs.worker.notify_delivery import Delivery

log = logging.getLogger("flowhub.notices")

NAME = "notices"  # in `controls`: {"told": Cursor, "turn": [worker, microsecond] or null}
TURN_US = 120_000_000  # longer than any delivery: then the worker that had the turn is gone, and another delivers
AGAIN_S = 1.0


class Notifications:
    """One per worker. One of several workers delivers at a time; an uncertain delivery is repeated by the next."""

    def __init__(self, home: Home, worker: str) -> None:
        self._home, self._worker, self._notify = home, worker, home.settings.notify
        self._pending = PendingNotifications(home.engine, home.node, self._notify.on)
        self._shared = SharedValue(home.engine, home.node, home.clock, NAME)
        self._delivery = Delivery(self._notify)
        self._seen: Cursor | None = None  # how far this worker has read without finding anything to deliver
        self._sender: threading.Thread | None = None
        self._waiting = False

    @property
    def busy(self) -> bool:
        """Return whether something is still to be delivered."""
        return self._waiting or self.delivering

    @property
    def delivering(self) -> bool:
        """Return whether a delivery is under way."""
        return self._sender is not None and self._sender.is_alive()

    def is_idle(self) -> bool:
        """Read once more, and return whether nothing is left to deliver: a worker that drains waits for that."""
        self.deliver_pending()
        return not self.busy

    def deliver_pending(self) -> None:
        """Read what is pending, and deliver it in another thread. Returns at once. Called every second."""
        if not self._notify or self.delivering:
            return
        stored = self._shared.read()
        if stored is None:
            self._shared.compare_and_set(None, _shared_value(self._pending.first_cursor()))
            return
        now_us = self._home.clock.now_us()
        cursor = Cursor(**stored.value["told"])
        if _is_taken(stored.value["turn"], now_us):
            self._waiting = False  # another worker's turn
            return
        pending = self._pending.read(_later_cursor(cursor, self._seen), now_us)
        self._waiting = bool(pending.items)
        if not pending.items:
            self._note(stored, cursor, pending)
        elif self._is_due(pending, now_us):
            self._begin(stored, cursor, pending, now_us)

    def _note(self, stored: ValueVersion, cursor: Cursor, pending: Notification) -> None:
        """Remember what was read; in the table, too, if another worker has to know it."""
        self._seen = pending.cursor
        if pending.cursor.parked != cursor.parked:
            self._shared.compare_and_set(stored, _shared_value(pending.cursor))

    def _is_due(self, pending: Notification, now_us: int) -> bool:
        """Return whether it is time: one notice in `every_s`, and not while a running job may still add to it."""
        every = self._notify.every_s * 1e6
        rested = not 0 <= now_us - pending.cursor.at < every  # a time ahead: the calendar was set back
        return rested and (pending.no_job_runs or now_us - pending.since >= every)

    def _begin(self, stored: ValueVersion, cursor: Cursor, pending: Notification, now_us: int) -> None:
        """Take the turn by one conditional UPDATE, and deliver in a thread."""
        turn = self._shared.compare_and_set(stored, _shared_value(cursor, turn=[self._worker, now_us]))
        if turn is None:
            return  # another worker was first
        self._sender = threading.Thread(
            target=self._deliver, args=(turn, cursor, pending, now_us), name="notices", daemon=True
        )
        self._sender.start()

    def _deliver(self, turn: ValueVersion, cursor: Cursor, pending: Notification, now_us: int) -> None:
        finished = self._delivery.deliver(_notice(self._home.node, pending, now_us))
        after = replace(pending.cursor, at=now_us) if finished else cursor
        if finished:
            log.info("Notified the user of %d events.", len(pending.items))
        while True:
            try:
                # Without effect if the turn is another worker's by now: that one has delivered.
                self._shared.compare_and_set(turn, _shared_value(after))
                return
            except SQLAlchemyError as error:
                log.warning("Could not save that the notice was sent; trying again: %s", driver_message(error))
                if self._delivery.stopping.wait(AGAIN_S):
                    return

    def close(self, patience_s: float = 2.5) -> None:
        """Stop delivering; the next worker repeats an interrupted delivery."""
        self._delivery.stop()
        if self._sender is not None:
            self._sender.join(patience_s)


def _shared_value(cursor: Cursor, turn: list[Any] | None = None) -> dict[str, Any]:
    return {"told": asdict(cursor), "turn": turn}


def _later_cursor(cursor: Cursor, other: Cursor | None) -> Cursor:
    return (
        replace(cursor, event=max(cursor.event, other.event), ended=max(cursor.ended, other.ended)) if other else cursor
    )


def _is_taken(turn: list[Any] | None, now_us: int) -> bool:
    return turn is not None and 0 <= now_us - int(turn[1]) < TURN_US


def _notice(node: str, pending: Notification, now_us: int) -> bytes:
    at = moment(now_us)
    assert at is not None
    return json.dumps(
        {"schema": "flowhub/notice/1", "at": rfc3339(at), "node": node, "events": list(pending.items)}
    ).encode()
