"""What the bare `flowhub` shows: workers, the queue, what is installed, what to do next."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs.status_view import section_lines
from flowhub_jobs.jobs.overview import Overview, arrange
from flowhub_jobs.operations.forecast import remaining
from flowhub_jobs.operations.limits import limit_line
from flowhub_jobs.operations.schemas.jobs import jobs_page
from flowhub_jobs.operations.session import Desk
from flowhub_jobs.operations.totals import counts, in_words
from flowhub_jobs.store.inventory import Presence
from flowhub_jobs.units import format_bytes

GLANCE_ROWS = 14
_FAILED = "Failed:"


def print_glance(desk: Desk) -> None:
    """Print one screen of all that there is: workers, jobs, models, and the next step."""
    overview = arrange(desk.home.reports.overview(), desk.home.reports.need_user())
    for name, text in _facts(desk, overview):
        line = output.fold(f"{name:<11}{text}", after=" " * 11)
        output.result(output.paint(line, "31") if name == _FAILED else line)
    if overview.live:
        output.result("")
        for line in section_lines(replace(overview, ended=()), GLANCE_ROWS):
            output.result(line)
    else:
        output.hint("\n`flowhub enqueue MODEL` queues a model; `flowhub --help` lists all commands.")


def _facts(desk: Desk, overview: Overview) -> Iterator[tuple[str, str]]:
    workers = desk.home.living_workers()
    yield "Workers:", f"{workers} running" if workers else "none running (`flowhub worker` starts one)"
    yield "Queue:", counts(overview)
    if overview.live:
        yield "To come:", in_words(remaining(desk.home, overview.live), datetime.now(UTC))
    if overview.failed:
        needs = f"{len(overview.failed)} need you" if len(overview.failed) > 1 else "1 needs you"
        yield _FAILED, f"{needs}: `flowhub report` says what to do"
    yield "Installed:", _installed(desk)
    if line := limit_line(desk):
        yield "Limit:", line


def _installed(desk: Desk) -> str:
    models = desk.home.store.models()
    where = desk.home.store.root
    if desk.shelf.presence is Presence.AWAY:
        return f"the store {where} is offline"
    size = format_bytes(sum(model.bytes for model in models))
    return f"{len(models)} model{'' if len(models) == 1 else 's'}, {size}, in {where}"


def print_glance_json(desk: Desk) -> None:
    """Print the live jobs and those that need the user, with the workers and what is installed."""
    overview = arrange(desk.home.reports.overview(), desk.home.reports.need_user())
    models = desk.home.store.models()
    installed = {
        "models": len(models),
        "bytes": sum(model.bytes for model in models),
        "store": str(desk.home.store.root),
    }
    page = {**jobs_page(overview.live), "workers": desk.home.living_workers(), "installed": installed}
    output.result_json(page | {"need_you": [job.id for job in overview.failed]})
