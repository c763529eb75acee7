"""Placements of installed models, for operations on the models themselves."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.home import Home
from flowhub_jobs.values.enums import EventKind

if TYPE_CHECKING:
    from flowhub_jobs.jobs.enqueue_rows import Enqueued, Request
    from flowhub_jobs.placement.rows import PlacementRow


def placement_rows(home: Home) -> "list[PlacementRow]":
    """Return the placements of the models in the store that is there."""
    identity = home.entries.store_id
    return [row for row in home.placement_rows.all() if row.store_id in (identity, "")]


def orphans(home: Home) -> "list[PlacementRow]":
    """Return the placements whose model is not in the library any more."""
    known = {entry.name for entry in home.entries.entries_here()}
    return [row for row in placement_rows(home) if row.name not in known]


def programs_by_name(home: Home) -> dict[str, list[str]]:
    """Return the programs that each model is placed in, by its name."""
    programs: dict[str, list[str]] = {}
    for row in placement_rows(home):
        if row.app not in programs.setdefault(row.name, []):
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


def place_installed(home: Home, wanted: "Sequence[tuple[Request, Enqueued]]") -> list[str]:
    """Place models that are installed already; return sentences on those that could not be placed."""
    failed = []
    for request, answer in wanted:
        name = Path(request.target).name
        for program in request.terms.place:
            try:
                home.placements.place(name, program)
            except FlowhubError as error:
                text = f"{name} is not placed in {program}: {error.message}"
                failed.append(f"{text} {error.hint or ''}".strip())
                home.placements.note(answer.job, EventKind.PLACEMENT_FAILED, text, error.code)
    return failed
