"""Subscriptions as JSON: `flowhub/subscriptions/1`."""

from collections.abc import Iterable
from typing import Any

from flowhub_jobs.jobs.subscriptions.subscription_values import Subscription
from flowhub_jobs.operations.schemas.plain_json import time_json
from flowhub_jobs.times import moment


def subscriptions_json(subscriptions: Iterable[Subscription]) -> dict[str, Any]:
    """Return `flowhub/subscriptions/1`."""
    return {
        "schema": "flowhub/subscriptions/1",
        "subscriptions": [_subscription(subscription) for subscription in subscriptions],
    }


def _subscription(subscription: Subscription) -> dict[str, Any]:
    terms = subscription.terms
    return {
        "ref": subscription.ref,
        "kind": str(subscription.kind),
        "every_s": terms.every_us // 1_000_000,
        "at": None if terms.at_minute is None else clock_text(terms.at_minute),
        "include": list(terms.include),
        "keep": terms.keep,
        "place": list(terms.place),
        "checked_at": time_json(moment(subscription.checked_at)),
        "next_at": time_json(moment(subscription.next_at)),
        "changed_at": time_json(moment(subscription.changed_at)),
        "job": subscription.job,
        "error": dict(subscription.error) if subscription.error else None,
    }


def clock_text(minute: int) -> str:
    """Return a minute of the day as a clock shows it, `02:30`."""
    return f"{minute // 60:02}:{minute % 60:02}"
