"""Requests for other nodes, and for any node: where an artifact goes there, and whether it is installed there.

The files of another node cannot be looked at from here: its library, which its worker writes, tells what is installed.
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Protocol

from flowhub_jobs.database.lazy import Row, Snapshot
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.enqueue_rows import EnqueueRequest, EnqueueTerms
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.jobs import ANY_NODE, JobTarget
from flowhub_jobs.values.store_settings import DEFAULT_STORE

_INSTALLED = (
    "SELECT artifacts.node, artifacts.name, artifacts.job_id, stores.path AS store FROM artifacts "
    "JOIN stores ON stores.node = artifacts.node AND stores.store_id = artifacts.store_id "
    "WHERE artifacts.artifact_key = :key ORDER BY artifacts.id DESC"
)


class ArtifactToQueue(Protocol):
    """An artifact to queue, for a node (operations/enqueue_plan.py: EnqueueItem)."""

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


def requests_elsewhere(home: Home, items: Sequence[ArtifactToQueue]) -> list[EnqueueRequest]:
    """Return the items for other nodes as requests, in order."""
    installed_here = home.installed_names([item.artifact.key for item in items])
    with home.database.reading() as snapshot:
        stores = _store_paths(snapshot)
        installed = [
            [row for row in snapshot.rows(_INSTALLED, key=key) if row["node"] != home.node or key in installed_here]
            for key in (item.artifact.key for item in items)
        ]
    return [_request(item, rows, stores) for item, rows in zip(items, installed, strict=True)]


def check_store_of_nodes(home: Home, store: str, nodes: Sequence[str]) -> None:
    """Raise UsageInvalid unless each of these other nodes has a store of this name."""
    if ANY_NODE in nodes:
        raise UsageInvalid(
            "--store does not go with --on any: it is not known yet which node takes the job.",
            hint="Name the nodes, or leave --store out.",
        )
    with home.database.reading() as snapshot:
        store_paths = _store_paths(snapshot)
    for node in nodes:
        names = sorted({DEFAULT_STORE, *(name for store_node, name in store_paths if store_node == node)})
        if store not in names:
            raise UsageInvalid(
                f"The node {node} has no store named {store!r}.",
                hint=f"Name one of: {', '.join(names)}. A node shows a store of its config.toml once it has used it.",
            )


def _store_paths(snapshot: Snapshot) -> dict[tuple[str, str], str]:
    """Return the folder of each store by its node and name."""
    default = {(row["node"], DEFAULT_STORE): row["store"] for row in snapshot.rows("SELECT node, store FROM nodes")}
    return default | {
        (row["node"], row["name"]): row["path"] for row in snapshot.rows("SELECT node, name, path FROM stores")
    }


def _request(item: ArtifactToQueue, installed: Sequence[Row], stores: Mapping[tuple[str, str], str]) -> EnqueueRequest:
    artifact, store = item.artifact, item.terms.store or DEFAULT_STORE
    folder = stores.get((item.node, store))
    rows = [row for row in installed if item.task is None and item.node in (row["node"], ANY_NODE)]
    if not rows:
        size, target = item.size_seen, _target(artifact, folder)
        return EnqueueRequest(artifact, target, item.terms, task=item.task, size_seen=size, node=item.node, store=store)
    best = rows[0]
    # If the model is already installed, record its node, so that no job is left without one.
    node = item.node if item.terms.force else best["node"]
    if item.terms.force and item.terms.store:
        target = _target(artifact, folder)
    else:
        target = _target(artifact, best["store"] if node == best["node"] else None, best["name"])
    return EnqueueRequest(artifact, target, item.terms, True, best["job_id"], None, item.size_seen, node, store)


def _target(artifact: Artifact, store: str | None, name: str | None = None) -> str:
    """Return the path that it is expected to get; for a job for any node, only the name."""
    name = name or artifact.name
    return str(PurePosixPath(store) / name) if store else name
