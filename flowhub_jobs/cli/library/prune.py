"""prune: removes partial downloads, old versions and leftovers."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson, Yes
from flowhub_jobs.cli.prompts import confirm, demand_terminal
from flowhub_jobs.cli.session import open_session, raise_outcome_errors
from flowhub_jobs.operations.act_on_each import apply_to_each
from flowhub_jobs.operations.library.cleanup import Item, Removable, chosen
from flowhub_jobs.operations.library.cleanup_in_stores import find_in_stores, find_to_fit_in_stores, remove_from_store
from flowhub_jobs.operations.schemas.library import pruned_json
from flowhub_jobs.times import parse_span
from flowhub_jobs.units import format_bytes, format_duration


def prune(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
    yes: Yes = False,
    only_partials: Annotated[bool, typer.Option("--partials", help="Only partial downloads and leftovers.")] = False,
    only_old: Annotated[bool, typer.Option("--old", help="Only old versions.")] = False,
    older_than: Annotated[
        str | None,
        typer.Option(
            "--older-than",
            metavar="AGE",
            help="Only items older than this: 7d, 12h. Includes partial downloads kept for `retry`.",
        ),
    ] = None,
    to_fit: Annotated[
        bool,
        typer.Option(
            "--to-fit",
            help="Also remove models, the least recently opened first, until queued jobs fit. Pinned models stay.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove partial downloads, old versions and leftovers.

    Asks first. Partial downloads of queued, running and paused jobs stay.

    Partial downloads of failed and cancelled jobs are kept for `retry`; --older-than removes those too.
    """
    age = parse_span(older_than) if older_than is not None else None
    if not (yes or dry_run):
        demand_terminal("prune")
    with open_session() as session:
        removable = find_in_stores(session)
        items = chosen(removable, _kinds(only_partials, only_old), age)
        if to_fit:
            fitting = find_to_fit_in_stores(session, items)
            items += fitting.items
            _hint_missing(fitting.missing)
        if not output.chosen.json:
            _print_items(items, removable)
        if items and not (yes or dry_run) and not confirm("prune", _question(items)):
            output.hint("Nothing was removed.")
            return
        outcomes = apply_to_each(
            range(len(items)),
            lambda number: 0 if dry_run else remove_from_store(session, items[number]),
        )
    done = [items[number] for number, freed in outcomes.items() if isinstance(freed, int)]
    if output.chosen.json:
        output.result_json(pruned_json(done, _kept(removable, done), dry_run=dry_run))
    elif items:
        _print_freed(done, dry_run=dry_run)
    raise_outcome_errors(outcomes)


def _hint_missing(missing: int) -> None:
    if missing > 0:
        output.hint(f"Even then {format_bytes(missing)} are missing: pinned models and those of other programs stay.")


def _question(items: Sequence[Item]) -> str:
    items_text = "this item" if len(items) == 1 else f"these {len(items)} items"
    return f"Remove {items_text} ({format_bytes(sum(item.frees for item in items))})?"


def _print_freed(done: Sequence[Item], *, dry_run: bool) -> None:
    freed = format_bytes(sum(item.frees for item in done))
    output.hint(f"Would free {freed}; nothing was removed." if dry_run else f"Freed {freed}.")


def _kinds(partials: bool, old: bool) -> list[Any]:
    kinds = [Removable.PARTIAL, Removable.KEPT, Removable.REST] if partials else []
    return [*kinds, *([Removable.OLD] if old else [])] or list(Removable)


def _print_items(items: Sequence[Item], removable: Sequence[Item]) -> None:
    if items:
        rows = [(_frees(item), str(item.kind), f"{item.name}: {_why(item)}") for item in items]
        output.result(output.folded_table(("FREES", "WHAT", "WHICH"), rows, right=(0,)))
    else:
        output.hint("Nothing to remove.")
    if kept := _kept(removable, items):
        size = format_bytes(sum(item.frees for item in kept))
        oldest = format_duration(max(item.age_s for item in kept))
        partials = (
            f"{len(kept)} partial{'s' * (len(kept) > 1)} of failed or cancelled jobs ({size}, at most {oldest} old)"
        )
        output.hint(
            output.fold(f"Kept for `flowhub retry`: {partials}; --older-than 7d removes older ones.", after="  ")
        )


def _why(item: Item) -> str:
    return item.why if item.frees or not item.bytes else f"{item.why}; its bytes have other names and stay"


def _frees(item: Item) -> str:
    return format_bytes(item.frees) if item.frees or not item.bytes else "nothing"


def _kept(removable: Sequence[Item], removed: Sequence[Item]) -> list[Item]:
    """Return the partials of failed and cancelled jobs that stay."""
    return [item for item in removable if item.kind is Removable.KEPT and item not in removed]
