"""The nodes that `enqueue --on` names: by name, `all`, `any`, or by their hardware ("vram>=24G")."""

import operator
import re
from collections.abc import Callable, Sequence

from flowhub_jobs.errors import NotFound, UsageInvalid
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.node_rows import NodeStatus
from flowhub_jobs.operations.nodes import ALL_NODES, read_nodes, unknown_node
from flowhub_jobs.units import format_bytes, parse_size
from flowhub_jobs.values.jobs import ANY_NODE

ANY = "any"
_HOW = 'Write --on NODE, NODE,NODE, all, any, or "vram>=24G" (fields: vram, ram, disk, gpus).'
_CONDITION = re.compile(r"\s*([a-z]+)\s*(>=|<=|>|<|=)\s*([0-9.]+\s*[A-Za-z]*)\s*")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_FIELDS: dict[str, Callable[[NodeStatus], int | None]] = {
    "vram": lambda node: node.vram,
    "ram": lambda node: node.ram,
    "disk": lambda node: node.disk_free,
    "gpus": lambda node: len(node.gpus),
}


def chosen_nodes(home: Home, text: str) -> list[str]:
    """Return the nodes that `--on` means, each once, by name or in the order typed; ANY_NODE for `any`.

    Raises UsageInvalid, and NotFound for a node that is not registered, or where none has what is asked for.
    """
    if not home.database.is_shared:
        return _of_one_machine(home, text)
    nodes = read_nodes(home)
    if text.strip() == ANY:
        return [ANY_NODE]
    if text.strip() == ALL_NODES:
        if not nodes:
            raise NotFound("No node is registered.", hint="A worker registers its machine: start one on each.")
        return [node.node for node in nodes]
    return _fitting(nodes, text) if re.search("[<>=]", text) else _nodes_by_name(home, nodes, text)


def _of_one_machine(home: Home, text: str) -> list[str]:
    """Return this node, which is the only one of a SQLite database. Raises UsageInvalid for others."""
    if text.strip() in (ANY, ALL_NODES, home.node):
        return [home.node]
    raise UsageInvalid(
        f"--on {text[:64]}: this home has a database of its own, and so one node, {home.node}.",
        hint="Machines share a queue in PostgreSQL: set FLOWHUB_DATABASE_URL=postgresql://… on each.",
    )


def _nodes_by_name(home: Home, nodes: Sequence[NodeStatus], text: str) -> list[str]:
    names = list(dict.fromkeys(name for part in text.split(",") if (name := part.strip())))
    if not names:
        raise UsageInvalid("--on names no node.", hint=_HOW)
    node_names = {node.node for node in nodes} | {home.node}
    for name in names:
        if name in (ANY, ALL_NODES):
            raise UsageInvalid(f"--on {name} cannot be combined with other nodes.", hint=_HOW)
        if name not in node_names:
            raise unknown_node(name, node_names)
    return names


def _fitting(nodes: Sequence[NodeStatus], text: str) -> list[str]:
    """Return the nodes that meet every condition; a figure that is not known meets none."""
    conditions = [_condition(part) for part in re.split(r",|\band\b", text)]
    matching = [node.node for node in nodes if all(_meets(node, *condition) for condition in conditions)]
    if not matching:
        figures = [f"{node.node} {_figure_text(node, conditions[0][0])}" for node in nodes[:5]]
        hint = f"They have: {', '.join(figures)}." if figures else "A worker registers its machine: start one on each."
        raise NotFound(f"No node has {text.strip()[:64]}.", hint=hint)
    return matching


def _condition(text: str) -> tuple[str, str, int]:
    match = _CONDITION.fullmatch(text)
    if match is None or match[1] not in _FIELDS:
        raise UsageInvalid(f"--on {text.strip()[:64]!r} is not understood.", hint=_HOW)
    field, compare, size = match.groups()
    if field == "gpus":
        if not size.isdecimal():
            raise UsageInvalid(f"--on {text.strip()[:64]!r}: gpus is a number.", hint='Write "gpus>=2".')
        return field, compare, int(size)
    return field, compare, parse_size(size, option=f"{field}{compare}")


def _meets(node: NodeStatus, field: str, compare: str, minimum: int) -> bool:
    actual = _FIELDS[field](node)
    return actual is not None and _COMPARE[compare](actual, minimum)


def _figure_text(node: NodeStatus, field: str) -> str:
    figure = _FIELDS[field](node)
    if figure is None:
        return "unknown"
    return str(figure) if field == "gpus" else format_bytes(figure)
