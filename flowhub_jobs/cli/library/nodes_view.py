"""The screen of `list --node`: a matrix of models and nodes, or the models of one node."""

from collections import Counter
from collections.abc import Iterator

from flowhub_jobs.cli import output
from flowhub_jobs.operations.library.on_nodes import ModelsOnNodes
from flowhub_jobs.operations.nodes import ANY_COLUMN
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.jobs import ANY_NODE

NAMED = 3  # nodes that a line names


def models_text(on_nodes: ModelsOnNodes) -> str:
    """Return the models of one node, one a line."""
    rows = [
        (one.name, one.ref, format_bytes(one.bytes), one.verified_at.astimezone().strftime("%Y-%m-%d"))
        for one in on_nodes.models
    ]
    cells = on_nodes.cells()
    upcoming = [(one.ref, cells[one.ref, one.node]) for one in on_nodes.upcoming]
    rows += [("-", ref, "-", state) for ref, state in upcoming if state != "ok"]
    return output.table(("NAME", "SOURCE", "SIZE", "VERIFIED"), rows, right=(2,), give=1)


def matrix_text(on_nodes: ModelsOnNodes) -> str:
    """Return a row a model and a column a node; where they do not fit, a line a model that counts the nodes."""
    cells, names = on_nodes.cells(), on_nodes.names
    columns = [*names, *([ANY_NODE] if any(node == ANY_NODE for _, node in cells) else [])]
    head = ("MODEL", *(ANY_COLUMN if node == ANY_NODE else node for node in columns))
    rows = [(ref, *(cells.get((ref, node), "-") for node in columns)) for ref in on_nodes.refs]
    if output.width_of(head, rows) <= output.columns():
        return output.table(head, rows)
    return output.folded_table(("MODEL", "NODES"), [(ref, "; ".join(_counts(on_nodes, ref))) for ref in on_nodes.refs])


def _counts(on_nodes: ModelsOnNodes, ref: str) -> Iterator[str]:
    """Yield "on 18 of 20", "43 % on gpu-03", "not on gpu-17"."""
    cells, names = on_nodes.cells(), on_nodes.names
    states = Counter(cells.get((ref, node), "-") for node in names)
    yield f"on {states['ok']} of {len(names)}"
    for state in sorted(states):
        if state != "ok":
            nodes = [node for node in names if cells.get((ref, node), "-") == state]
            rest = f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else ""
            yield f"{'not' if state == '-' else state} on {', '.join(nodes[:NAMED])}{rest}"
    if (waits := cells.get((ref, ANY_NODE))) is not None:
        yield f"{waits} for any"
