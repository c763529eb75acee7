"""Opens the search index of the catalogs in force; builds it when they have changed, in memory if necessary."""

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from flowhub_jobs.catalogs.cached_copy_paths import checked_at
from flowhub_jobs.catalogs.search_reader import IndexReader
from flowhub_jobs.operations.catalogs.active import base_catalog, catalog_signature, imported_catalogs, is_at_url
from flowhub_jobs.operations.search.model_needs import needs_of, parse_parameters
from flowhub_jobs.settings import Settings

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.loaded import LoadedCatalog
    from flowhub_jobs.catalogs.schema import DownloadOption, HubModel
    from flowhub_jobs.catalogs.search_index import IndexContent

# A search does not ask the source of a catalog at a URL that was asked within the hour. Downloads always ask it: a
# digest must not be an hour old.
ASK_AGAIN = timedelta(hours=1)
Answer = TypeVar("Answer")


class OpenedIndex(NamedTuple):
    """An index, and warnings for the user."""

    lookup: IndexReader
    warnings: tuple[str, ...] = ()


def index_path(settings: Settings) -> Path:
    return settings.home / "search.db"


def query_index(
    settings: Settings, query: Callable[[IndexReader], Answer], base: "LoadedCatalog | None" = None
) -> tuple[Answer, tuple[str, ...]]:
    """Return the answer of `query` on the index, and the warnings. A damaged index is built again, once.

    `base` is the base catalog of a caller that has loaded it already; its source is not asked again.
    Raises what loading the catalog raises, where it has to be loaded.
    """
    for rebuild in (False, True):
        index = _open_index(settings, base, rebuild=rebuild)
        try:
            return query(index.lookup), index.warnings
        except sqlite3.DatabaseError:
            if rebuild:
                raise
        finally:
            index.lookup.close()
    raise AssertionError("the second time, it answers or raises")


def _open_index(settings: Settings, base: "LoadedCatalog | None", *, rebuild: bool) -> OpenedIndex:
    if base is None and _is_update_due(settings):
        base = base_catalog(settings)
    warning = base.warning if base else None
    signature = _signature(settings)
    lookup = None if rebuild else IndexReader.open(index_path(settings), signature)
    if lookup is None:
        return _build_index(settings, base or base_catalog(settings), signature)
    return OpenedIndex(lookup, _without_none(warning, lookup.about.get("warning")))


def _build_index(settings: Settings, base: "LoadedCatalog", signature: str) -> OpenedIndex:
    from flowhub_jobs.catalogs.search_index import build, build_in_memory

    if is_at_url(settings):
        signature = _signature(settings)  # loading it may have brought a new copy
    source = _source(settings, replace(base, warning=None), signature)
    try:
        build(index_path(settings), source)
        if lookup := IndexReader.open(index_path(settings), signature):
            return OpenedIndex(lookup, _without_none(base.warning, source.warning))
        why = "it does not read as it was written"
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
    warning = (
        f"The index for searches cannot be kept in {settings.home} ({why}): each search builds it again, in memory."
    )
    return OpenedIndex(IndexReader(build_in_memory(source)), _without_none(base.warning, source.warning, warning))


def _source(settings: Settings, base: "LoadedCatalog", signature: str) -> "IndexContent":
    from flowhub_jobs.catalogs.import_record import BASE
    from flowhub_jobs.catalogs.imported_catalogs import with_imported_catalogs
    from flowhub_jobs.catalogs.search_index import IndexContent

    loaded = with_imported_catalogs(base, imported_catalogs(settings))
    return IndexContent(
        signature=signature,
        models=loaded.catalog.models,
        catalog_of=lambda model: loaded.imported.get(model, BASE),
        parameters=parse_parameters,
        needs=needs_as_json,
        warning=loaded.warning,
    )


def needs_as_json(model: "HubModel", option: "DownloadOption") -> dict[str, Any]:
    """Return the needs of an option (device.need.ModelNeeds) as JSON values, without unknown ones."""
    from flowhub_jobs.catalogs.schema import artifact

    needs = needs_of(artifact(model, option), model)
    values = {name: getattr(needs, name) for name in needs.__slots__}
    return {name: value for name, value in values.items() if value is not None}


def _signature(settings: Settings) -> str:
    return repr(catalog_signature(settings))


def _is_update_due(settings: Settings) -> bool:
    if not is_at_url(settings):
        return False
    assert settings.catalog is not None, "it is a URL"
    checked = checked_at(settings.catalog, settings.home / "catalogs")
    return checked is None or not timedelta() <= datetime.now(UTC) - checked < ASK_AGAIN


def _without_none(*warnings: str | None) -> tuple[str, ...]:
    return tuple(warning for warning in warnings if warning)
