"""The table of jobs: number, model, state, size, progress, and a short note on each."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from flowhub_jobs.cli import output, text_width
from flowhub_jobs.jobs.report_values import needs_user as waits_for_user
from flowhub_jobs.operations.nodes import ANY_COLUMN
from flowhub_jobs.operations.wait_reasons import in_short
from flowhub_jobs.times import clock_time
from flowhub_jobs.units import format_bytes, format_duration, format_rate
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import ANY_NODE, Job

HEAD = ("JOB", "MODEL", "STATE", "SIZE", "DONE", "")
NAME_LEAST, WORDS_LEAST = 16, 29
NARROW = 72  # columns; a narrower table has no sizes
NODE_MOST = 16
_RED, _YELLOW = "31", "33"
_ADDRESS = re.compile(r"((?:\w+ )?\w+:(?://)?).+/([^/]+)")


def table_lines(jobs: Sequence[Job]) -> list[str]:
    """Return the head and a line for each job, without colour."""
    now = datetime.now(UTC)
    rows = _rows(jobs, now)
    if len({job.node for job in jobs}) > 1:
        return _with_nodes(jobs, rows)
    if not rows or output.width_of(HEAD, rows) <= output.columns():
        return output.table(HEAD, rows, right=(0, 3, 4), give=5).split("\n")
    rows = _rows(jobs, now, brief=True)
    if output.columns() >= NARROW:
        return output.table(HEAD, _fitting(rows, HEAD), right=(0, 3, 4), give=5).split("\n")
    head, rows = (*HEAD[:3], *HEAD[4:]), [(*row[:3], *row[4:]) for row in rows]
    return output.table(head, _fitting(rows, head), right=(0, 3), give=4).split("\n")


def _rows(jobs: Sequence[Job], now: datetime, *, brief: bool = False) -> list[tuple[str, ...]]:
    return [
        (str(job.id), job.title, str(job.state), size(job), progress(job), progress_note(job, now, brief=brief))
        for job in jobs
    ]


def _with_nodes(jobs: Sequence[Job], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the table of jobs with a column of nodes in place of the sizes."""
    head = (*HEAD[:2], "NODE", HEAD[2], *HEAD[4:])
    nodes = [output.shorten(node_name(job), NODE_MOST) for job in jobs]
    placed = [(*row[:2], node, row[2], *row[4:]) for node, row in zip(nodes, rows, strict=True)]
    return output.table(head, _fitting(placed, head), right=(0, 4), give=5).split("\n")


def node_name(job: Job) -> str:
    return ANY_COLUMN if job.node == ANY_NODE else job.node


def painted(line: str, job: Job, *, needs_user: bool) -> str:
    """Return a line in the colour of its job: red if it needs the user, dim if it has ended."""
    if job.state is State.PAUSED:
        return output.paint(line, _YELLOW)
    if (job.state is State.FAILED and needs_user) or waits_for_user(job):
        return output.paint(line, _RED)
    return line if job.live else output.dim(line)


def _fitting(rows: Sequence[tuple[str, ...]], head: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the rows with the names cut for a narrow screen; the last column is cut before the names are."""
    words_give = max(0, max(text_width.width(row[-1]) for row in rows) - WORDS_LEAST)
    over = output.width_of(head, rows) - words_give - output.columns()
    longest = max(NAME_LEAST, max(text_width.width(row[1]) for row in rows) - max(0, over))
    return [(row[0], short_name(row[1], longest), *row[2:]) for row in rows]


def short_name(text: str, cells: int) -> str:
    """Return a reference in at most `cells` cells: first an address loses its middle, "hf:…/Qwen3-8B-GGUF:Q4_K_M"."""
    match = _ADDRESS.fullmatch(text) if text_width.width(text) > cells else None
    return output.shorten(f"{match[1]}…/{match[2]}" if match else text, cells)


def size(job: Job) -> str:
    return format_bytes(job.bytes_total) if job.bytes_total is not None else "?"


def progress(job: Job) -> str:
    if job.bytes_total is None:
        return format_bytes(job.bytes_done) if job.bytes_done else "-"
    if not job.bytes_total:
        return "100 %"
    return f"{100 * job.bytes_done // job.bytes_total} %"


def progress_note(job: Job, now: datetime, *, brief: bool = False) -> str:
    """Return a few words: speed and time left, reason to wait, error code, or time of the end.

    `brief`: the time left in one unit, and no cause of the wait.
    """
    if job.state is State.RUNNING:
        speed = [format_rate(job.rate_bps)] if job.rate_bps else []
        eta = format_duration(job.eta_s) if job.eta_s else ""
        left = [f"{' '.join(eta.split()[:2]) if brief else eta} left"] if eta else []
        return ", ".join(([str(job.stage)] if job.stage != "download" else []) + speed + left)
    if job.state is State.QUEUED:
        return in_short(job, now, with_cause=not brief)
    if job.state is State.FAILED and job.error:
        return str(job.error["code"])
    return clock_time(job.finished_at, now) if job.finished_at else ""
