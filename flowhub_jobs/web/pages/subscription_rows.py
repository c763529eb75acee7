"""Rows of the subscriptions on the tab Machine. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flowhub_jobs.operations.result_types import Subscription
from flowhub_jobs.times import moment
from flowhub_jobs.units import format_duration
from flowhub_jobs.web.pages.text import NO_VALUE, day_or_time


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    """`job` is the last one that the subscription queued."""

    ref: str
    about: str
    checked: str
    changed: str
    next: str
    job: int | None
    problem: str


def subscription_rows(subscriptions: Sequence[Subscription], now: datetime) -> list[SubscriptionRow]:
    return [_subscription_row(subscription, now) for subscription in subscriptions]


def _subscription_row(subscription: Subscription, now: datetime) -> SubscriptionRow:
    every = f"every {format_duration(subscription.terms.every_us / 1e6)}"
    hint = (subscription.error or {}).get("hint")
    return SubscriptionRow(
        ref=subscription.ref,
        about=", ".join([*subscription.terms.include, every]),
        checked=_time(subscription.checked_at, now),
        changed=_time(subscription.changed_at, now),
        next=_time(subscription.next_at, now),
        job=subscription.job,
        problem=f"{subscription.error['message']}{f' {hint}' if hint else ''}" if subscription.error else "",
    )


def _time(at: int | None, now: datetime) -> str:
    return day_or_time(moment(at), now) or NO_VALUE
