"""Checks one subscription: queries its source, and writes the result in the transaction that queues new jobs.

So a crash leaves either both or neither: each change is queued exactly once.
"""

import random
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

import sqlalchemy as sa

from flowhub_jobs.errors import FlowhubError, ServerBusy, UsageInvalid, WaitTooLong
from flowhub_jobs.home import Home
from flowhub_jobs.huggingface.reference_parser import parse_hub_ref, parse_owner
from flowhub_jobs.jobs.enqueue_rows import Enqueued
from flowhub_jobs.jobs.subscriptions.check_times import regular_check, retry_check
from flowhub_jobs.jobs.subscriptions.subscription_queries import SubscriptionQueries
from flowhub_jobs.jobs.subscriptions.subscription_rows import CheckOvertaken, SubscriptionRows
from flowhub_jobs.jobs.subscriptions.subscription_values import (
    CheckOutcome,
    NewJob,
    Subscription,
    SubscriptionKind,
    Terms,
)
from flowhub_jobs.net.urls import HUB, origin
from flowhub_jobs.operations.catalogs.active import is_at_url
from flowhub_jobs.operations.enqueue_option_parser import OptionReader
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.subscriptions.check_hub_owner import check_owner
from flowhub_jobs.operations.subscriptions.check_list_file import CheckStopped, ReadList, check_list
from flowhub_jobs.operations.subscriptions.check_model import followed_artifact, newer_version, version_of
from flowhub_jobs.operations.subscriptions.check_result import SourceCheck
from flowhub_jobs.operations.subscriptions.remove_old_versions import remove_surplus

PAUSE_S = 2.0  # between two references of a list
PATIENCE_S = 10.0  # with a host that asks to wait: a longer wait is the subscription's own


class SubscriptionChecker:
    """Checks the subscriptions of one home for a worker. Thread-safe."""

    def __init__(self, home: Home, read_list: ReadList) -> None:
        self._home, self._read_list = home, read_list

    def origin_of(self, subscription: Subscription) -> str:
        """Return the origin that is asked: the Hub, the catalog's, or '' for none."""
        if subscription.kind is not SubscriptionKind.REFERENCE or _is_of_hub(subscription.ref):
            return origin(HUB)
        catalog = self._home.settings.catalog
        return origin(catalog) if catalog and is_at_url(self._home.settings) else ""

    def check(self, subscription: Subscription, stopping: threading.Event) -> FlowhubError | None:
        """Check it; return the error that was written with the result."""
        session = Session(self._home)
        hub = session.references.hub
        hub.sleep, hub.wait_max_s = lambda seconds: void(stopping.wait(seconds)), PATIENCE_S
        seen_versions = SubscriptionQueries(self._home.database, self._home.node).items(subscription.id)
        try:
            checked = check_source(
                session, subscription, seen_versions, self._read_list, pause_s=PAUSE_S, stopping=stopping
            )
        except CheckStopped:
            return None
        write_result(session, subscription, seen_versions, checked, random.random())  # noqa: S311 - jitter
        remove_surplus(session, subscription)
        return checked.error


def void(_: object) -> None:
    """Do nothing, with any arguments."""


def check_source(
    session: Session,
    subscription: Subscription,
    seen_versions: Mapping[str, str],
    read_list: ReadList,
    *,
    pause_s: float,
    stopping: threading.Event,
) -> SourceCheck:
    """Return what the source has; its error is in the result. Raises CheckStopped."""
    terms = subscription.terms
    try:
        if subscription.kind is SubscriptionKind.LIST:
            defaults = {"place": terms.place}
            return check_list(session, read_list(subscription.ref), seen_versions, pause_s, stopping, defaults)
        if subscription.kind is SubscriptionKind.OWNER:
            owner = parse_owner(subscription.ref) or subscription.ref
            return check_owner(session, owner, terms, seen_versions)
        return _check_reference(session, subscription.ref, seen_versions, terms)
    except FlowhubError as error:
        return SourceCheck(error=_as_busy(error))


def _check_reference(session: Session, ref: str, seen_versions: Mapping[str, str], terms: Terms) -> SourceCheck:
    artifact = followed_artifact(session, ref)
    new = newer_version(session, artifact, seen_versions.get(ref), OptionReader(session).terms({"place": terms.place}))
    return SourceCheck({ref: version_of(artifact)}, [new] if new else [])


def _as_busy(error: FlowhubError) -> FlowhubError:
    """Return the busy host's own error for a wait that was too long: the subscription has the time."""
    return error.__cause__ if isinstance(error, WaitTooLong) and isinstance(error.__cause__, ServerBusy) else error


def write_result(
    session: Session, before: Subscription, seen_versions: Mapping[str, str], checked: SourceCheck, jitter: float
) -> list[Enqueued]:
    """Queue what is new and write the result, both or neither; return the jobs.

    Returns none, and writes nothing, if another check was faster or the subscription was removed.
    """
    home, now = session.home, session.now_us()
    rows = SubscriptionRows(home.engine, home.node, home.clock)
    result = CheckOutcome(checked.seen, checked.error, checked.complete)
    next_at = _next_check(before, checked.error, now, jitter)

    def alongside(tx: sa.Connection, answers: Sequence[Enqueued]) -> None:
        new_jobs = [NewJob(job.job, new.text) for job, new in zip(answers, checked.new, strict=True) if job.new]
        rows.record(tx, before, seen_versions, result, new_jobs, next_at)

    with suppress(CheckOvertaken):
        return session.enqueue([new.item for new in checked.new], alongside)
    return []


def _next_check(before: Subscription, error: FlowhubError | None, now: int, jitter: float) -> int:
    if error is None or not error.retryable:
        return regular_check(before.terms, now, jitter)
    return retry_check(before.terms, now, before.failures + 1, getattr(error, "wait_s", None), jitter)


def _is_of_hub(ref: str) -> bool:
    try:
        return parse_hub_ref(ref) is not None
    except UsageInvalid:
        return False
