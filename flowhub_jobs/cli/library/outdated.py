"""outdated: lists installed models with a newer version."""

from collections.abc import Sequence
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session, raise_outcome_errors, warn_of_catalog
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.operations.enqueue_plan import EnqueueItem
from flowhub_jobs.operations.library.outdated import ModelVersion, OutdatedCheck, check_outdated
from flowhub_jobs.operations.schemas.library import outdated_json
from flowhub_jobs.operations.session import Session
from flowhub_jobs.units import format_bytes

Refs = Annotated[list[str] | None, typer.Argument(metavar="REF…", help="Models, or names from `flowhub list`.")]


def outdated(refs: Refs = None, as_json: AsJson = False) -> None:
    """List models with a newer version.

    Checks the catalog and the Hub. Exits 0 whether or not a model is outdated.
    """
    with open_session() as session:
        check = check_of(session, refs)
        warn_of_catalog(session)
        if output.chosen.json:
            output.result_json(outdated_json(check, _to_fetch(session, check)))
        else:
            _print_check(session, check)
    raise_outcome_errors(errors_by_model(check))


def check_of(session: Session, refs: Sequence[str] | None) -> OutdatedCheck:
    names = list(dict.fromkeys(name for ref in refs for name in session.installed.find(ref))) if refs else None
    return check_outdated(session, names)


def errors_by_model(check: OutdatedCheck) -> dict[str, FlowhubError | None]:
    """Return every checked model by name, with the error of each that could not be checked."""
    answered = [*check.current, *(one.entry.name for one in check.outdated), *(one.name for one in check.unknown)]
    return dict.fromkeys(answered) | check.failed


def _print_check(session: Session, check: OutdatedCheck) -> None:
    if check.outdated:
        sizes = _to_fetch(session, check)
        rows = []
        for one in check.outdated:
            size = sizes[one.entry.name]
            installed, available = _short_version(one.installed), _short_version(one.available)
            rows.append((one.entry.name, installed, available, "unknown" if size is None else format_bytes(size)))
        head = ("NAME", "INSTALLED", "AVAILABLE", "TO DOWNLOAD")
        if output.width_of(head, rows) <= output.columns():
            output.result(output.table(head, rows, right=(3,)))
        else:
            lines = ((output.clean(name), f"{old} → {new}, {size} to download") for name, old, new, size in rows)
            output.result("\n".join(f"{name}\n{output.fold(rest, '  ')}" for name, rest in lines))
    for other in check.unknown:
        output.hint(output.fold(f"{other.name}: unknown; {other.why}.", after="  "))
    hint_rest(check, [], nothing=not check.outdated)
    if check.outdated:
        output.hint("`flowhub update --all` queues them; the old ones stay until the new ones are verified.")


def hint_rest(check: OutdatedCheck, refused: Sequence[FlowhubError | None], *, nothing: bool) -> None:
    """Print a hint for each model that could not be checked or is not updated, and why."""
    lines = [f"{name}: could not be checked. {error.message}" for name, error in check.failed.items()]
    lines += [f"{error.message} {error.hint}" for error in refused if error]
    if nothing and not refused:
        lines.append(f"Nothing is outdated, of {check.count} model{'s' * (check.count != 1)}.")
    for line in lines:
        output.hint(output.fold(line, after="  "))


def _to_fetch(session: Session, check: OutdatedCheck) -> dict[str, int | None]:
    """Return the bytes that each update would fetch, by name; None where a size is unknown."""
    plans = session.plan([EnqueueItem(one.artifact) for one in check.outdated])
    return {one.entry.name: plan.to_fetch for one, plan in zip(check.outdated, plans, strict=True)}


def _short_version(version: ModelVersion) -> str:
    """Return a few digits that tell two versions apart."""
    if version.commit or version.sha256:
        return f"commit {version.commit[:8]}" if version.commit else f"sha256 {(version.sha256 or '')[:8]}"
    return version.version or "another"
