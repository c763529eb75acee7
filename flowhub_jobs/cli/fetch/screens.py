"""What `status` and the bare `flowhub` show: the queue as a table, one job in full, one screen of it all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from flowhub_jobs.cli import say
from flowhub_jobs.cli.fetch.why import in_short, why_not_moving
from flowhub_jobs.cli.night.verbs_limit import limit_line
from flowhub_jobs.cli.session import tell_no_worker
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.hub.desk import Desk
from flowhub_jobs.hub.wire import events_object, jobs_page
from flowhub_jobs.kinds import State
from flowhub_jobs.records import Job
from flowhub_jobs.store.inventory import Presence
from flowhub_jobs.times import micros, parse_since
from flowhub_jobs.words import format_bytes, format_duration, format_rate

_COLOURS = {State.RUNNING: "36", State.COMPLETED: "32", State.FAILED: "31", State.PAUSED: "33"}
_VERBS = {
    State.QUEUED: "is queued",
    State.RUNNING: "is running",
    State.PAUSED: "is paused",
    State.COMPLETED: "is completed",
    State.FAILED: "has failed",
    State.CANCELLED: "was cancelled",
}
EVENTS_SHOWN = 12
GLANCE_ROWS = 15


@dataclass(frozen=True, slots=True)
class Choice:
    """Which jobs `status` is about."""

    numbers: list[int] | None
    every: bool
    state: State | None
    since_us: int | None

    def read(self, desk: Desk) -> list[Job]:
        reports = desk.home.reports
        if self.numbers is not None:
            return [job for job in reports.jobs(self.numbers) if self.state in (None, job.state)]
        if self.every or self.state is not None or self.since_us is not None:
            return reports.all(state=self.state, since=self.since_us)
        return reports.overview()


def state_named(text: str | None) -> State | None:
    if text is None:
        return None
    try:
        return State(text.lower())
    except ValueError:
        raise UsageInvalid(f"{text!r} is not a state.", hint=f"States are: {', '.join(State)}.") from None


def since(text: str | None) -> int | None:
    return micros(parse_since(text, datetime.now().astimezone())) if text else None


def print_json(desk: Desk, choice: Choice) -> None:
    page = jobs_page(choice.read(desk))
    if choice.numbers is not None and len(choice.numbers) == 1:  # one job: everything
        for job in page["jobs"]:
            job["events"] = events_object(desk.home.reports.events(job["id"]))
    say.result_json(page)


def print_plain(desk: Desk, choice: Choice) -> None:
    jobs = choice.read(desk)
    if choice.numbers is not None and len(choice.numbers) == 1 and jobs:
        print_job(desk, jobs[0])
    elif jobs:
        print_table(jobs)
        tell_worker(desk, jobs)
    elif choice.numbers is not None or choice.state is not None or choice.since_us is not None:
        say.hint("No job is like that. `flowhub status --all` lists every one.")
    else:
        say.hint("No jobs. `flowhub enqueue MODEL` queues one.")


def print_some(desk: Desk, numbers: Sequence[int], *, as_json: bool) -> None:
    """Print these jobs as rows, however few."""
    jobs = desk.home.reports.jobs(numbers)
    if as_json:
        say.result_json(jobs_page(jobs))
    elif jobs:
        print_table(jobs)
    else:
        say.hint("There is no live job to wait for.")


_HEAD = ("JOB", "MODEL", "STATE", "DONE", "")
NAME_LEAST, WORDS_LEAST = 16, 30


def print_table(jobs: Sequence[Job]) -> None:
    now = datetime.now(UTC)
    rows = [(str(job.id), job.title, job.state, progress(job), how_it_is(job, now)) for job in jobs]
    lines = say.table(_HEAD, _fitting(rows), right=(0, 3), give=4).split("\n")
    say.result(lines[0])
    for job, line in zip(jobs, lines[1:], strict=True):
        say.result(say.paint(line, _COLOURS[job.state]) if job.state in _COLOURS else line)


def _fitting(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the rows with names that leave room: on a narrow screen long words give way first, then the names."""
    words_give = max(0, max(len(row[4]) for row in rows) - WORDS_LEAST)
    over = say.width_of(_HEAD, rows) - words_give - say.columns()
    longest = max(NAME_LEAST, max(len(row[1]) for row in rows) - max(0, over))
    return [(row[0], say.shorten(row[1], longest), *row[2:]) for row in rows]


def progress(job: Job) -> str:
    if job.bytes_total is None:
        return format_bytes(job.bytes_done) if job.bytes_done else "-"
    if not job.bytes_total:
        return "100 %"
    return f"{100 * job.bytes_done // job.bytes_total} %"


def how_it_is(job: Job, now: datetime) -> str:
    """Return a few words: speed and time left, what it waits for, or why it failed."""
    if job.state is State.RUNNING:
        speed = [format_rate(job.rate_bps)] if job.rate_bps else []
        left = [f"{format_duration(job.eta_s)} left"] if job.eta_s else []
        return ", ".join(([str(job.stage)] if job.stage != "download" else []) + speed + left)
    if job.state is State.QUEUED:
        return in_short(job, now)
    if job.state is State.FAILED and job.error:
        return str(job.error["code"])
    if job.state is State.COMPLETED and job.bytes_total is not None:
        return format_bytes(job.bytes_total)
    return ""


def print_job(desk: Desk, job: Job) -> None:
    """Print everything of one job, and first why it does not move."""
    now = datetime.now(UTC)
    stage = f" ({job.stage})" if job.stage else ""
    say.result(say.fold(f"Job {job.id}: {job.title} {_VERBS[job.state]}{stage}.", after="  "))
    for line in why_not_moving(desk, job, now):
        say.result(say.fold(line, "  "))
    say.result("")
    for name, value in _facts(job):
        say.result(f"  {name:<10} {say.clean(value)}")
    if len(job.files) > 1:
        _print_files(job)
    events = desk.home.reports.events(job.id)
    more = "" if len(events) <= EVENTS_SHOWN else f" (the last {EVENTS_SHOWN} of {len(events)}; --json has all)"
    say.result(f"\n  What happened{more}:")
    for event in events[-EVENTS_SHOWN:]:
        say.result(say.fold(f"{event.at.astimezone().strftime('%m-%d %H:%M:%S')}  {event.text}", "    ", " " * 8))


def _facts(job: Job) -> list[tuple[str, str]]:
    total = format_bytes(job.bytes_total) if job.bytes_total is not None else "unknown"
    facts = [
        (
            "bytes",
            f"{format_bytes(job.bytes_done)} of {total} ({progress(job)}); {format_bytes(job.bytes_fetched)} fetched",
        ),
        ("digest", str(job.sha256_state)),
        ("target", job.target),
        ("attempt", str(job.attempt)),
        ("priority", str(job.priority) + (f", group {job.group}" if job.group else "")),
        ("queued", _local(job.created_at)),
    ]
    if job.started_at:
        facts.append(("started", _local(job.started_at)))
    if job.finished_at:
        facts.append(("ended", _local(job.finished_at)))
    return facts


def _print_files(job: Job) -> None:
    say.result("\n  Files:")
    for file in job.files:
        size = format_bytes(file.bytes) if file.bytes is not None else "unknown"
        share = f"{100 * file.bytes_done // file.bytes} %" if file.bytes else "-" if file.bytes is None else "100 %"
        say.result(f"    {size:>9}  {share:>5}  {say.clean(file.path)}")


def _local(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def tell_worker(desk: Desk, jobs: Sequence[Job]) -> None:
    """Say what is missing for the live ones to move, and what slows them down."""
    if not any(job.live for job in jobs):
        return
    if line := limit_line(desk):
        say.hint(line)
    tell_no_worker(desk)


def print_glance(desk: Desk) -> None:
    """Print the bare `flowhub`: workers, what runs and waits, what is installed, what next."""
    jobs = desk.home.reports.overview()
    live = [job for job in jobs if job.live]
    models = desk.home.store.models()
    workers = desk.home.living_workers()
    state = f"{workers} running" if workers else "none running (`flowhub worker` starts one)"
    say.result(f"Workers:   {state}")
    failed = sum(job.state is State.FAILED for job in jobs)
    say.result(f"Queue:     {_count(live)}" + (f"; {failed} failed lately" if failed else ""))
    size = format_bytes(sum(model.bytes for model in models))
    what = f"{len(models)} model{'' if len(models) == 1 else 's'}"
    where = desk.home.store.root
    away = desk.shelf.presence is Presence.AWAY
    say.result(f"Installed: the store {where} is offline" if away else f"Installed: {what}, {size}, in {where}")
    if line := limit_line(desk):
        say.result(f"Limit:     {line}")
    if live:
        say.result("")
        first = sorted(live, key=lambda job: job.state is not State.RUNNING)
        print_table(first[:GLANCE_ROWS])
        if len(live) > GLANCE_ROWS:
            say.result(f"… and {len(live) - GLANCE_ROWS} more: `flowhub status`")
    else:
        say.hint("\n`flowhub enqueue MODEL` queues a model; `flowhub --help` lists what else there is.")


def print_glance_json(desk: Desk) -> None:
    """Print the live jobs, and beside them what else the glance tells."""
    live = [job for job in desk.home.reports.overview() if job.live]
    models = desk.home.store.models()
    installed = {
        "models": len(models),
        "bytes": sum(model.bytes for model in models),
        "store": str(desk.home.store.root),
    }
    say.result_json({**jobs_page(live), "workers": desk.home.living_workers(), "installed": installed})


def _count(live: Sequence[Job]) -> str:
    counts = [(state, sum(job.state is state for job in live)) for state in (State.RUNNING, State.QUEUED, State.PAUSED)]
    return ", ".join(f"{count} {state}" for state, count in counts if count) or "empty"
