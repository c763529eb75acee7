"""Lists the nodes of a database, finds one by its name, and removes one."""

import difflib
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from flowhub_jobs.errors import NotFound
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.node_rows import NodeStatus, live_jobs_by_node, node_names, nodes_in
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import ANY_NODE

if TYPE_CHECKING:
    from flowhub_jobs.jobs.node_removal import Removed

ALL_NODES = "all"
ANY_COLUMN = "(any)"  # the head of a column of jobs that no node has taken yet


def read_nodes(home: Home) -> list[NodeStatus]:
    """Return the registered nodes by name. This machine's own workers are known by their locks, at once."""
    with home.database.reading() as snapshot:
        nodes = nodes_in(snapshot, home.clock.now_us())
    alive = any(node.node == home.node and node.alive for node in nodes)
    stopped = alive and not home.living_workers() and not (home.database.is_shared and home.registry.is_elsewhere())
    return [_without_workers(node) if stopped and node.node == home.node else node for node in nodes]


def live_jobs(home: Home) -> dict[tuple[str, State], int]:
    """Return the number of live jobs by node and state, ANY_NODE among the nodes."""
    with home.database.reading() as snapshot:
        return live_jobs_by_node(snapshot)


def _without_workers(node: NodeStatus) -> NodeStatus:
    return replace(node, state="gone", workers=0, slots=0)


def home_for_node(home: Home, name: str | None) -> Home:
    """Return the home as it reads the jobs of the node that `--node NAME` names: its own without it.

    For `all` those of every node, and those that none has taken yet. Raises NotFound for an unknown node.
    """
    if name is None:
        return home
    nodes = nodes_named(home, name)
    if name == ALL_NODES:
        return home.of_nodes((*nodes, ANY_NODE))
    return home if name == home.node else home.of_nodes((name,))


def nodes_named(home: Home, name: str) -> list[str]:
    """Return the node of this name, or the registered ones and this one for `all`. Raises NotFound."""
    with home.database.reading() as snapshot:
        names = sorted({*node_names(snapshot), home.node})
    if name == ALL_NODES:
        return names
    if name not in names:
        raise unknown_node(name, names)
    return [name]


def unknown_node(name: str, known: Iterable[str]) -> NotFound:
    """Return the error for a node that is not registered, with the nearest names."""
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5) or names[:5]
    return NotFound(
        f"There is no node {name[:64]!r}.",
        hint=(f"Nearest: {', '.join(near)}. " if near else "")
        + "`flowhub nodes` lists all; a worker registers its machine.",
    )


def place_of(node: str) -> str:
    """Return where a job is, for a sentence."""
    return "for any node" if node == ANY_NODE else f"on {node}"


def hint_of_gone(home: Home, names: Collection[str]) -> str | None:
    """Return a hint if no worker runs on some of these nodes."""
    nodes = read_nodes(home)
    if ANY_NODE in names:
        return None if any(node.alive for node in nodes) else "No worker runs on any node: start one to begin."
    stopped = [node.node for node in nodes if node.node in names and not node.alive]
    rest = f" and {len(stopped) - 3} more" if len(stopped) > 3 else ""
    return (
        f"No worker runs on {', '.join(stopped[:3])}{rest}: the jobs there wait until one starts." if stopped else None
    )


def others_alive(home: Home) -> list[str]:
    """Return the other nodes on which a worker runs."""
    if not home.database.is_shared:
        return []
    return [node.node for node in read_nodes(home) if node.alive and node.node != home.node]


def remove_node(home: Home, name: str, action: str | None, *, force: bool) -> "Removed":
    """Remove a node; its live jobs go to any other (`requeue`) or end (`cancel`).

    Raises NotFound, Busy while it is alive unless `force`, UsageInvalid where it has jobs and no `action` is given.
    """
    from flowhub_jobs.jobs.node_removal import remove

    nodes = {node.node: node for node in read_nodes(home)}
    if name not in nodes:
        raise unknown_node(name, nodes)
    return remove(home.engine, nodes[name], home.clock, action, force=force)
