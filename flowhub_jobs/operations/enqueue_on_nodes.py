"""Requests for other nodes, and for any node: where an artifact goes there, and whether it is installed there.

The files of another node cannot be looked at from here: its library, which its worker writes, tells what is installed.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Protocol

from flowhub_jobs.database.lazy import Row
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.enqueue_rows import EnqueueTerms, Request
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.jobs import ANY_NODE, JobTarget

_INSTALLED = (
    "SELECT artifacts.node, artifacts.name, artifacts.job_id, stores.path AS store FROM artifacts "
    "JOIN stores ON stores.node = artifacts.node AND stores.store_id = artifacts.store_id "
    "WHERE artifacts.artifact_key = :key ORDER BY artifacts.id DESC"
)


class Order(Protocol):
    """An artifact to queue, for a node (operations/session.py: EnqueueItem)."""

    @property
    def artifact(self) -> Artifact: ...
    @property
    def terms(self) -> EnqueueTerms: ...
    @property
    def task(self) -> JobTarget | None: ...
    @property
    def size_seen(self) -> int | None: ...
    @property
    def node(self) -> str: ...


def requests_elsewhere(home: Home, orders: Sequence[Order]) -> list[Request]:
    """Return the orders for other nodes as requests, in order."""
    here = home.installed_names([order.artifact.key for order in orders])
    with home.database.reading() as snapshot:
        stores = {row["node"]: row["store"] for row in snapshot.rows("SELECT node, store FROM nodes")}
        installed = [
            [row for row in snapshot.rows(_INSTALLED, key=key) if row["node"] != home.node or key in here]
            for key in (order.artifact.key for order in orders)
        ]
    return [_request(order, rows, stores) for order, rows in zip(orders, installed, strict=True)]


def _request(order: Order, installed: Sequence[Row], stores: Mapping[str, str]) -> Request:
    artifact = order.artifact
    rows = [row for row in installed if order.task is None and order.node in (row["node"], ANY_NODE)]
    if not rows:
        target = _target(artifact, stores.get(order.node))
        return Request(artifact, target, order.terms, task=order.task, size_seen=order.size_seen, node=order.node)
    found = rows[0]
    # Of a job for any node that is answered here, no row is left without a node.
    node = order.node if order.terms.force else found["node"]
    target = _target(artifact, found["store"] if node == found["node"] else None, found["name"])
    return Request(artifact, target, order.terms, True, found["job_id"], None, order.size_seen, node)


def _target(artifact: Artifact, store: str | None, name: str | None = None) -> str:
    """Return the path that it will most likely have; of a job for any node, the name alone."""
    name = name or artifact.name
    return str(PurePosixPath(store) / name) if store else name
