"""All verbs under one name. Typer needs them defined; each imports what it needs when it is called."""

from functools import cache
from typing import Annotated, Any

import typer

from flowhub_jobs.cli import (
    verbs_catalog,
    verbs_help,
    verbs_limit,
    verbs_queue,
    verbs_report,
    verbs_schedule,
    verbs_steer,
    verbs_store,
    verbs_worker,
)
from flowhub_jobs.cli.options import AsJson

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="flowhub",
    help="Fetches model files (GGUF, MLX, safetensors) unattended: queued, resumed, verified, listed.",
    no_args_is_help=False,
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={**HELP, "max_content_width": 100},
)


def _version(wanted: bool) -> None:
    if wanted:
        from flowhub_jobs import __version__

        typer.echo(f"flowhub {__version__}")
        raise typer.Exit


@app.callback()
def start(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    as_json: AsJson = False,
) -> None:
    if context.invoked_subcommand is None:
        verbs_queue.glance(as_json=as_json)
    elif as_json:
        # Only behind the verb would it be obeyed; taken silently, a program would be given text.
        from flowhub_jobs.errors import UsageInvalid

        verb = context.invoked_subcommand
        raise UsageInvalid("--json stands before the verb.", hint=f"Write it behind: `flowhub {verb} … --json`.")


for verb in (
    verbs_queue.enqueue,
    verbs_queue.status,
    verbs_queue.wait,
    verbs_steer.cancel,
    verbs_steer.pause,
    verbs_steer.resume,
    verbs_steer.retry,
    verbs_steer.priority,
    verbs_limit.limit,
    verbs_report.report,
    verbs_report.logs,
    verbs_store.list_models,
    verbs_catalog.show,
    verbs_store.path,
    verbs_store.rm,
    verbs_catalog.device,
    verbs_help.help_page,
):
    name = {"list_models": "list", "help_page": "help"}.get(verb.__name__, verb.__name__)
    # A priority may be below nothing: `-5` is no option.
    app.command(name, context_settings={**HELP, "ignore_unknown_options": True} if name == "priority" else None)(verb)
app.add_typer(verbs_worker.app, name="worker")
app.add_typer(verbs_schedule.schedule)


@cache
def command() -> Any:
    """Return the verbs as Typer's command, made once: a list file of ten thousand lines parses each with it."""
    return typer.main.get_command(app)
