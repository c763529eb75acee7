"""search: searches the catalogs, and shows which variant of a model runs here."""

from datetime import date
from typing import Annotated

import typer

from flowhub_jobs.catalogs.search_filters import Filters
from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson, Quiet
from flowhub_jobs.cli.search.search_view import print_findings, references
from flowhub_jobs.operations.schemas.search import search_json
from flowhub_jobs.operations.search.search import SearchRequest, run_search
from flowhub_jobs.settings import load_settings

MANY = 50  # models shown where stdout is no terminal
_FORMAT = "Only this format: gguf, mlx, safetensors."
_PARAMS = "Number of parameters: 7B (rounded), 7..14B, ..8B, 30B.."
_INSTALLED = "Only installed models."
_NEW = "Only models released in the last 90 days, newest first."
_SORT = "fit (models that run here first), size (smallest first), name or recent (default: best match)."


def search(
    terms: Annotated[
        list[str] | None, typer.Argument(metavar="TERM…", help="Words, or the beginnings of words.")
    ] = None,
    format_: Annotated[str | None, typer.Option("--format", metavar="F", help=_FORMAT)] = None,
    params: Annotated[str | None, typer.Option("--params", metavar="RANGE", help=_PARAMS)] = None,
    max_size: Annotated[
        str | None, typer.Option("--max-size", metavar="SIZE", help="Maximum size: 10G, 500M, 8GiB.")
    ] = None,
    license_: Annotated[
        str | None, typer.Option("--license", metavar="L", help="Only this license: apache, mit.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="T", help="Only models with this tag, such as code; repeatable."),
    ] = None,
    publisher: Annotated[
        str | None, typer.Option("--publisher", metavar="P", help="Only this publisher, such as qwen.")
    ] = None,
    fits: Annotated[bool, typer.Option("--fits", help="Only models that fit (or barely fit).")] = False,
    installed: Annotated[bool, typer.Option("--installed", help=_INSTALLED)] = False,
    new: Annotated[bool, typer.Option("--new", help=_NEW)] = False,
    sort: Annotated[str | None, typer.Option("--sort", metavar="ORDER", help=_SORT)] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", metavar="N", min=0, help="Number of models; 0 for all (default: one screen, or 50)."),
    ] = None,
    variants: Annotated[bool, typer.Option("--variants", help="Show every variant, not only the best.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """Search the catalogs: names, sizes, what runs here.

    A model matches if each word is in its name, publisher, tags, variants or description. Case, accents and typos are
    ignored. BEST is the best variant for this machine. Exits 0 if nothing matches.
    """
    filters = Filters.typed(
        format=format_,
        params=params,
        max_size=max_size,
        license=license_,
        tags=tuple(tag or ()),
        publisher=publisher,
        new_on=date.today() if new else None,
    )
    typed = tuple(terms or ())
    request = SearchRequest(typed, filters, fits, installed, sort and sort.strip().lower(), _limit(limit))
    findings = run_search(load_settings(), request)
    for warning in findings.warnings:
        output.hint(f"flowhub: {warning}")
    if output.chosen.json:
        output.result_json(search_json(findings, typed))
    elif quiet:
        for ref in references(findings, every_variant=variants):
            output.print_raw(ref)
    else:
        print_findings(findings, request, every_variant=variants)


def _limit(typed: int | None) -> int | None:
    """Return the number of models to show, None for all. The default leaves room on the screen for the hints."""
    if typed is not None:
        return typed or None
    return max(5, output.height() - 6) if output.is_terminal() and not output.chosen.json else MANY
