"""worker install, uninstall, status: the worker as a service that starts at login and restarts after a failure."""

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson, Jobs, LimitRate
from flowhub_jobs.cli.output import clean
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.home import opened
from flowhub_jobs.jobs.worker_rows import WorkerStatus
from flowhub_jobs.operations.schemas.workers import service_json, service_removed_json, worker_json
from flowhub_jobs.operations.workers_and_service import living_workers, service_of, started_by
from flowhub_jobs.service.program import Program, program
from flowhub_jobs.service.service_base import Service, ServiceState, is_there
from flowhub_jobs.settings import Settings, load_settings
from flowhub_jobs.units import format_duration, format_rate
from flowhub_jobs.values.enums import State

PrintOnly = Annotated[bool, typer.Option("--print", help="Only print the file and the commands.")]


def install(
    jobs: Jobs = None, limit_rate: LimitRate = None, print_only: PrintOnly = False, as_json: AsJson = False
) -> None:
    """Install a worker as a service that starts at login.

    The service restarts after a failure. Linux: a systemd user unit; macOS: a launchd agent. It gets this shell's
    FLOWHUB_ variables, but no secrets. Installing again replaces it.
    """
    settings = load_settings(jobs=jobs, limit_rate=limit_rate)
    service, program = service_of(settings), _program(jobs, limit_rate)
    text = service.text(program)
    commands = service.steps(text)
    hints = []
    if not print_only:
        hints = _also_running(settings, service)
        service.install(text)
    hints += service.hints(program)
    if output.chosen.json:
        output.result_json(service_json(service, text, commands, hints, installed=not print_only))
    elif print_only:
        _print_plan(service, text, commands, hints)
    else:
        _print_installed(service, hints)


def uninstall(as_json: AsJson = False) -> None:
    """Stop and remove the service.

    Queued jobs stay queued.
    """
    service = service_of(load_settings())
    removed = service.uninstall()
    if output.chosen.json:
        output.result_json(service_removed_json(service, removed=removed))
    elif removed:
        output.result(f"The service is stopped and removed: {service.path}")
    else:
        output.result("No service is installed.")


def status(as_json: AsJson = False) -> None:
    """Show running workers and the service."""
    with open_session() as session:
        workers, queued = living_workers(session.home), len(session.queries.in_state((State.QUEUED,)))
        state = service_of(session.settings).read_state()
    if output.chosen.json:
        output.result_json(worker_json(session.node, workers, queued, state))
        return
    for line in _worker_lines(workers, queued, state, datetime.now(UTC)) + _service_lines(state):
        output.result(line)


def _program(jobs: int | None, rate: str | None) -> Program:
    harmless = [setting.name for setting in fields(Settings) if setting.repr]  # a secret is not shown, nor written
    return program(sys.argv, os.environ, harmless, jobs=jobs, rate=rate)


def _also_running(settings: Settings, service: Service) -> list[str]:
    """Return a hint if a worker was started by hand. Opens the home, so that an error shows here and not in a log."""
    with opened(settings) as home:
        state = service.read_state()
        pids = [str(worker.pid) for worker in living_workers(home) if started_by(worker, state) == "hand"]
    if not pids:
        return []
    return [
        f"A worker started by hand is also running (process {', '.join(pids)}). "
        "Both use the same queue, each with its own slots."
    ]


def _print_plan(service: Service, text: str, commands: Sequence[Sequence[str]], hints: list[str]) -> None:
    """Print the file on stdout, so that it can be redirected, and the commands on stderr."""
    output.print_raw(text.removesuffix("\n"))
    output.hint(f"\nNothing was done. The file would be written to {service.path}, and these commands run:")
    for command in commands:
        output.hint(f"  {shlex.join(command)}")
    _print_hints(hints)


def _print_installed(service: Service, hints: list[str]) -> None:
    output.result(f"The worker runs as a service: {service.path}")
    logs = service.read_state().logs
    _print_hints([*hints, f"`flowhub worker status` shows its state; `{logs}` its log."])


def _print_hints(hints: list[str]) -> None:
    for hint in hints:
        output.hint(output.fold(hint, after="  "))


def _worker_lines(workers: list[WorkerStatus], queued: int, state: ServiceState, now: datetime) -> list[str]:
    if not workers:
        return [f"Workers:  none running; {queued} queued"]
    return [f"Workers:  {len(workers)} running; {queued} queued", *(_worker_line(one, state, now) for one in workers)]


def _worker_line(worker: WorkerStatus, state: ServiceState, now: datetime) -> str:
    since = worker.started_at.astimezone().strftime("%Y-%m-%d %H:%M")
    age = format_duration((now - worker.started_at).total_seconds())
    by = "started by hand" if started_by(worker, state) == "hand" else f"run by {state.kind}"
    speed = f", {format_rate(worker.rate_bps)}" if worker.rate_bps else ""
    return f"  process {worker.pid}, {by}, since {since} ({age}): {worker.running} of {worker.slots} slots taken{speed}"


def _service_lines(state: ServiceState) -> list[str]:
    if not state.installed:
        if is_there(state.path):
            return [f"Service:  {state.path} is there, but flowhub did not write it."]
        return ["Service:  not installed. To start a worker at login: `flowhub worker install`"]
    lines = [f"Service:  {state.name}, {state.state or f'but {state.kind} does not answer here'}"]
    lines += [f"  status:   {clean(state.status)}"] if state.status else []
    lines += [f"  file:     {state.path}", f"  log:      {state.logs}"]
    if state.outlives_log_out is False:
        lines.append("  It stops when you log out; `loginctl enable-linger` keeps it running.")
    return lines
