"""The table of verbs, and the Typer application made of it.

The table has each verb's module and summary, so that `flowhub --help` imports no verb, and a verb no other verb.
"""

from functools import cache
from importlib import import_module
from typing import Annotated, Any, NamedTuple, cast

import typer

from flowhub_jobs import __version__
from flowhub_jobs.cli.lazy_command_group import HelpGroups, LazyCommands
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.refuse_empty_options import refuse_empty_values

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


def _version(requested: bool) -> None:
    if requested:
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
        _loaded(OVERVIEW)()


class Verb(NamedTuple):
    """A verb: `module` below flowhub_jobs.cli, the function or Typer group in it, the first line of its help."""

    module: str
    name: str
    summary: str


OVERVIEW = Verb(
    "jobs.overview", "overview", "Show workers, queue and installed models on one screen."
)  # bare `flowhub`

# The verbs by the heading of `flowhub --help` under which they stand.
VERBS: dict[str, dict[str, Verb]] = {
    "Find models": {
        "search": Verb("search.search", "search", "Search the catalogs: names, sizes, what runs here."),
        "show": Verb("search.show", "show", "Show a model: its variants, and which of them run here."),
        "fits": Verb("search.fits", "fits", "Show whether a model runs on this machine."),
        "device": Verb("search.device", "device", "Show this machine: memory, GPUs, disk."),
        "catalog": Verb("search.catalog", "catalog", "List, import and update catalogs of models."),
    },
    "Download models": {
        "enqueue": Verb("jobs.enqueue", "enqueue", "Queue models for a worker to download."),
        "status": Verb("jobs.status", "status", "Show the queue, or everything about one job."),
        "wait": Verb("jobs.wait", "wait", "Wait until jobs end."),
        "cancel": Verb("jobs.cancel", "cancel", "Cancel jobs."),
        "pause": Verb("jobs.pause", "pause", "Pause jobs until `resume`."),
        "resume": Verb("jobs.resume", "resume", "Resume paused jobs."),
        "retry": Verb("jobs.retry", "retry", "Queue failed or cancelled jobs again."),
        "start": Verb("jobs.start", "start", "Start jobs now, whatever --at or the schedule says."),
        "priority": Verb("jobs.priority", "priority", "Change the priority of jobs."),
        "follow": Verb("jobs.follow", "follow", "Keep models up to date automatically."),
        "unfollow": Verb("jobs.follow", "unfollow", "Stop keeping references up to date."),
    },
    "Run unattended": {
        "worker": Verb("worker.worker", "app", "Download queued models until stopped."),
        "schedule": Verb("worker.schedule", "schedule", "Set the weekly windows in which jobs run."),
        "limit": Verb("worker.limit", "limit", "Limit the speed of all jobs together, or show the limit."),
        "cap": Verb("worker.cap", "cap", "Cap downloaded bytes per day or month, or show usage."),
        "nodes": Verb("worker.nodes", "app", "List the machines that share this database."),
        "report": Verb("worker.report", "report", "Show what was downloaded, what recovered, what needs you."),
        "doctor": Verb("worker.doctor", "doctor", "Check settings, disk, database, network and workers."),
        "db": Verb("worker.db", "app", "Back up the database, or check it."),
        "logs": Verb("jobs.logs", "logs", "Print every event of a job, oldest first."),
    },
    "Manage installed models": {
        "list": Verb("library.list", "list_models", "List installed models, and partial downloads."),
        "path": Verb("library.path", "path", "Print the path of an installed model for a runtime."),
        "verify": Verb("library.verify", "verify", "Check installed models against their checksums."),
        "outdated": Verb("library.outdated", "outdated", "List models with a newer version."),
        "update": Verb("library.update", "update", "Queue newer versions of outdated models."),
        "move": Verb("library.move", "move", "Move installed models to another store."),
        "rm": Verb("library.rm", "rm", "Remove installed models."),
        "prune": Verb("library.prune", "prune", "Remove partial downloads, old versions and leftovers."),
        "pin": Verb("library.pin", "pin", "Keep models from `prune --to-fit`."),
        "unpin": Verb("library.unpin", "unpin", "Allow `prune --to-fit` to remove models again."),
        "du": Verb("library.du", "du", "Show disk usage by model."),
    },
    "Exchange models with other programs and machines": {
        "place": Verb("library.place", "place", "Link installed models into folders of other programs."),
        "unplace": Verb("library.unplace", "unplace", "Remove models from folders of other programs."),
        "placements": Verb("library.placements", "placements", "List models in folders of other programs."),
        "adopt": Verb("library.adopt", "adopt", "Link models of other programs into the store."),
        "export": Verb("library.export", "export", "Copy installed models to a folder, for another machine."),
        "import": Verb("library.import_", "import_models", "Import models from a folder made by `export`."),
    },
    "Web": {"web": Verb("web", "web", "Serve a local page and the HTTP API, until stopped.")},
    "Agents": {"mcp": Verb("mcp", "mcp", "Serve tools for agents (MCP) on stdin and stdout.")},
    "Help": {
        "help": Verb("help.help", "help_page", "Explain verbs, errors, states, settings, references."),
        "completion": Verb("completion.completion", "completion", "Print the completion script of a shell."),
    },
}


@cache
def command() -> Any:
    """Return the verbs as Typer's command, made once for a process."""
    group = typer.main.get_command(app)
    assert isinstance(group, HelpGroups)
    group.summaries = {
        heading: {name: verb.summary for name, verb in verbs.items()} for heading, verbs in VERBS.items()
    }
    table = {name: verb for verbs in VERBS.values() for name, verb in verbs.items()}
    group.commands = cast(Any, LazyCommands(list(table), lambda name: _command_of(name, table[name])))
    return group


def _loaded(verb: Verb) -> Any:
    """Import a verb's module; return the function or the Typer group."""
    return getattr(import_module(f"flowhub_jobs.cli.{verb.module}"), verb.name)


def _command_of(name: str, verb: Verb) -> Any:
    loaded = _loaded(verb)
    if not isinstance(loaded, typer.Typer):
        alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        # A priority may be negative: `-5` is not an option.
        settings = {**HELP, "ignore_unknown_options": True} if name == "priority" else HELP
        alone.command(name, context_settings=settings)(loaded)
        loaded = alone
    return refuse_empty_values(typer.main.get_command(loaded))
