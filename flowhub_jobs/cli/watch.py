"""The live view: bars, speed, time left, twice a second. Ctrl-C leaves it; the jobs go on."""

import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from flowhub_jobs.cli import say
from flowhub_jobs.cli.screens import how_it_is, progress, tell_worker
from flowhub_jobs.errors import Interrupted
from flowhub_jobs.hub.desk import Desk
from flowhub_jobs.records import Job, State

REFRESH_S = 0.5
BAR = 16
ENDED_SHOWN = 5
# Eighths of a block, so that a bar moves smoothly.
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def watch_jobs(desk: Desk, read: Callable[[], Sequence[Job]], *, until_ended: bool) -> None:
    """Draw the jobs until they have ended, or until Ctrl-C, which raises Interrupted and cancels nothing."""
    drawn, live = 0, sys.stdout.isatty()
    try:
        while True:
            jobs = read()
            ended = not any(job.live for job in jobs)
            lines = picture(jobs, datetime.now(UTC), say.columns()) or ["No jobs."]
            if live and drawn:
                sys.stdout.write(f"\x1b[{drawn}F\x1b[J")
            if live or ended:
                sys.stdout.write("\n".join(lines) + "\n")
            elif jobs:
                sys.stdout.write(_one_line(jobs) + "\n")
            sys.stdout.flush()
            drawn = len(lines)
            if ended and (until_ended or not jobs):
                return
            time.sleep(REFRESH_S if live else 1.0)
    except KeyboardInterrupt:
        tell_worker(desk, read())
        raise Interrupted("Detached; the jobs go on.", hint="`flowhub status --watch` looks again.") from None


def picture(jobs: Sequence[Job], now: datetime, width: int) -> list[str]:
    """Return the lines of one moment, none wider than `width`: what lives, and the last few that ended."""
    live = [job for job in jobs if job.live]
    ended = [job for job in jobs if not job.live]
    shown = [*ended[-ENDED_SHOWN:], *sorted(live, key=lambda job: (job.state is not State.RUNNING, job.id))]
    name = min(34, max((len(job.ref) for job in shown), default=0))
    return [_line(job, now, name, width) for job in shown]


def _line(job: Job, now: datetime, name: int, width: int) -> str:
    share = job.bytes_done / job.bytes_total if job.bytes_total else 0.0
    words = how_it_is(job, now) if job.state in (State.RUNNING, State.QUEUED) else f"{job.state} {how_it_is(job, now)}"
    text = f"{job.id:>4}  {say.shorten(job.ref, name):<{name}}  {bar(share)} {progress(job):>6}  {words}"
    return say.shorten(text.rstrip(), width - 1)


def bar(share: float) -> str:
    """Return a bar of 16 cells, `share` (0 to 1) of it full."""
    eighths = int(min(1.0, max(0.0, share)) * BAR * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + (_EIGHTHS[part] if part else "")).ljust(BAR, "·")


def _one_line(jobs: Sequence[Job]) -> str:
    """Return one line of it all, for a log."""
    parts = [f"{job.id} {job.ref} {job.state} {progress(job)}" for job in jobs if job.live]
    return "; ".join(parts)
