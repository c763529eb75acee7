"""The live view: bars, speed, time left, twice a second. Ctrl-C leaves it; the jobs go on."""

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from flowhub_jobs.cli import say
from flowhub_jobs.cli.fetch.screens import how_it_is, progress
from flowhub_jobs.cli.session import NO_WORKER
from flowhub_jobs.errors import Interrupted
from flowhub_jobs.hub.desk import Desk
from flowhub_jobs.kinds import State
from flowhub_jobs.records import Job

REFRESH_S = 0.5
LOG_S = 1.0
BAR_LEAST, BAR_MOST = 6, 24
ENDED_SHOWN = 5
_NAME_LEAST, _WORDS_MOST = 12, 30
_BESIDE = 4 + 2 + 2 + 1 + 5 + 2 + 1  # the number, the percentage, what parts the columns, and the edge
# Eighths of a block, so that a bar moves smoothly.
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_TO_THE_END, _BELOW = "\x1b[K", "\x1b[J"
_ORDER = {State.RUNNING: 0, State.QUEUED: 1, State.PAUSED: 2}

Read = Callable[[], Sequence[Job]]


def watch_jobs(desk: Desk, read: Read, *, until_ended: bool) -> None:
    """Show the jobs until they have ended, or until Ctrl-C, which raises Interrupted and cancels nothing.

    A terminal is drawn over; anything else gets a line where something has changed, and an end with the last job.
    """
    try:
        if say.is_terminal():
            _draw(read, until_ended)
        else:
            _log(read)
    except KeyboardInterrupt:
        raise Interrupted("Detached; the jobs go on.", hint=_after(desk, read())) from None


def _after(desk: Desk, jobs: Sequence[Job]) -> str:
    no_worker = any(job.live for job in jobs) and not desk.home.living_workers()
    return NO_WORKER if no_worker else "`flowhub status --watch` looks again."


def _draw(read: Read, until_ended: bool) -> None:
    drawn = 0
    while True:
        jobs = read()
        lines = picture(jobs, datetime.now(UTC), say.columns(), say.height() - 1) or ["No jobs."]
        # Over the old lines, not after erasing them: an empty screen between two pictures would flicker.
        back = f"\x1b[{drawn}F" if drawn else ""
        sys.stdout.write(back + "".join(f"{line}{_TO_THE_END}\n" for line in lines) + _BELOW)
        sys.stdout.flush()
        drawn = len(lines)
        if until_ended and not any(job.live for job in jobs):
            return
        time.sleep(REFRESH_S)


def _log(read: Read) -> None:
    said = ""
    while True:
        jobs = read()
        line = _one_line(jobs)
        if line not in ("", said):
            say.result(line)
            sys.stdout.flush()
        said = line
        if not any(job.live for job in jobs):
            say.result("\n".join(picture(jobs, datetime.now(UTC), say.columns(), say.UNBOUNDED)) or "No jobs.")
            return
        time.sleep(LOG_S)


def picture(jobs: Sequence[Job], now: datetime, width: int, height: int) -> list[str]:
    """Return the lines of one moment, none wider than `width`, and `height` of them at most.

    The last few that ended, then what lives: what runs first. What has no room is counted in the last line.
    """
    live = sorted((job for job in jobs if job.live), key=lambda job: (_ORDER[job.state], job.id))
    ended = [job for job in jobs if not job.live]
    shown = [*ended[-_room_for_ended(len(live), height) :], *live] if ended else live
    hidden = 0 if len(shown) <= height else len(shown) - height + 1
    shown = shown[: len(shown) - hidden]
    name, cells = _widths(shown, now, width)
    lines = [say.shorten(_line(job, now, name, cells), width - 1) for job in shown]
    return [*lines, f"… and {hidden} more: `flowhub status`"] if hidden else lines


def _room_for_ended(live: int, height: int) -> int:
    return max(1, min(ENDED_SHOWN, height - live))


def _widths(jobs: Sequence[Job], now: datetime, width: int) -> tuple[int, int]:
    """Return the cells of the name and of the bar: the bar gives way first, then the name."""
    words = min(_WORDS_MOST, max((len(_words(job, now)) for job in jobs), default=0))
    wanted = max((len(job.title) for job in jobs), default=0)
    cells = min(BAR_MOST, max(BAR_LEAST, width - _BESIDE - words - wanted))
    return min(wanted, max(_NAME_LEAST, width - _BESIDE - words - cells)), cells


def _words(job: Job, now: datetime) -> str:
    words = how_it_is(job, now)
    return words if words and job.state in (State.RUNNING, State.QUEUED) else f"{job.state} {words}".rstrip()


def _line(job: Job, now: datetime, name: int, cells: int) -> str:
    share = job.bytes_done / job.bytes_total if job.bytes_total else float(job.state is State.COMPLETED)
    ref = say.shorten(say.clean(job.title), name)
    return f"{job.id:>4}  {ref:<{name}}  {bar(share, cells)} {progress(job):>5}  {_words(job, now)}"


def bar(share: float, cells: int) -> str:
    """Return a bar of so many cells, `share` (0 to 1) of it full."""
    eighths = int(min(1.0, max(0.0, share)) * cells * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(cells, "·")


def _one_line(jobs: Sequence[Job]) -> str:
    """Return one line of what runs, and how many wait, for a log."""
    running = [f"{job.id} {say.clean(job.title)} {progress(job)}" for job in jobs if job.state is State.RUNNING]
    waiting = sum(job.state in (State.QUEUED, State.PAUSED) for job in jobs)
    return "; ".join([*running, *([f"{waiting} waiting"] if waiting else [])])
