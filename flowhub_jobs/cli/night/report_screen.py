"""The morning report as a screen that fits 80 columns."""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

from flowhub_jobs.cli import say
from flowhub_jobs.jobs.healing import Healed
from flowhub_jobs.jobs.morning import Came, Morning, Need
from flowhub_jobs.kinds import DigestState, Reason, State
from flowhub_jobs.records import Job
from flowhub_jobs.words import format_bytes, format_duration, format_rate, named_jobs

ROWS_MAX = 40  # of a section; `flowhub status` lists every one
JOBS_NAMED = 2
INDENT = " " * 5
_HEALED = {  # one of it, several of it
    "rescue": ("A worker died; its job was taken back and went on", "{} times a worker died; its job went on"),
    "retry": ("A fault of the line or a host was tried again", "{} faults of the line or a host were tried again"),
    "host_busy": ("A busy host was waited for", "{} times a busy host was waited for"),
    "wrong_range": ("A wrong range was refused and asked again", "{} wrong ranges were refused and asked again"),
    "asked_anew": ("A file was asked for at a new address", "{} times a file was asked for at a new address"),
    "piece_again": ("A damaged piece was fetched again", "{} damaged pieces were fetched again"),
    "file_again": ("A file came wrong and was fetched again", "{} files came wrong and were fetched again"),
    "offline": ("The network was gone for a while", "{} times a job had to let go: no network"),
    "parked": ("A job waited for the disk", "{} jobs waited for the disk"),
}
_WAITS = {
    Reason.AT: "is queued for later",
    Reason.WINDOW: "waits for its hours",
    Reason.AFTER: "waits for another job",
    Reason.NETWORK: "waits for the network",
    Reason.HOST_WAIT: "its host asked to wait",
    Reason.BACKOFF: "is tried again",
    Reason.SLOTS: "waits for its turn",
}
_BEGINS = {Reason.AT: "begins at", Reason.BACKOFF: "is tried again at"}


def lines(morning: Morning) -> list[str]:
    """Return the screen: a headline, then the sections that have something to tell, apart where there is room."""
    parts = _parts(morning, _whole)
    if sum(map(len, parts)) >= say.height():
        parts = _parts(morning, _in_two_lines)
    airy = sum(map(len, parts)) + len(parts) - 1 < say.height()  # the prompt needs a line, too
    return [line for number, part in enumerate(parts) for line in ([""] if airy and number else []) + part]


def _parts(morning: Morning, told: Callable[[Need], list[str]]) -> list[list[str]]:
    needs = _needs(morning.needs, told)
    sections = [_came(morning), _healed(morning.healed), _going(morning), needs, _totals(morning)]
    return [[_headline(morning)], *(section for section in sections if section)]


def _headline(morning: Morning) -> str:
    since = morning.since.astimezone().strftime("%a %d %b, %H:%M")
    need = len(morning.needs)
    counts = (
        (len(morning.came), "came"),
        (len(morning.going), "still to come"),
        (need, "needs you" if need == 1 else "need you"),
    )
    told = ", ".join(f"{count} {word}" for count, word in counts if count)
    return f"Since {since}: {told or 'nothing happened'}."


def _came(morning: Morning) -> list[str]:
    rows = [
        (str(came.job.id), came.job.ref, format_bytes(came.job.bytes_total or 0), _when(came, morning), *_how(came))
        for came in morning.came[:ROWS_MAX]
    ]
    if not rows:
        return []
    head = ("JOB", "CAME", "SIZE", "AT", "SPEED", "DIGEST")
    shown = say.table(head, rows, right=(0, 2, 4), give=1).split("\n")
    return [shown[0], *(say.paint(line, "32") for line in shown[1:]), *_more(morning.came, "flowhub status --all")]


def _when(came: Came, morning: Morning) -> str:
    return _at(came.job.finished_at or came.job.created_at, morning.until)


def _at(moment: datetime, now: datetime) -> str:
    """Return a moment of the night, local; of another day with its name, of another week with its date."""
    days = abs((moment - now).total_seconds()) / 86400
    return moment.astimezone().strftime("%H:%M" if days < 1 else "%a %H:%M" if days < 7 else "%d %b %H:%M")


def _how(came: Came) -> tuple[str, str]:
    fast = format_rate(came.rate_bps) if came.rate_bps else "-"
    return fast if came.job.bytes_fetched else "was here", _digest(came.job)


def _digest(job: Job) -> str:
    return "verified" if job.sha256_state is DigestState.VERIFIED else "unpinned"


def _healed(healed: Iterable[Healed]) -> list[str]:
    found = [f"  {_in_words(one)} ({named_jobs(one.jobs, JOBS_NAMED)})." for one in healed]
    return ["HEALED BY ITSELF", *found] if found else []


def _in_words(one: Healed) -> str:
    single, several = _HEALED[one.kind]
    return single if one.count == 1 else several.format(one.count)


def _going(morning: Morning) -> list[str]:
    first = sorted(morning.going, key=lambda job: (job.state is not State.RUNNING, job.id))
    rows = [(str(job.id), job.title, _done(job), _goes(job, morning.until)) for job in first[:ROWS_MAX]]
    if not rows:
        return []
    shown = say.table(("JOB", "STILL TO COME", "DONE", ""), rows, right=(0, 2), give=1).split("\n")
    return [*shown, *_more(first, "flowhub status")]


def _done(job: Job) -> str:
    return f"{100 * job.bytes_done // job.bytes_total} %" if job.bytes_total else "-"


def _goes(job: Job, now: datetime) -> str:
    """Return a few words: how it goes on, and when."""
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


def _needs(needs: Sequence[Need], told: Callable[[Need], list[str]]) -> list[str]:
    found = [line for need in needs[:ROWS_MAX] for line in told(need)]
    return ["NEEDS YOU", *found, *_more(needs, "flowhub status --state failed")] if found else []


def _whole(need: Need) -> list[str]:
    """Return what is wrong and what to do, in as many lines as that takes."""
    number, who = _whose(need)
    what = say.fold(f"{who}{need.message}", number, INDENT).split("\n")
    return [
        *(say.paint(say.shorten(line, say.columns()), "31") for line in what),
        *say.fold(need.hint, INDENT).split("\n"),
    ]


def _in_two_lines(need: Need) -> list[str]:
    """Return the same where there is less room: of a long hint the commands, which are never cut."""
    number, who = _whose(need)
    what = say.paint(say.shorten(say.clean(f"{number}{who}{need.message}"), say.columns()), "31")
    if len(need.hint) + len(INDENT) <= say.columns() or need.job is None:
        return [what, f"{INDENT}{need.hint}"]
    commands = list(dict.fromkeys(re.findall(r"`flowhub [^`]+`", need.hint)))
    return [what, f"{INDENT}{', '.join(commands)}; `flowhub status {need.job.id}` says more."]


def _whose(need: Need) -> tuple[str, str]:
    return (f"{need.job.id:>3}  ", f"{need.job.title}: ") if need.job else (INDENT, "")


def _totals(morning: Morning) -> list[str]:
    totals = morning.totals
    if not totals.fetched:
        return []
    speed = f", {format_rate(totals.rate_bps)} on average" if totals.rate_bps else ""
    line = f"Fetched {format_bytes(totals.fetched)} in {format_duration(max(1, totals.work_s))} of work{speed}"
    return [f"{line}; {format_bytes(totals.twice)} of it twice." if totals.twice else f"{line}; nothing twice."]


def _more(rows: Sequence[Any], command: str) -> list[str]:
    return [f"     … and {len(rows) - ROWS_MAX} more: `{command}`"] if len(rows) > ROWS_MAX else []
