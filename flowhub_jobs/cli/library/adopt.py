"""adopt: links models of other programs into the store, and adds models in the store to the library."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson, Yes
from flowhub_jobs.cli.prompts import confirm, demand_terminal
from flowhub_jobs.cli.session import open_session, raise_outcome_errors, warn_of_catalog
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.operations.act_on_each import apply_to_each
from flowhub_jobs.operations.enqueue_option_parser import OptionReader
from flowhub_jobs.operations.library.adopt import Adopted, Adoption
from flowhub_jobs.operations.library.adopt_scan import AdoptableModel, AdoptScan, AdoptScanner
from flowhub_jobs.operations.library.cleanup import PartialState, partials
from flowhub_jobs.operations.library.identify import Identifier
from flowhub_jobs.operations.schemas.library import adopt_json
from flowhub_jobs.operations.session import Session
from flowhub_jobs.store.links import LINKS, OWN_BYTES, LinkKind
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.store_settings import DEFAULT_STORE

Outcomes = Mapping[int, "Adopted | FlowhubError"]

SHOWN_MAX = 8  # skipped files that are named
HINT = "Pass -y to adopt, or --dry-run to see what would be adopted."


def adopt(
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PLACE…]", help="lm-studio, huggingface, ollama, llama.cpp, modelscope, store; a folder or file."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be adopted.")] = False,
    yes: Yes = False,
    store: Annotated[
        str | None, typer.Option("--store", metavar="NAME", help="Adopt into this store of config.toml's [stores].")
    ] = None,
    copy: Annotated[bool, typer.Option("--copy", help="Copy the models instead of linking them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Link models of other programs into the store.

    Also adds models in the store that are not in the library yet. Reads every byte first, and asks before it changes
    anything. Models are linked; --copy copies them.
    """
    if not (yes or dry_run):
        demand_terminal("adopt", hint=HINT)
    kinds = OWN_BYTES if copy else LINKS
    with open_session() as opened:
        session = opened.in_store(OptionReader(opened).store(store) or DEFAULT_STORE)
        session.installed.require_store()
        session.open_store()
        finder = AdoptScanner(session.home, Identifier(session.loaded.catalog), os.environ, kinds)
        with _ReadProgress() as watch:
            scan = finder.scan(places or [], watch)
        warn_of_catalog(session)
        new = {number: offer for number, offer in enumerate(scan.offers) if offer.same_as is None}
        if not output.chosen.json:
            _print_offers(scan)
        outcomes: Outcomes = {}
        if not dry_run and (yes or not new or _confirm(list(new.values()), session.store.root)):
            outcomes = _adopt_each(session, new, kinds)
        elif not dry_run:
            output.hint("Nothing was adopted.")
        if output.chosen.json:
            output.result_json(adopt_json(scan, outcomes, dry_run=dry_run))
        else:
            _print_outcomes(outcomes, scan)
            _hint_partials(session)
        raise_outcome_errors(outcomes)


class _ReadProgress:
    """Progress of reading, drawn on a terminal."""

    def __init__(self) -> None:
        self._shown = output.shows_progress()
        self._next = 0.0

    def __enter__(self) -> Callable[[int, int], None]:
        return self._watch

    def __exit__(self, *_: object) -> None:
        if self._shown and self._next:
            output.progress("")

    def _watch(self, read: int, total: int) -> None:
        if self._shown and time.monotonic() >= self._next:
            self._next = time.monotonic() + 0.5
            output.progress(f"Reading: {format_bytes(read)} of {format_bytes(total)}")


def _confirm(offers: Sequence[AdoptableModel], root: Path) -> bool:
    size = format_bytes(sum(offer.size for offer in offers))
    question = f"Adopt {_count(len(offers))} ({size}) into {output.clean(str(root))}?"
    return confirm("adopt", question, hint=HINT)


def _adopt_each(session: Session, offers: Mapping[int, AdoptableModel], kinds: tuple[LinkKind, ...]) -> Outcomes:
    with closing(Adoption(session.home, kinds)) as adoption:
        return apply_to_each(list(offers), lambda number: adoption.adopt(offers[number]))


# Printing ------------------------------------------------------------------------------------------------------------


def _print_offers(scan: AdoptScan) -> None:
    for offer in scan.offers:
        output.result(output.clean(offer.name))
        output.result(output.fold(", ".join(_offer_cells(offer)), "  "))
    for skipped in scan.skipped[:SHOWN_MAX]:
        output.hint(output.fold(f"Not taken: {_short(skipped.path)} {skipped.why}."))
    if len(scan.skipped) > SHOWN_MAX:
        output.hint(f"… and {len(scan.skipped) - SHOWN_MAX} more were not taken; --json lists all.")
    if not scan.offers:
        output.hint("No new models found.")


def _offer_cells(offer: AdoptableModel) -> list[str]:
    artifact = offer.recognized.artifact
    identity = f"{artifact.model}@{artifact.option}" if artifact.model else "not in the catalog"
    method = f"{offer.how.text} from {offer.candidate.program}" if offer.how else "no way to link it"
    if offer.same_as:
        method = f"in the store already as {offer.same_as}"
    elif offer.in_place:
        method = "is in the store"
    return [
        format_bytes(offer.size),
        str(artifact.format or "unknown format"),
        identity,
        method,
        _short(offer.candidate.where),
    ]


def _short(path: Path) -> str:
    """Return a path with the person's home folder as `~`."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def _print_outcomes(outcomes: Outcomes, scan: AdoptScan) -> None:
    for number, outcome in outcomes.items():
        if isinstance(outcome, FlowhubError):
            if len(outcomes) > 1:  # a single failure is the command's own error
                output.hint(output.fold(f"Not adopted: {scan.offers[number].candidate.name}. {outcome.message}"))
        else:
            method = outcome.how.text if outcome.how else "already in the store"
            output.result(output.fold(f"Adopted {outcome.name} ({method}).", after="  "))


def _hint_partials(session: Session) -> None:
    """Print a hint about partial downloads that no job continues, as after the loss of a database."""
    left = [one for one in partials(session.home) if one.state is PartialState.NOBODY]
    if left:
        size = format_bytes(sum(one.leaving.bytes for one in left))
        count = f"{len(left)} partial downloads are" if len(left) > 1 else "1 partial download is"
        output.hint(output.fold(
            f"{count} in the store ({size}), without a job. "
            "A job for the same model continues them; `flowhub prune` removes them."
        ))  # fmt: skip


def _count(number: int) -> str:
    return f"{number} model" + ("s" if number != 1 else "")
