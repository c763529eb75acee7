"""Bare `flowhub`: one screen of workers, the queue and installed models."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from flowhub_jobs.cli import output
from flowhub_jobs.cli.jobs.status_view import section_lines
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.jobs.status_order import Overview
from flowhub_jobs.operations.caps import cap_line
from flowhub_jobs.operations.forecast import remaining
from flowhub_jobs.operations.limits import limit_line
from flowhub_jobs.operations.queue_view import read_overview
from flowhub_jobs.operations.schemas.jobs import overview_json
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.subscriptions.next_check_line import next_check_line
from flowhub_jobs.operations.total_line import counts, in_words
from flowhub_jobs.store.library_check import Presence
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.artifacts import LocalLlm

ROWS_MAX = 14
_FAILED = "Failed:"


def overview() -> None:
    """Print workers, queue and installed models on one screen."""
    with open_session() as session:
        _print_json(session) if output.chosen.json else _print_screen(session)


def _print_screen(session: Session) -> None:
    """Print the screen, with the next step."""
    overview = read_overview(session)
    for name, text in _facts(session, overview):
        line = output.fold(f"{name:<11}{text}", after=" " * 11)
        output.result(output.paint(line, "31") if name == _FAILED else line)
    if overview.live:
        output.result("")
        for line in section_lines(replace(overview, ended=()), ROWS_MAX):
            output.result(line)
    else:
        output.hint("\n`flowhub enqueue MODEL` queues a model; `flowhub --help` lists all commands.")


def _facts(session: Session, overview: Overview) -> Iterator[tuple[str, str]]:
    workers = session.living_workers()
    yield "Workers:", f"{workers} running" if workers else "none running (`flowhub worker` starts one)"
    yield "Queue:", counts(overview)
    if overview.live:
        yield "To come:", in_words(remaining(session.home, overview.live), datetime.now(UTC))
    if overview.failed:
        needs = f"{len(overview.failed)} need you" if len(overview.failed) > 1 else "1 needs you"
        yield _FAILED, f"{needs}: `flowhub report` says what to do"
    yield "Installed:", _installed(session)
    if line := next_check_line(session):
        yield "Followed:", line
    if line := limit_line(session):
        yield "Limit:", line
    if line := cap_line(session):
        yield "Cap:", line


def _installed(session: Session) -> str:
    stores = session.each_store()
    models = _models(session)
    where = session.store.root if len(stores) == 1 else f"{len(stores)} stores"
    if session.installed.presence is Presence.AWAY:
        return f"the store {where} is offline"
    size = format_bytes(sum(model.bytes for model in models))
    return f"{len(models)} model{'' if len(models) == 1 else 's'}, {size}, in {where}"


def _models(session: Session) -> list[LocalLlm]:
    return [model for one in session.each_store() for model in one.store.models()]


def _print_json(session: Session) -> None:
    """Print the live jobs, the failed ones, the workers and the installed models as JSON."""
    overview = read_overview(session)
    models = _models(session)
    output.result_json(
        overview_json(
            overview.live,
            overview.failed,
            workers=session.living_workers(),
            models=len(models),
            size=sum(model.bytes for model in models),
            store=str(session.store.root),
        )
    )
