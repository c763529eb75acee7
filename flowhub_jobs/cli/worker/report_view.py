"""The screen of `report`, at most 80 columns wide."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from flowhub_jobs.cli import output
from flowhub_jobs.cli.worker.report_needs_view import needs_lines
from flowhub_jobs.jobs.report_recoveries import Recovered
from flowhub_jobs.jobs.report_values import CompletedJob, Report
from flowhub_jobs.operations.recovery_texts import recovered_sentence
from flowhub_jobs.units import format_bytes, format_duration, format_rate, named_jobs
from flowhub_jobs.values.enums import DigestState, Reason, State
from flowhub_jobs.values.jobs import ANY_NODE, Job

ROWS_MAX = 40  # of a section; `flowhub status` lists every one
JOBS_NAMED = 2
_WAITS = {
    Reason.AT: "starts later",
    Reason.WINDOW: "waits for the schedule's window",
    Reason.CAP: "waits for the cap's next period",
    Reason.AFTER: "waits for another job",
    Reason.NETWORK: "waits for the network",
    Reason.HOST_WAIT: "waits for its host",
    Reason.BACKOFF: "will be tried again",
    Reason.SLOTS: "waits for a free slot",
}
_BEGINS = {Reason.AT: "starts at", Reason.BACKOFF: "next try at", Reason.HOST_WAIT: "next try at"}


def lines(report: Report, *, nodes: bool = False) -> list[str]:
    """Return the screen: a headline, then the sections that are not empty, with blank lines if there is room.

    With `nodes` each job has its node.
    """
    completed, unfinished = _completed_lines(report, nodes=nodes), _unfinished_lines(report, nodes=nodes)
    sections = [completed, _recovered_lines(report.recoveries), unfinished, needs_lines(report), _totals(report)]
    headline = output.fold(_headline(report)).split("\n")
    parts = [[output.bold(line) for line in headline], *(section for section in sections if section)]
    airy = sum(map(len, parts)) + len(parts) - 1 < output.height()  # the prompt needs a line, too
    return [line for number, part in enumerate(parts) for line in ([""] if airy and number else []) + part]


def _headline(report: Report) -> str:
    since = report.since.astimezone().strftime("%a %d %b, %H:%M")
    need = len(report.needs)
    counts = (
        (len(report.completed), "completed"),
        (len(report.unfinished), "unfinished"),
        (need, "needs you" if need == 1 else "need you"),
    )
    text = ", ".join(f"{count} {name}" for count, name in counts if count)
    return f"Since {since}: {text or 'nothing happened'}."


def _completed_lines(report: Report, *, nodes: bool) -> list[str]:
    rows = [
        (
            *_job_cells(completed.job, completed.job.ref, nodes=nodes),
            _size(completed.job),
            _when(completed, report),
            *_speed_and_digest(completed),
        )
        for completed in report.completed[:ROWS_MAX]
    ]
    if not rows:
        return []
    head = (*_head("COMPLETED", nodes=nodes), "SIZE", "AT", "SPEED", "DIGEST")
    right = (0, len(head) - 4, len(head) - 2)
    table = output.table(head, rows, right=right, give=1).split("\n")
    return [output.bold(table[0]), *map(output.dim, table[1:]), *_more_line(report.completed, "flowhub status --all")]


def _head(name: str, *, nodes: bool) -> tuple[str, ...]:
    return ("JOB", name, "NODE") if nodes else ("JOB", name)


def _job_cells(job: Job, name: str, *, nodes: bool) -> tuple[str, ...]:
    """Return the cells below `_head`. A job that no node has taken yet has none."""
    node = "any" if job.node == ANY_NODE else job.node
    return (str(job.id), name, node) if nodes else (str(job.id), name)


def _size(job: Job) -> str:
    return format_bytes(job.bytes_total or 0)


def _when(completed: CompletedJob, report: Report) -> str:
    return _at(completed.job.finished_at or completed.job.created_at, report.until)


def _at(moment: datetime, now: datetime) -> str:
    """Return a moment, local; of another day with its name, of another week with its date."""
    local, today = moment.astimezone(), now.astimezone().date()
    days = abs((local.date() - today).days)
    return local.strftime("%H:%M" if days == 0 else "%a %H:%M" if days < 7 else "%d %b %H:%M")


def _speed_and_digest(completed: CompletedJob) -> tuple[str, str]:
    fast = format_rate(completed.rate_bps) if completed.rate_bps else "-"
    return fast if completed.job.bytes_fetched else "already present", _digest(completed.job)


def _digest(job: Job) -> str:
    return "verified" if job.sha256_state is DigestState.VERIFIED else "unpinned"


def _recovered_lines(healed: Iterable[Recovered]) -> list[str]:
    lines = [f"  {recovered_sentence(one)} ({named_jobs(one.jobs, JOBS_NAMED)})." for one in healed]
    return [output.bold("RECOVERED AUTOMATICALLY"), *lines] if lines else []


def _unfinished_lines(report: Report, *, nodes: bool) -> list[str]:
    first = sorted(report.unfinished, key=lambda job: (job.state is not State.RUNNING, job.id))
    rows = [
        (*_job_cells(job, job.title, nodes=nodes), _percent(job), _continuation(job, report.until))
        for job in first[:ROWS_MAX]
    ]
    if not rows:
        return []
    head = (*_head("UNFINISHED", nodes=nodes), "DONE", "")
    table = output.table(head, rows, right=(0, len(head) - 2), give=1).split("\n")
    return [output.bold(table[0]), *table[1:], *_more_line(first, "flowhub status")]


def _percent(job: Job) -> str:
    return f"{100 * job.bytes_done // job.bytes_total} %" if job.bytes_total else "-"


def _continuation(job: Job, now: datetime) -> str:
    """Return a few words: how a job continues, and when."""
    if job.state is State.PAUSED:
        return f"paused: `flowhub resume {job.id}`"
    if job.state is State.RUNNING:
        left = f", {format_duration(job.eta_s)} left" if job.eta_s else ""
        return f"{format_rate(job.rate_bps)}{left}" if job.rate_bps else "is running"
    if job.reason is None:
        return "is next"
    text = _WAITS.get(job.reason, f"waits: {job.reason}")
    if job.not_before is None or job.not_before <= now:
        return text
    return f"{_BEGINS.get(job.reason, f'{text} until')} {_at(job.not_before, now)}"


def _totals(report: Report) -> list[str]:
    totals = report.totals
    if not totals.fetched:
        return []
    speed = f", {format_rate(totals.rate_bps)} on average" if totals.rate_bps else ""
    line = f"Downloaded {format_bytes(totals.fetched)} in {format_duration(max(1, totals.work_s))} of work{speed}"
    repeated = f"{format_bytes(totals.twice)} of it" if totals.twice else "nothing"
    return output.fold(f"{line}; {repeated} was downloaded twice.").split("\n")


def _more_line(rows: Sequence[Any], command: str) -> list[str]:
    return [f"     … and {len(rows) - ROWS_MAX} more: `{command}`"] if len(rows) > ROWS_MAX else []
