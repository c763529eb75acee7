"""catalog list, import, update, remove, validate: the shipped catalog, and catalogs imported in addition to it."""

from collections.abc import Mapping
from typing import Annotated

import typer

from flowhub_jobs.catalogs.import_record import TITLES
from flowhub_jobs.cli import output
from flowhub_jobs.cli.foreign_commands import AnsweringGroup
from flowhub_jobs.cli.options import AsJson, Yes
from flowhub_jobs.cli.prompts import confirm
from flowhub_jobs.cli.search.catalog_view import import_lines, list_table, update_lines, validate_lines
from flowhub_jobs.cli.session import raise_outcome_errors
from flowhub_jobs.errors import FlowhubError, UsageInvalid
from flowhub_jobs.operations.act_on_each import apply_to_each
from flowhub_jobs.operations.catalogs.active import imported_catalogs
from flowhub_jobs.operations.catalogs.imports import (
    BASE,
    Change,
    check_present,
    remove_catalog,
    updatable,
    update_base,
    update_catalog,
)
from flowhub_jobs.operations.catalogs.imports import import_catalog as take
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
    typer.Option("--format", metavar="SHAPE", help="lmstudio, gpt4all, localai or flowhub (default: detected)."),
]


@catalog.command("list")
def list_catalogs(as_json: AsJson = False) -> None:
    """List the catalogs, in the order in which they are searched."""
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
        str, typer.Argument(metavar="FILE|URL", help="A catalog of LM Studio, GPT4All, LocalAI or flowhub.")
    ],
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the catalog (default: its format or file name)."),
    ] = None,
    shape: Format = None,
    as_json: AsJson = False,
) -> None:
    """Import a catalog of this or another format.

    Entries that cannot be imported are counted and named. The models are listed after those of the shipped catalog;
    an id that is in use gets the catalog's name appended.
    """
    change = take(load_settings(), source, name=name, shape=_shape(shape))
    if output.chosen.json:
        output.result_json(import_json(change))
        return
    for line in import_lines(change):
        output.result(line)
    output.hint(
        "\n"
        + output.fold(f"`flowhub show MODEL` shows one; `flowhub catalog remove {change.name}` removes all of them.")
    )


@catalog.command()
def update(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME…]", help="Catalogs to update (default: all).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch the imported catalogs again.

    Also fetches the URL in FLOWHUB_CATALOG. A catalog whose source fails stays unchanged.
    """
    settings = load_settings()
    chosen = list(dict.fromkeys(names)) if names else updatable(settings)
    done = apply_to_each(chosen, lambda name: update_base(settings) if name == BASE else update_catalog(settings, name))
    alone = len(done) == 1 and isinstance(done[chosen[0]], FlowhubError)  # which is printed once, as the error
    if output.chosen.json and not alone:
        output.result_json(update_json(done))
    elif not alone:
        _hint_update(done)
    raise_outcome_errors(done)


def _hint_update(done: Mapping[str, Change | FlowhubError]) -> None:
    if not done:
        output.hint("Nothing was imported; the shipped catalog comes with flowhub itself.")
    for name, outcome in done.items():
        for line in update_lines(name, outcome):
            output.result(line)


@catalog.command()
def remove(
    names: Annotated[list[str], typer.Argument(metavar="NAME…", help="Names from `flowhub catalog list`.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove imported catalogs.

    Asks first. Installed models stay.
    """
    settings = load_settings()
    chosen = list(dict.fromkeys(names))
    for name in chosen:
        check_present(imported_catalogs(settings), name)
    if not (yes or _confirm(chosen)):
        output.hint("Nothing was removed.")
        return
    done = apply_to_each(chosen, lambda name: remove_catalog(settings, name))
    removed = [name for name, outcome in done.items() if outcome == name]
    if output.chosen.json and removed:
        output.result_json(catalog_removed_json(removed))
    elif removed:
        output.result(f"Removed {', '.join(removed)}.")
    raise_outcome_errors(done)


def _confirm(names: list[str]) -> bool:
    question = f"Remove the imported {'catalogs' if len(names) > 1 else 'catalog'} {', '.join(names)}?"
    return confirm("catalog remove", question, hint="Pass -y to remove.")


@catalog.command()
def validate(
    source: Annotated[
        str | None, typer.Argument(metavar="[FILE|URL]", help="A catalog (default: the one in use).")
    ] = None,
    shape: Format = None,
    as_json: AsJson = False,
) -> None:
    """Check a catalog for faults and for files without a digest.

    Writes nothing. For a catalog of another program, shows what an import would take. See `flowhub help catalog`.
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
