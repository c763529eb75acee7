"""All verbs under one name. Typer needs them defined; each imports what it needs when it is called."""

from functools import cache
from importlib import import_module
from typing import Annotated, Any, cast

import typer

from flowhub_jobs.cli.help_groups import HelpGroups, Verbs
from flowhub_jobs.cli.options import AsJson

HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="flowhub",
    cls=HelpGroups,
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
        from flowhub_jobs.cli.jobs.status import glance

        glance(as_json=as_json)


# The verbs as a person looks for them: `flowhub --help` shows them under these words. Where each is, and not the verb:
# to import and to build all of them would cost each command as much as Typer itself.
CHAPTERS: dict[str, dict[str, str]] = {
    "Find a model": {
        "search": "search.search:search",
        "show": "search.show:show",
        "fits": "search.device:fits",
        "device": "search.device:device",
        "catalog": "search.catalog:catalog",
    },
    "Fetch it": {
        "enqueue": "jobs.enqueue:enqueue",
        "status": "jobs.status:status",
        "wait": "jobs.status:wait",
        "cancel": "jobs.actions:cancel",
        "pause": "jobs.actions:pause",
        "resume": "jobs.actions:resume",
        "retry": "jobs.actions:retry",
        "start": "jobs.actions:start",
        "priority": "jobs.actions:priority",
    },
    "Leave it alone": {
        "worker": "worker.worker:app",
        "schedule": "worker.schedule:schedule",
        "limit": "worker.limit:limit",
        "report": "worker.report:report",
        "logs": "worker.report:logs",
    },
    "Keep it": {
        "list": "library.list:list_models",
        "path": "library.list:path",
        "verify": "library.verify:verify",
        "outdated": "library.update:outdated",
        "update": "library.update:update",
        "rm": "library.list:rm",
        "prune": "library.prune:prune",
        "du": "library.prune:du",
    },
    "Share it": {
        "adopt": "library.adopt:adopt",
        "export": "library.export_import:export",
        "import": "library.export_import:import_models",
    },
    "Look at it": {"web": "web_command:web"},
    "More": {"help": "help_command:help_page", "completion": "completion_command:completion"},
}


@cache
def command() -> Any:
    """Return the verbs as Typer's command, made once: a list file of ten thousand lines parses each with it."""
    verbs = typer.main.get_command(app)
    assert isinstance(verbs, HelpGroups)
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
