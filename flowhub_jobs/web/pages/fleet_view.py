"""The nodes and the subscriptions of the tab Machine, as rows. Pure, except for `read_fleet`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flowhub_jobs.operations.node_texts import gpus_text, size_text, state_text
from flowhub_jobs.operations.nodes import live_jobs, read_nodes
from flowhub_jobs.operations.result_types import NodeStatus, Subscription
from flowhub_jobs.operations.session import Session
from flowhub_jobs.times import moment
from flowhub_jobs.units import counted, format_duration
from flowhub_jobs.values.enums import LIVE_STATES, State
from flowhub_jobs.values.jobs import ANY_NODE
from flowhub_jobs.web.pages.text import day_or_time

NEVER = "\N{EN DASH}"
Counts = Mapping[tuple[str, State], int]


@dataclass(frozen=True, slots=True)
class NodeRow:
    name: str
    here: bool
    alive: bool
    state: str
    slots: str
    jobs: str
    free: str
    ram: str
    gpus: str
    host: str


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


def read_fleet(session: Session) -> tuple[list[NodeStatus], Counts]:
    """Return the nodes of a database that machines share, and how many live jobs each has; else none."""
    home = session.home
    if not home.database.is_shared:
        return [], {}
    return read_nodes(home), live_jobs(home)


def node_rows(nodes: Sequence[NodeStatus], counts: Counts, own_node: str, now: datetime) -> list[NodeRow]:
    return [
        NodeRow(
            name=node.node,
            here=node.node == own_node,
            alive=node.alive,
            state=state_text(node, now),
            slots=str(node.slots) if node.alive else NEVER,
            jobs=_jobs_text(counts, node.node) or NEVER,
            free=size_text(node.disk_free),
            ram=size_text(node.ram),
            gpus=gpus_text(node.gpus),
            host=node.hostname,
        )
        for node in nodes
    ]


def _jobs_text(counts: Counts, node: str) -> str:
    return ", ".join(f"{count} {state}" for state in LIVE_STATES if (count := counts.get((node, state))))


def sum_of(nodes: Sequence[NodeStatus], counts: Counts) -> str:
    free = sum(count for (node, _), count in counts.items() if node == ANY_NODE)
    waiting = f", {counted(free, 'job', 'jobs')} for any node" if free else ""
    return f"{sum(node.alive for node in nodes)} of {len(nodes)} alive{waiting}"


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
    return day_or_time(moment(at), now) or NEVER
