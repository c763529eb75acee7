"""Placements of installed models, for `list`, `rm`, `doctor` and others that work on the models."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.home import Home

if TYPE_CHECKING:
    from flowhub_jobs.jobs.enqueue_rows import Enqueued, EnqueueRequest
    from flowhub_jobs.placement.rows import PlacementRow


def placement_rows(home: Home) -> "list[PlacementRow]":
    """Return the placements of the models in the mounted store."""
    ids = home.entries.ids_here
    return [row for row in home.placement_rows.all() if row.store_id in ids]


def orphans(home: Home) -> "list[PlacementRow]":
    """Return the placements whose model is not in the library any more."""
    installed_names = {entry.name for entry in home.entries.entries_here()}
    return [row for row in placement_rows(home) if row.name not in installed_names]


def programs_by_name(home: Home) -> dict[str, list[str]]:
    """Return the programs that each model is placed in, by its name; not those in which it could not be placed yet."""
    programs: dict[str, list[str]] = {}
    for row in placement_rows(home):
        if row.entries and row.app not in programs.setdefault(row.name, []):
            programs[row.name].append(row.app)
    return programs


def placed_links(home: Home) -> dict[str, list[Path]]:
    """Return the hard links that placements have of each model's files, by its name."""
    links: dict[str, list[Path]] = {}
    for row in placement_rows(home):
        links.setdefault(row.name, []).extend(row.hard_links)
    return links


def placed_files(home: Home) -> set[Path]:
    """Return flowhub's own files in the folders of programs, without links in their paths."""
    targets = (entry.target for row in placement_rows(home) for entry in row.entries if entry.own)
    return {target.parent.resolve() / target.name for target in targets}


def remove_placements_of(home: Home, name: str) -> None:
    """Remove all placements of a model, before the model itself."""
    if rows := [row for row in placement_rows(home) if row.name == name]:
        home.placements.remove(rows)


def waiting_placements(home: Home) -> "list[PlacementRow]":
    """Return the placements that could not be made yet, and that a worker tries again."""
    return [row for each in home.each_store() for row in placement_rows(each) if row.error is not None]


def count_waiting(home: Home) -> int:
    """Return the number of placements that wait, those of absent stores included. For screens that start fast."""
    query = "SELECT count(*) AS many FROM placements WHERE node = :node AND state <> 'placed' AND tries > 0"
    with home.database.reading() as tx:
        return int(tx.rows(query, node=home.node)[0]["many"])


def not_placed(row: "PlacementRow", error: Mapping[str, Any]) -> str:
    """Return the sentence on a placement that could not be made yet."""
    verb = "removed from" if row.state == "removing" else "placed in"
    return f"{row.name} is not {verb} {row.app} yet: {error['message']}"


def remedy_of_placement(row: "PlacementRow", error: Mapping[str, Any]) -> str:
    """Return what to do for a placement that could not be made yet."""
    command = "unplace" if row.state == "removing" else "place"
    next_try = f"A worker tries again by itself; `flowhub {command} {row.name} --in {row.app}` tries it now."
    return f"{error['hint']} {next_try}" if error.get("hint") else next_try


def place_installed(home: Home, installed: "Sequence[tuple[EnqueueRequest, Enqueued]]") -> list[str]:
    """Place models that are installed already; return sentences on those that could not be placed."""
    failed = []
    for request, answer in installed:
        name, home = Path(request.target).name, home.in_store(request.store)
        for program in request.terms.place:
            try:
                home.placements.place(name, program, job=answer.job)
            except FlowhubError as error:
                text = f"{name} is not placed in {program}: {error.message}"
                next_try = "A worker tries it again." if error.retryable else ""
                failed.append(" ".join(part for part in (text, error.hint, next_try) if part))
    return failed
