"""Nodes as JSON: `flowhub/nodes/1`, `flowhub/node-removed/1`, `flowhub/token-rotated/1`."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flowhub_jobs.operations.schemas.plain_json import fields_json

if TYPE_CHECKING:
    from flowhub_jobs.jobs.node_removal import Removed
    from flowhub_jobs.jobs.node_rows import NodeStatus

_NODE = (
    *("node", "hostname", "state", "seen_at", "workers", "slots", "store", "disk_free", "ram", "gpus", "share_url"),
)


def nodes_json(nodes: "Iterable[NodeStatus]") -> dict[str, Any]:
    return {"schema": "flowhub/nodes/1", "nodes": [_node_json(node) for node in nodes]}


def _node_json(node: "NodeStatus") -> dict[str, Any]:
    return fields_json(node, _NODE) | {"gpus": list(node.gpus)}


def node_removed_json(removed: "Removed") -> dict[str, Any]:
    return {
        "schema": "flowhub/node-removed/1",
        "node": removed.node,
        "requeued": removed.requeued,
        "cancelled": removed.cancelled,
    }


def token_rotated_json() -> dict[str, Any]:
    """Return the answer of `nodes rotate-token`; the token is not in it."""
    return {"schema": "flowhub/token-rotated/1", "rotated": True}
