"""Rows of the nodes on the tab Machine. Pure, except for `read_fleet`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from flowhub_jobs.operations.node_texts import gpus_text, size_text, state_text
from flowhub_jobs.operations.nodes import live_jobs, read_nodes
from flowhub_jobs.operations.result_types import NodeStatus
from flowhub_jobs.operations.session import Session
from flowhub_jobs.units import counted
from flowhub_jobs.values.enums import LIVE_STATES, State
from flowhub_jobs.values.jobs import ANY_NODE
from flowhub_jobs.web.pages.text import NO_VALUE

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
            slots=str(node.slots) if node.alive else NO_VALUE,
            jobs=_jobs_text(counts, node.node) or NO_VALUE,
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
