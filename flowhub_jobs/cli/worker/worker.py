"""worker: downloads queued models. worker install, uninstall, status: the worker as a service."""

import os
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

import typer

from flowhub_jobs.cli import signals
from flowhub_jobs.cli.error_output import print_error
from flowhub_jobs.cli.foreign_commands import AnsweringGroup
from flowhub_jobs.cli.jobs.followed_list_file import read_followed_list
from flowhub_jobs.cli.options import Jobs, LimitRate
from flowhub_jobs.cli.worker import service
from flowhub_jobs.cli.worker.import_late_modules import AFTER_S, import_late_modules
from flowhub_jobs.errors import DatabaseNewer, SettingInvalid, UsageInvalid
from flowhub_jobs.home import NODE_NAME_HINT, is_node_name
from flowhub_jobs.operations.subscriptions.checker import SubscriptionChecker
from flowhub_jobs.service.sd_notify import Notifier
from flowhub_jobs.service.unit_text import EX_CONFIG
from flowhub_jobs.settings import Settings, load_settings
from flowhub_jobs.times import micros, parse_span, parse_time
from flowhub_jobs.worker.log_format import set_up
from flowhub_jobs.worker.process import PATIENCE_S
from flowhub_jobs.worker.restart_on_new_database import run_on_current_database

app = typer.Typer(cls=AnsweringGroup, invoke_without_command=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def worker(
    context: typer.Context,
    jobs: Jobs = None,
    drain: Annotated[
        bool, typer.Option("--drain", help="Exit when the queue is empty; exit 10 if a job failed.")
    ] = False,
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Exit at this time: 07:00, +3h.")] = None,
    patience: Annotated[
        str | None,
        typer.Option(
            "--patience", metavar="SPAN", help="With --drain: time to wait for an unreachable host (default 1h)."
        ),
    ] = None,
    limit_rate: LimitRate = None,
    node: Annotated[str | None, typer.Option("--node", metavar="NAME", help="Node name to work under.")] = None,
    log_format: Annotated[
        str | None, typer.Option("--log-format", metavar="FORM", help="plain (default), or json: one object a line.")
    ] = None,
) -> int:
    """Download queued models until stopped.

    Ctrl-C or SIGTERM saves the progress of every job and stops the worker within seconds; the second stops it at once.
    """
    if context.invoked_subcommand is not None:
        _refuse_options(context.invoked_subcommand, jobs, drain, until, patience, limit_rate, node, log_format)
        return 0

    end = micros(parse_time(until, datetime.now().astimezone())) if until is not None else None
    patience_s = parse_span(patience) if patience is not None else None
    if node is not None and not is_node_name(node):
        raise UsageInvalid(f"{node[:80]!r} is not a name for a node.", hint=NODE_NAME_HINT)

    def work() -> int:
        settings = load_settings(jobs=jobs, node=node, limit_rate=limit_rate, log_format=log_format)
        return _work(settings, drain, end, patience_s)

    return _as_service(work)


def _refuse_options(verb: str, *given: object) -> None:
    if any(given):
        hint = f"Write them after it: `flowhub worker {verb} --help`."
        raise UsageInvalid(f"Options before {verb} have no effect.", hint=hint)


def _work(settings: Settings, drain: bool, end: int | None, patience_s: float | None) -> int:
    # Late, since `worker status` and the other verbs below do without the transfer engine and the HTTP client.
    set_up(settings.log_format, sys.stderr, os.environ)
    late = threading.Timer(AFTER_S, import_late_modules)
    late.start()
    try:
        return run_on_current_database(
            settings,
            drain=drain,
            until_us=end,
            patience_s=PATIENCE_S if patience_s is None else patience_s,
            take_signals=signals.listen_again,
            checker_of=lambda home: SubscriptionChecker(home, read_followed_list),
        )
    finally:
        late.cancel()


def _as_service(work: Callable[[], int]) -> int:
    """Return what `work` returns. For systemd, an error that no restart repairs has its own exit status."""
    try:
        return work()
    except (DatabaseNewer, SettingInvalid) as error:
        notifier = Notifier()
        if not notifier.wanted:
            raise
        notifier.status(error.message)
        print_error(error)
        return EX_CONFIG


app.command("install")(service.install)
app.command("uninstall")(service.uninstall)
app.command("status")(service.status)
