"""Tells a person what fails and what needs them: by a command, or a webhook, as `config.toml` says."""

import json
import logging
import threading
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.home import Home
from flowhub_jobs.jobs.notifications import Cursor, Notification, PendingNotifications
from flowhub_jobs.jobs.shared_values import SharedValue, Version
from flowhub_jobs.net.urls import driver_words
from flowhub_jobs.times import moment, rfc3339
from flowhub_jobs.worker.notify_delivery import Delivery

log = logging.getLogger("flowhub.notices")

NAME = "notices"  # in `controls`: {"told": Told, "turn": [worker, microsecond] or null}
TURN_US = 120_000_000  # longer than any delivery takes: then whoever had the turn is gone, and another tells
AGAIN_S = 1.0


class Notifications:
    """One a worker. Of several workers one tells; what was not told for sure is told by the next."""

    def __init__(self, home: Home, worker: str) -> None:
        self._home, self._worker, self._notify = home, worker, home.settings.notify
        self._newsroom = PendingNotifications(home.engine, home.node, self._notify.on)
        self._agreed = SharedValue(home.engine, home.node, home.clock, NAME)
        self._delivery = Delivery(self._notify)
        self._seen: Cursor | None = None  # how far this worker has looked, with nothing to tell up to there
        self._teller: threading.Thread | None = None
        self._waiting = False

    @property
    def busy(self) -> bool:
        """Return whether something is still to be told."""
        return self._waiting or self.telling

    @property
    def telling(self) -> bool:
        """Return whether a notice is on its way."""
        return self._teller is not None and self._teller.is_alive()

    def settled(self) -> bool:
        """Look once more, and return whether nothing is left to tell: a worker that drains goes home no sooner."""
        self.deliver_pending()
        return not self.busy

    def deliver_pending(self) -> None:
        """Look for news, and have them told beside: this returns at once. To be called every second."""
        if not self._notify or self.telling:
            return
        seen = self._agreed.read()
        if seen is None:
            self._agreed.compare_and_set(None, _standing(self._newsroom.first_cursor()))
            return
        now = self._home.clock.now_us()
        told = Cursor(**seen.value["told"])
        if _is_taken(seen.value["turn"], now):
            self._waiting = False  # another worker's turn
            return
        news = self._newsroom.read(_further(told, self._seen), now)
        self._waiting = bool(news.items)
        if not news.items:
            self._note(seen, told, news)
        elif self._is_due(news, now):
            self._begin(seen, told, news, now)

    def _note(self, seen: Version, told: Cursor, news: Notification) -> None:
        """Remember what was seen: in the table what another worker has to know, too."""
        self._seen = news.told
        if news.told.parked != told.parked:
            self._agreed.compare_and_set(seen, _standing(news.told))

    def _is_due(self, news: Notification, now: int) -> bool:
        """Return whether the news may go: one notice in `every_s`, and not before what may join it has ended."""
        every = self._notify.every_s * 1e6
        rested = not 0 <= now - news.told.at < every  # a time ahead: the calendar was set back
        return rested and (news.calm or now - news.since >= every)

    def _begin(self, seen: Version, told: Cursor, news: Notification, now: int) -> None:
        """Take the turn, by one conditional UPDATE, and tell in a thread beside."""
        turn = self._agreed.compare_and_set(seen, _standing(told, turn=[self._worker, now]))
        if turn is None:
            return  # another worker was first
        self._teller = threading.Thread(target=self._tell, args=(turn, told, news, now), name="notices", daemon=True)
        self._teller.start()

    def _tell(self, turn: Version, told: Cursor, news: Notification, now: int) -> None:
        whole = self._delivery.deliver(_notice(self._home.node, news, now))
        after = replace(news.told, at=now) if whole else told
        if whole:
            log.info("Told of %d events.", len(news.items))
        while True:
            try:
                self._agreed.compare_and_set(turn, _standing(after))  # if it is no longer our turn, another has told
                return
            except SQLAlchemyError as error:
                log.warning("What was told could not be written down, and is tried again: %s", driver_words(error))
                if self._delivery.stopping.wait(AGAIN_S):
                    return

    def close(self, patience_s: float = 2.5) -> None:
        """Stop telling; what was cut short the next worker tells."""
        self._delivery.stop()
        if self._teller is not None:
            self._teller.join(patience_s)


def _standing(told: Cursor, turn: list[Any] | None = None) -> dict[str, Any]:
    return {"told": asdict(told), "turn": turn}


def _further(told: Cursor, seen: Cursor | None) -> Cursor:
    return replace(told, event=max(told.event, seen.event), ended=max(told.ended, seen.ended)) if seen else told


def _is_taken(turn: list[Any] | None, now: int) -> bool:
    return turn is not None and 0 <= now - int(turn[1]) < TURN_US


def _notice(node: str, news: Notification, now: int) -> bytes:
    at = moment(now)
    assert at is not None
    return json.dumps(
        {"schema": "flowhub/notice/1", "at": rfc3339(at), "node": node, "events": list(news.items)}
    ).encode()
