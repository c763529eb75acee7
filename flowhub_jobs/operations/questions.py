"""The Python API: what is there, will it run here, what do I have. The command line asks the same functions.

Settings come from the environment and the home's config.toml.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flowhub_jobs.home import opened
from flowhub_jobs.operations.session import Session
from flowhub_jobs.settings import load_settings
from flowhub_jobs.values.artifacts import InstalledModel

if TYPE_CHECKING:
    from flowhub_jobs.device.description import Device
    from flowhub_jobs.operations.library.outdated import OutdatedCheck
    from flowhub_jobs.operations.search.fitting import Variant
    from flowhub_jobs.operations.search.search import Findings


def search(
    *terms: str,
    format: str | None = None,  # noqa: A002, the catalog's own word
    params: str | None = None,
    max_size: str | None = None,
    license: str | None = None,  # noqa: A002
    tags: Sequence[str] = (),
    publisher: str | None = None,
    fits: bool = False,
    installed: bool = False,
    sort: str | None = None,
    limit: int | None = None,
) -> "Findings":
    """Return the models of the catalogs in force that have all these words, the best match first.

    The filters are those of `flowhub search`, in its words: `params="7..14B"`, `max_size="10G"`, `sort="fit"`. Raises
    UsageInvalid for one that is not understood. Nothing found is an answer.
    """
    from flowhub_jobs.catalogs.search_filters import Filters
    from flowhub_jobs.operations.search.search import Wanted, find

    filters = Filters.typed(
        format=format, params=params, max_size=max_size, license=license, tags=tuple(tags), publisher=publisher
    )
    return find(load_settings(), Wanted(terms, filters, fits, installed, sort, limit))


def machine() -> "Device":
    """Return what this machine is: memory, graphics processors, the disk of the store. None is unknown, never 0."""
    from flowhub_jobs.device.probe import probe

    return probe(load_settings().store)


def fits(ref: str, *, context: int | None = None, on: "Device | None" = None) -> "list[Variant]":
    """Return each variant that a reference can mean, with the verdict whether it runs here, or on another machine.

    `context` is in tokens. Raises NotFound, UsageInvalid, and for the Hub's repositories what it answers.
    """
    from flowhub_jobs.operations.search.variants import judge

    with opened(load_settings()) as home:
        return judge(Session(home), ref, on, context=context)


def installed() -> list[InstalledModel]:
    """Return what is installed, by name, joined to the catalog in force; of a store that is offline, too."""
    with opened(load_settings()) as home:
        return Session(home).installed.models()


def outdated(*names: str) -> "OutdatedCheck":
    """Return what the catalog or the Hub has in another version; of these installed names, or of all."""
    from flowhub_jobs.operations.library.outdated import survey

    with opened(load_settings()) as home:
        return survey(Session(home), names or None)


def path(ref: str) -> Path:
    """Return what a runtime opens of an installed model: a file, the first of its parts, or a folder.

    Raises NotFound, and UsageInvalid where several variants are installed.
    """
    from flowhub_jobs.operations.library.match import entrance

    with opened(load_settings()) as home:
        return entrance(Session(home).installed.one(ref).path)
