"""The live view of `--watch`: bars, sizes, speeds, times left, redrawn twice a second. Ctrl-C detaches."""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flowhub_jobs.cli import output, text_width
from flowhub_jobs.cli.jobs.job_table import painted, progress, progress_note, size
from flowhub_jobs.errors import Interrupted
from flowhub_jobs.jobs.remedies import NO_WORKER
from flowhub_jobs.jobs.status_order import arrange
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.total_line import total_line
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import Job

REFRESH_S = 0.5
LOG_S = 1.0
BAR_LEAST, BAR_MOST = 6, 24
_NAME_LEAST, _WORDS_MOST = 12, 30
_FIXED = 4 + 2 + 2 + 1 + 5 + 2 + 1  # the number, the percentage, the gaps, and the edge
# Eighths of a block, so that a bar moves smoothly.
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_TO_THE_END, _BELOW = "\x1b[K", "\x1b[J"

Read = Callable[[], Sequence[Job]]


def watch_jobs(session: Session, read: Read, *, until_ended: bool) -> None:
    """Show the jobs until they have ended, or until Ctrl-C, which raises Interrupted and cancels nothing.

    A terminal is redrawn. Another stdout gets a line at each change, and the table when the last job has ended.
    """
    session.watch_database()
    try:
        if output.is_terminal():
            _draw(session, read, until_ended)
        else:
            _log(read)
    except KeyboardInterrupt:
        raise Interrupted("Detached; the jobs continue.", hint=_after(session, read())) from None


def _after(session: Session, jobs: Sequence[Job]) -> str:
    no_worker = any(job.live for job in jobs) and not session.living_workers()
    return NO_WORKER if no_worker else "`flowhub status --watch` watches again."


def _draw(session: Session, read: Read, until_ended: bool) -> None:
    drawn_lines = 0
    while True:
        jobs = read()
        lines = screen_lines(
            jobs, datetime.now(UTC), output.columns(), output.height() - 1, _total_line(session, jobs)
        ) or ["No jobs."]
        # Overwrite the old lines instead of erasing them first, which would flicker.
        back = f"\x1b[{drawn_lines}F" if drawn_lines else ""
        sys.stdout.write(back + "".join(f"{line}{_TO_THE_END}\n" for line in lines) + _BELOW)
        sys.stdout.flush()
        drawn_lines = len(lines)
        if until_ended and not any(job.live for job in jobs):
            return
        time.sleep(REFRESH_S)


def _total_line(session: Session, jobs: Sequence[Job]) -> str | None:
    """Return the total line, if more than one job is live."""
    overview = arrange(jobs, ())
    return total_line(session, overview, datetime.now(UTC)) if len(overview.live) > 1 else None


def _log(read: Read) -> None:
    last_line = ""
    while True:
        jobs = read()
        line = _one_line(jobs)
        if line not in ("", last_line):
            output.result(line)
            sys.stdout.flush()
        last_line = line
        if not any(job.live for job in jobs):
            output.result(
                "\n".join(screen_lines(jobs, datetime.now(UTC), output.columns(), output.UNBOUNDED)) or "No jobs."
            )
            return
        time.sleep(LOG_S)


def screen_lines(jobs: Sequence[Job], now: datetime, width: int, height: int, foot: str | None = None) -> list[str]:
    """Return the screen: at most `height` lines, none wider than `width`.

    Running jobs first, then failed, waiting and ended jobs; jobs without room are counted. `foot` is the last line.
    """
    overview = arrange(jobs, [job.id for job in jobs if job.state is State.FAILED])
    room = height - (1 if foot else 0)
    hidden = 0 if len(jobs) <= room else len(jobs) - room + 1
    visible = overview.jobs[: len(jobs) - hidden]
    widths = _widths(visible, now, width)
    lines = [painted(output.shorten(_line(job, now, widths), width - 1), job, needs_user=True) for job in visible]
    lines += [output.shorten(f"… and {hidden} more: `flowhub status`", width - 1)] if hidden else []
    return [*lines, output.shorten(foot, width - 1)] if foot else lines


@dataclass(frozen=True, slots=True)
class _Widths:
    """Cells of the variable columns; without the size column, `size` is 0."""

    name: int
    bar: int
    size: int


def _widths(jobs: Sequence[Job], now: datetime, width: int) -> _Widths:
    """Return the cells of the name, the bar and the size: the size gives way first, then the bar, then the name."""
    status_width = min(_WORDS_MOST, max((len(_status_text(job, now)) for job in jobs), default=0))
    title_width = max((text_width.width(job.title) for job in jobs), default=0)
    size_width = max((len(size(job)) for job in jobs), default=0)
    rest = width - _FIXED - status_width
    if rest - size_width - 2 < title_width + BAR_LEAST:
        size_width = 0
    rest -= size_width + 2 if size_width else 0
    bar_cells = min(BAR_MOST, max(BAR_LEAST, rest - title_width))
    return _Widths(min(title_width, max(_NAME_LEAST, rest - bar_cells)), bar_cells, size_width)


def _status_text(job: Job, now: datetime) -> str:
    text = progress_note(job, now)
    if job.state in (State.RUNNING, State.QUEUED):
        return text or str(job.state)
    return f"{job.state} {text}".rstrip()


def _line(job: Job, now: datetime, widths: _Widths) -> str:
    share = job.bytes_done / job.bytes_total if job.bytes_total else float(job.state is State.COMPLETED)
    ref = text_width.left(output.shorten(output.clean(job.title), widths.name), widths.name)
    size_text = f"  {size(job):>{widths.size}}" if widths.size else ""
    return f"{job.id:>4}  {ref}  {bar(share, widths.bar)} {progress(job):>5}{size_text}  {_status_text(job, now)}"


def bar(share: float, width: int) -> str:
    """Return a bar of so many cells, `share` (0 to 1) of it full."""
    eighths = int(min(1.0, max(0.0, share)) * width * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(width, "·")


def _one_line(jobs: Sequence[Job]) -> str:
    """Return one line for a log: the running jobs, and the number of waiting ones."""
    running = [f"{job.id} {output.clean(job.title)} {progress(job)}" for job in jobs if job.state is State.RUNNING]
    waiting = sum(job.state in (State.QUEUED, State.PAUSED) for job in jobs)
    return "; ".join([*running, *([f"{waiting} waiting"] if waiting else [])])
