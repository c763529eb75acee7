"""All verbs under one name. Typer needs them defined; each imports what it needs when it is called."""

from functools import cache
from importlib import import_module
from typing import Annotated, Any, cast

import typer

from flowhub_jobs.cli.chapters import Chapters, Verbs
from flowhub_jobs.cli.options import AsJson

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="flowhub",
    cls=Chapters,
    help="Download model files (GGUF, MLX, safetensors) unattended: queued, resumed, verified.",
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
        from flowhub_jobs.cli.fetch.verbs_status import glance

        glance(as_json=as_json)


# The verbs as a person looks for them: `flowhub --help` shows them under these words. Where each is, and not the verb:
# to import and to build all of them would cost each command as much as Typer itself.
CHAPTERS: dict[str, dict[str, str]] = {
    "Find a model": {
        "search": "find.verbs_search:search",
        "show": "find.verbs_catalog:show",
        "fits": "find.verbs_device:fits",
        "device": "find.verbs_device:device",
        "catalog": "find.verbs_catalogs:catalog",
    },
    "Fetch it": {
        "enqueue": "fetch.verbs_queue:enqueue",
        "status": "fetch.verbs_status:status",
        "wait": "fetch.verbs_status:wait",
        "cancel": "fetch.verbs_steer:cancel",
        "pause": "fetch.verbs_steer:pause",
        "resume": "fetch.verbs_steer:resume",
        "retry": "fetch.verbs_steer:retry",
        "start": "fetch.verbs_steer:start",
        "priority": "fetch.verbs_steer:priority",
    },
    "Leave it alone": {
        "worker": "night.verbs_worker:app",
        "schedule": "night.verbs_schedule:schedule",
        "limit": "night.verbs_limit:limit",
        "report": "night.verbs_report:report",
        "logs": "night.verbs_report:logs",
    },
    "Keep it": {
        "list": "keep.verbs_store:list_models",
        "path": "keep.verbs_store:path",
        "verify": "keep.verbs_verify:verify",
        "outdated": "keep.verbs_update:outdated",
        "update": "keep.verbs_update:update",
        "rm": "keep.verbs_store:rm",
        "prune": "keep.verbs_tidy:prune",
        "du": "keep.verbs_tidy:du",
    },
    "Share it": {
        "adopt": "keep.verbs_adopt:adopt",
        "export": "keep.verbs_carry:export",
        "import": "keep.verbs_carry:import_models",
    },
    "Look at it": {"web": "verbs_web:web"},
    "More": {"help": "verbs_help:help_page", "completion": "verbs_completion:completion"},
}


@cache
def command() -> Any:
    """Return the verbs as Typer's command, made once: a list file of ten thousand lines parses each with it."""
    verbs = typer.main.get_command(app)
    assert isinstance(verbs, Chapters)
    verbs.chapters = {chapter: list(names) for chapter, names in CHAPTERS.items()}
    places = {name: place for names in CHAPTERS.values() for name, place in names.items()}
    verbs.commands = cast(Any, Verbs(places, _built))  # Typer only reads it
    return verbs


def _built(name: str, place: str) -> Any:
    """Return the command of a verb that is at `MODULE:NAME`: a function, or the Typer of what has verbs of its own."""
    module, _, attribute = place.partition(":")
    verb = getattr(import_module(f"flowhub_jobs.cli.{module}"), attribute)
    if not isinstance(verb, typer.Typer):
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        # A priority may be below nothing: `-5` is no option.
        settings = {**HELP, "ignore_unknown_options": True} if name == "priority" else HELP
        alone.command(name, context_settings=settings)(verb)
        verb = alone
    return typer.main.get_command(verb)
