"""All verbs under one name. Typer needs them defined; each imports what it needs when it is called."""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any

import typer

from flowhub_jobs.cli import verbs_help
from flowhub_jobs.cli.chapters import Chapters
from flowhub_jobs.cli.fetch import verbs_queue, verbs_steer
from flowhub_jobs.cli.find import verbs_catalog, verbs_catalogs, verbs_device, verbs_search
from flowhub_jobs.cli.keep import verbs_adopt, verbs_carry, verbs_store, verbs_tidy, verbs_update, verbs_verify
from flowhub_jobs.cli.night import verbs_limit, verbs_report, verbs_schedule, verbs_worker
from flowhub_jobs.cli.options import AsJson

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="flowhub",
    cls=Chapters,
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


# The verbs as a person looks for them: `flowhub --help` shows them under these words.
CHAPTERS: dict[str, dict[str, Callable[..., Any] | typer.Typer]] = {
    "Find a model": {
        "search": verbs_search.search,
        "show": verbs_catalog.show,
        "fits": verbs_device.fits,
        "device": verbs_device.device,
        "catalog": verbs_catalogs.catalog,
    },
    "Fetch it": {
        "enqueue": verbs_queue.enqueue,
        "status": verbs_queue.status,
        "wait": verbs_queue.wait,
        "cancel": verbs_steer.cancel,
        "pause": verbs_steer.pause,
        "resume": verbs_steer.resume,
        "retry": verbs_steer.retry,
        "priority": verbs_steer.priority,
    },
    "Leave it alone": {
        "worker": verbs_worker.app,
        "schedule": verbs_schedule.schedule,
        "limit": verbs_limit.limit,
        "report": verbs_report.report,
        "logs": verbs_report.logs,
    },
    "Keep it": {
        "list": verbs_store.list_models,
        "path": verbs_store.path,
        "verify": verbs_verify.verify,
        "outdated": verbs_update.outdated,
        "update": verbs_update.update,
        "rm": verbs_store.rm,
        "prune": verbs_tidy.prune,
        "du": verbs_tidy.du,
    },
    "Share it": {
        "adopt": verbs_adopt.adopt,
        "export": verbs_carry.export,
        "import": verbs_carry.import_models,
    },
    "More": {"help": verbs_help.help_page},
}


def _add(name: str, verb: Callable[..., Any] | typer.Typer) -> None:
    if isinstance(verb, typer.Typer):
        app.add_typer(verb, name=name)
        return
    # A priority may be below nothing: `-5` is no option.
    app.command(name, context_settings={**HELP, "ignore_unknown_options": True} if name == "priority" else None)(verb)


for verbs in CHAPTERS.values():
    for name, verb in verbs.items():
        _add(name, verb)


@cache
def command() -> Any:
    """Return the verbs as Typer's command, made once: a list file of ten thousand lines parses each with it."""
    verbs = typer.main.get_command(app)
    assert isinstance(verbs, Chapters)
    verbs.chapters = {chapter: list(names) for chapter, names in CHAPTERS.items()}
    return verbs
