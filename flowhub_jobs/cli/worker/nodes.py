"""nodes: lists the machines that share this database. nodes remove: retires one. nodes rotate-token: a new token."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.foreign_commands import AnsweringGroup
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.node_rows import NodeStatus
from flowhub_jobs.operations.node_texts import gpus_text, size_text, state_text
from flowhub_jobs.operations.nodes import read_nodes, remove_node
from flowhub_jobs.operations.publish_share import rotate_fleet_token
from flowhub_jobs.operations.schemas.nodes import node_removed_json, nodes_json, token_rotated_json
from flowhub_jobs.units import named_jobs

app = typer.Typer(
    name="nodes",
    cls=AnsweringGroup,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
GPUS_MOST, GPUS_LEAST = 28, 12  # columns
NAMED = 8  # job numbers that a line names
_HEAD = ("NODE", "STATE", "SLOTS", "DISK FREE", "RAM", "GPUS", "HOST")


@app.callback()
def nodes(context: typer.Context, as_json: AsJson = False) -> None:
    """List the machines that share this database.

    A worker registers its machine. A node is gone when none of its workers has been seen for 30 seconds.
    """
    if context.invoked_subcommand is not None:
        return
    with open_session() as session:
        listed, own_node = read_nodes(session.home), session.node
    if output.chosen.json:
        output.result_json(nodes_json(listed))
        return
    if not listed:
        output.hint("No node is registered. `flowhub worker` registers this machine.")
        return
    now = datetime.now(UTC)
    rows = [_row(node, own_node, now) for node in listed]
    if _is_too_wide(rows):
        lines = [_paragraph(row) for row in rows]
    else:
        head, *lines = _table(rows)
        output.result(output.bold(head))
    for node, line in zip(listed, lines, strict=True):
        output.result(line if node.alive else output.dim(line))


@app.command("remove")
def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the node.")],
    requeue: Annotated[bool, typer.Option("--requeue", help="Give its unfinished jobs to the other nodes.")] = False,
    cancel: Annotated[bool, typer.Option("--cancel", help="Cancel its unfinished jobs.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Remove the node even if it is alive. Its worker stops.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove a node that is gone.

    Its history and the models on its disk stay. A worker that starts under the name registers it again.
    """
    if requeue and cancel:
        raise UsageInvalid("--requeue and --cancel exclude each other.", hint="Give one of them.")
    action = "requeue" if requeue else "cancel" if cancel else None
    with open_session() as session:
        removed = remove_node(session.home, name, action, force=force)
        if removed.requeued:
            session.wake_workers(len(removed.requeued), any_node=True)
    if output.chosen.json:
        output.result_json(node_removed_json(removed))
        return
    output.result(f"The node {removed.node} is removed.")
    if removed.requeued:
        output.result(f"Requeued for any node: {named_jobs(removed.requeued, NAMED)}.")
    if removed.cancelled:
        output.result(f"Cancelled: {named_jobs(removed.cancelled, NAMED)}.")


@app.command("rotate-token")
def rotate_token(as_json: AsJson = False) -> None:
    """Replace the token by which nodes read each other's shares.

    It stays in the database and is never shown. Transfers between nodes continue from elsewhere, or with the new token.
    """
    with open_session() as session:
        rotate_fleet_token(session.home)
    if output.chosen.json:
        output.result_json(token_rotated_json())
        return
    output.result("The token of the nodes is replaced. The old one is refused within seconds.")


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines, without the hosts on a screen that is too narrow for them."""
    width = len(_HEAD) if output.width_of(_HEAD, rows) <= output.columns() else len(_HEAD) - 1
    return output.table(_HEAD[:width], [row[:width] for row in rows], right=(2, 3, 4), give=5).split("\n")


def _is_too_wide(rows: Sequence[tuple[str, ...]]) -> bool:
    """Return whether the uncut names leave no room for the other columns; of those only the GPUs are cut."""
    uncut = [(*row[:5], row[5][:GPUS_LEAST]) for row in rows]
    return output.width_of(_HEAD[:6], uncut) > output.columns()


def _paragraph(row: tuple[str, ...]) -> str:
    name, state, slots, disk, ram, gpus, host = row
    parts = [state, f"slots {slots}", f"disk {disk} free", f"RAM {ram}", f"GPUs {gpus}", f"host {host}"]
    return f"{output.clean(name)}\n{output.fold(output.clean(', '.join(parts)), '  ')}"


def _row(node: NodeStatus, own_node: str, now: datetime) -> tuple[str, ...]:
    host = f"{node.hostname} (here)" if node.node == own_node else node.hostname
    slots = str(node.slots) if node.alive else "-"
    gpus = output.shorten(gpus_text(node.gpus), GPUS_MOST)
    return node.node, state_text(node, now), slots, size_text(node.disk_free), size_text(node.ram), gpus, host
