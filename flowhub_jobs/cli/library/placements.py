"""placements: lists the models in the folders of other programs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations import placement
from flowhub_jobs.operations.schemas.placements import placements_json
from flowhub_jobs.placement.entries import PlacementState
from flowhub_jobs.times import at_clock

NAME_LEAST = 16  # columns of a name that are shown


def placements(as_json: AsJson = False) -> None:
    """List models in folders of other programs.

    The state is ok, missing (a file is gone, or could not be made yet), or changed (by the program, or the model has a
    newer version). A worker tries again what could not be made because of the program's folder or disk.
    """
    with open_session() as session:
        listed = placement.placements(session)
    if output.chosen.json:
        output.result_json(placements_json(listed))
        return
    if not listed:
        output.hint("No model is placed. `flowhub place MODEL --in hf-cache` places one.")
        return
    output.result(_table(listed))
    now = datetime.now(UTC)
    for one in listed:
        if one.error is not None:
            output.hint(output.fold(_problem(one, one.error, now), after="  "))
    if broken := [one for one in listed if one.state is not PlacementState.OK and one.error is None]:
        first = broken[0]
        output.hint(output.fold(f"`flowhub place {first.name} --in {first.app}` places it again."))


def _link_text(one: placement.ShownPlacement) -> str:
    return one.how.text if one.how else "-"


def _table(placements: Sequence[placement.ShownPlacement]) -> str:
    """Return one line a placement where the screen is wide enough, else two: no path is cut, paths are copied.

    If a folder's path leaves no room for the other columns, each placement is a paragraph.
    """
    rows = [
        tuple(map(output.clean, (one.name, one.app, _link_text(one), str(one.state), str(one.path))))
        for one in placements
    ]
    head = ("NAME", "IN", "HOW", "STATE", "PATH")
    if output.width_of(head, rows) <= output.columns():
        return output.table(head, rows)
    if output.width_of(head[:-1], [("", *row[1:-1]) for row in rows]) + NAME_LEAST > output.columns():
        return "\n".join(f"{name}, in {app}\n  {method}, {state}, {path}" for name, app, method, state, path in rows)
    first, *lines = output.table(head[:-1], [row[:-1] for row in rows]).split("\n")
    pairs = zip(lines, rows, strict=True)
    return "\n".join([first, *(line for short, row in pairs for line in (short, f"  {row[-1]}"))])


def _problem(one: placement.ShownPlacement, error: dict[str, Any], now: datetime) -> str:
    hint = f" {error['hint']}" if error.get("hint") else ""
    due = one.next_at is None or one.next_at <= now
    next_try = "now" if due or one.next_at is None else at_clock(one.next_at, now)
    text = f"{one.name} is not in {one.app} yet: {error['message']}{hint} A worker tries it again {next_try}"
    return output.clean(f"{text}; `flowhub place {one.name} --in {one.app}` does at once.")
