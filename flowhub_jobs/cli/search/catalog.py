"""catalog list, import, update, remove, validate: whose models there are, beside those of the shipped catalog."""

from collections.abc import Mapping
from typing import Annotated

import typer

from flowhub_jobs.catalogs.provenance import TITLES
from flowhub_jobs.cli import output
from flowhub_jobs.cli.foreign_commands import AnsweringGroup
from flowhub_jobs.cli.options import AsJson, Yes
from flowhub_jobs.cli.prompts import agreed
from flowhub_jobs.cli.search.catalog_view import import_lines, list_table, update_lines, validate_lines
from flowhub_jobs.cli.session import each, raise_for
from flowhub_jobs.errors import FlowhubError, UsageInvalid
from flowhub_jobs.operations.catalogs.active import imported_catalogs
from flowhub_jobs.operations.catalogs.import_update import (
    BASE,
    Change,
    check_present,
    remove_catalog,
    updatable,
    update_base,
    update_catalog,
)
from flowhub_jobs.operations.catalogs.import_update import import_catalog as take
from flowhub_jobs.operations.schemas.catalogs import (
    catalog_removed_json,
    catalogs_json,
    import_json,
    update_json,
    validate_json,
)
from flowhub_jobs.settings import load_settings

catalog = typer.Typer(
    name="catalog",
    help="List, import and update catalogs of models.",
    cls=AnsweringGroup,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="SHAPE", help="lmstudio, gpt4all, localai or flowhub (default: by its content)."),
]


@catalog.command("list")
def list_catalogs(as_json: AsJson = False) -> None:
    """List the catalogs in force, in the order in which they count."""
    page, warning = catalogs_json(load_settings())
    if output.chosen.json:
        output.result_json(page)
        return
    output.result(list_table(page["catalogs"]))
    if warning:
        output.hint(f"flowhub: {warning}")


@catalog.command("import")
def import_catalog(
    source: Annotated[
        str, typer.Argument(metavar="FILE|URL", help="LM Studio's, GPT4All's, LocalAI's, or one in flowhub's format.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What to call it (default: its shape, or its file).")
    ] = None,
    shape: Format = None,
    as_json: AsJson = False,
) -> None:
    """Take in another catalog; what cannot be taken is counted.

    The models stand behind those of the shipped catalog. One whose id is taken there gets its catalog's name behind it.
    """
    change = take(load_settings(), source, name=name, shape=_shape(shape))
    if output.chosen.json:
        output.result_json(import_json(change))
        return
    for line in import_lines(change):
        output.result(line)
    output.hint(
        "\n" + output.fold(f"`flowhub show MODEL` shows one; `flowhub catalog remove {change.name}` takes all away.")
    )


@catalog.command()
def update(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME…]", help="Which ones (default: all).")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask the sources of the imported catalogs again.

    FLOWHUB_CATALOG's URL is asked, too. One whose source fails stays as it is.
    """
    settings = load_settings()
    wanted = list(dict.fromkeys(names)) if names else updatable(settings)
    done = each(wanted, lambda name: update_base(settings) if name == BASE else update_catalog(settings, name))
    alone = len(done) == 1 and isinstance(done[wanted[0]], FlowhubError)  # which is told as an error, once
    if output.chosen.json and not alone:
        output.result_json(update_json(done))
    elif not alone:
        _tell_update(done)
    raise_for(done)


def _tell_update(done: Mapping[str, Change | FlowhubError]) -> None:
    if not done:
        output.hint("Nothing was imported; the shipped catalog comes with flowhub itself.")
    for name, outcome in done.items():
        for line in update_lines(name, outcome):
            output.result(line)


@catalog.command()
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="From `flowhub catalog list`.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take imported catalogs away; it asks first. What was installed from them stays."""
    settings = load_settings()
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        check_present(imported_catalogs(settings), name)
    if not (yes or _agreed(wanted)):
        output.hint("Nothing was removed.")
        return
    done = each(wanted, lambda name: remove_catalog(settings, name))
    removed = [name for name, outcome in done.items() if outcome == name]
    if output.chosen.json and removed:
        output.result_json(catalog_removed_json(removed))
    elif removed:
        output.result(f"Removed {', '.join(removed)}.")
    raise_for(done)


def _agreed(names: list[str]) -> bool:
    question = f"Remove the imported {'catalogs' if len(names) > 1 else 'catalog'} {', '.join(names)}?"
    return agreed("It", question, hint="Add -y to remove.")


@catalog.command()
def validate(
    source: Annotated[
        str | None, typer.Argument(metavar="[FILE|URL]", help="Any catalog (default: what is in force).")
    ] = None,
    shape: Format = None,
    as_json: AsJson = False,
) -> None:
    """Check a catalog: all its faults, unknown fields, and files without a digest.

    Writes nothing. For a catalog of another shape, it says what an import would take. See `flowhub help catalog`.
    """
    page, error = validate_json(load_settings(), source, _shape(shape))
    if output.chosen.json:
        output.result_json(page)
    else:
        for line in validate_lines(page):
            output.result(line)
    if error:
        raise error


def _shape(text: str | None) -> str | None:
    if text is not None and text.lower() not in TITLES:
        raise UsageInvalid(
            f"--format {text[:40]!r} is not a format of a catalog.", hint=f"One of: {', '.join(TITLES)}."
        )
    return text.lower() if text else None
