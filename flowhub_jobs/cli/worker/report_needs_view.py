"""The section of `report` about jobs that need the user: each problem once, with its remedy."""

from collections.abc import Sequence

from flowhub_jobs.cli import output
from flowhub_jobs.jobs.report_values import ActionNeeded, Report, RoomNeeded
from flowhub_jobs.operations.needs_texts import folded, problem, remedy, room_sentence

INDENT = " " * 5
GROUPS_MAX = 40


def needs_lines(report: Report) -> list[str]:
    """Return the section; nothing where nothing needs the user."""
    groups = folded(report.needs)
    lines = [line for group in groups[:GROUPS_MAX] for line in _group_lines(group, report.room)]
    hidden = len(groups) - GROUPS_MAX
    tail = [f"{INDENT}… and {hidden} more: `flowhub status --state failed`"] if hidden > 0 else []
    return [output.paint("NEEDS YOU", "1;31"), *lines, *tail] if lines else []


def _group_lines(group: Sequence[ActionNeeded], room: RoomNeeded | None) -> list[str]:
    """Return the problem and the remedy, folded."""
    first = group[0]
    if first.code == "disk_full" and room is not None:
        text = output.fold(room_sentence(len(group), room), INDENT, INDENT)
    else:
        number = f"{first.job.id:>3}  " if first.job else INDENT
        text = output.fold(problem(group), number, INDENT)
    return [*(output.paint(line, "31") for line in text.split("\n")), *output.fold(remedy(group), INDENT).split("\n")]
