"""Checks the subscriptions that are due: one worker of a node at a time, and never in the maintenance thread.

After a week asleep, all of them are due at once. So a round checks one subscription of each host, and there are two
seconds between two checks of a host. A host that does not answer is not asked again while its subscription waits.
"""

import logging
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.host_waits import HostWaits
from flowhub_jobs.jobs.states import Gates
from flowhub_jobs.jobs.subscriptions.subscription_queries import SubscriptionQueries
from flowhub_jobs.jobs.subscriptions.subscription_values import Subscription
from flowhub_jobs.jobs.values_shared_by_workers import SharedValue, ValueVersion
from flowhub_jobs.net.redaction import driver_message

log = logging.getLogger("flowhub.subscriptions")

TURN = "subscription_checks"  # in `controls`: {"turn": [worker, microsecond] or null}
TURN_US = 120_000_000  # without a renewal, the worker that had the turn is gone
RENEW_US = 30_000_000
SPACING_S = 2.0  # between two checks of one host
HOSTS_AT_ONCE = 4
QUIET_S = 300.0  # after a host did not answer, and after a check that ended with an unexpected error


class Checker(Protocol):
    """Checks one subscription: asks its source, queues what is new, and writes the result."""

    def origin_of(self, subscription: Subscription) -> str:
        """Return the origin that is asked; '' for none. It is as in `jobs.source_origin`."""

    def check(self, subscription: Subscription, stopping: threading.Event) -> FlowhubError | None:
        """Return the error that was written with the result, or None."""


class SubscriptionChecks:
    """One per worker."""

    def __init__(self, home: Home, worker: str, checker: Checker | None) -> None:
        self._home, self._worker, self._checker = home, worker, checker
        self._queries = SubscriptionQueries(home.database, home.node)
        self._hosts = HostWaits(home.engine, home.node, home.clock)
        self._turn = SharedValue(home.engine, home.node, home.clock, TURN)
        self._own_turn: ValueVersion | None = None
        self._round: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        # On the awake clock: when an origin, or a subscription by its number, may be tried again.
        self._quiet: dict[str | int, float] = {}

    @property
    def busy(self) -> bool:
        return self._round is not None and self._round.is_alive()

    def is_idle(self, gates: Gates) -> bool:
        """Return whether no check is under way, and none is due that may begin: a worker that drains waits for that."""
        return not self.busy and not self._ready(gates, with_spacing=False)

    def check_if_due(self, gates: Gates, *, any_due: bool = True) -> None:
        """Begin a round in another thread if a check is due and this worker gets the turn. Returns at once.

        Without `any_due` there is none: the caller has asked the database.
        """
        if self.busy:
            self._renew()
            return
        self._give_turn_back()
        ready = self._ready(gates) if any_due else []
        if ready and self._take_turn():
            self._round = threading.Thread(target=self._check_all, args=(ready,), name="subscriptions", daemon=True)
            self._round.start()

    def close(self, patience_s: float = 2.5) -> None:
        """Stop checking. A check without a result is repeated; what it has queued is written with its result."""
        self._stopping.set()
        if self._round is not None:
            self._round.join(patience_s)
        if not self.busy:
            with suppress(SQLAlchemyError):  # it ends by itself
                self._give_turn_back()

    # What may be checked now ---------------------------------------------------------------------------------------

    def _ready(self, gates: Gates, *, with_spacing: bool = True) -> list[Subscription]:
        """Return the subscriptions to check: of each origin the one that waits longest, of four origins."""
        now_us = self._home.clock.now_us()
        if self._checker is None or self._stopping.is_set() or gates.window_shut(now_us) or gates.network_down_until_us:
            return []
        due = self._queries.due(now_us)
        if not due:
            return []
        held = {origin for origin, wait in self._hosts.held().waits.items() if wait.until > now_us}
        chosen: dict[str, Subscription] = {}
        for subscription in due:
            origin = self._checker.origin_of(subscription)
            if origin not in held and not self._is_quiet(subscription.id) and not self._is_quiet(origin, with_spacing):
                chosen.setdefault(origin, subscription)
        return list(chosen.values())[:HOSTS_AT_ONCE]

    def _is_quiet(self, key: str | int, with_spacing: bool = True) -> bool:
        with self._lock:
            remaining_s = self._quiet.get(key, 0.0) - self._home.clock.awake()
        return remaining_s > (0 if with_spacing else SPACING_S)

    def _keep_quiet(self, key: str | int, seconds: float) -> None:
        with self._lock:
            self._quiet[key] = self._home.clock.awake() + seconds

    # The turn ------------------------------------------------------------------------------------------------------

    def _take_turn(self) -> bool:
        stored, now_us = self._turn.read(), self._home.clock.now_us()
        holder = stored.value["turn"] if stored else None
        # The lock file of a worker that ended, or was rescued, is removed: then nothing is known of it.
        if holder is not None and 0 <= now_us - holder[1] < TURN_US and self._home.is_dead(holder[0]) is False:
            return False
        self._own_turn = self._turn.compare_and_set(stored, {"turn": [self._worker, now_us]})
        return self._own_turn is not None

    def _give_turn_back(self) -> None:
        if self._own_turn is not None:
            self._turn.compare_and_set(self._own_turn, {"turn": None})
            self._own_turn = None

    def _renew(self) -> None:
        now_us = self._home.clock.now_us()
        if self._own_turn is not None and not 0 <= now_us - self._own_turn.value["turn"][1] < RENEW_US:
            # Without effect if it is another worker's by now: then the versions of the rows decide.
            self._own_turn = self._turn.compare_and_set(self._own_turn, {"turn": [self._worker, now_us]})

    # A round -------------------------------------------------------------------------------------------------------

    def _check_all(self, ready: Sequence[Subscription]) -> None:
        """Check them concurrently: they are of different hosts, and a slow one delays no other."""
        threads = [threading.Thread(target=self._check, args=(subscription,), daemon=True) for subscription in ready]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _check(self, subscription: Subscription) -> None:
        assert self._checker is not None
        origin = self._checker.origin_of(subscription)
        try:
            error = self._checker.check(subscription, self._stopping)
        except SQLAlchemyError as fault:
            log.warning("The result of a check of %s could not be written: %s", subscription.ref, driver_message(fault))
            self._keep_quiet(subscription.id, SPACING_S)
            return
        except Exception:
            log.exception("A check of %s ended in an error that is not flowhub's.", subscription.ref)
            self._keep_quiet(subscription.id, QUIET_S)
            return
        self._keep_quiet(origin, QUIET_S if error is not None and error.retryable else SPACING_S)
