"""Loads the catalog in force: the base (shipped, or FLOWHUB_CATALOG) with the imported catalogs."""

from pathlib import Path

from flowhub_jobs.catalogs.cached_copy_paths import copy_path
from flowhub_jobs.catalogs.imported_catalogs import ImportedCatalogs, with_imported_catalogs
from flowhub_jobs.catalogs.load import load_catalog
from flowhub_jobs.catalogs.loaded import LoadedCatalog
from flowhub_jobs.errors import CatalogUnreadable
from flowhub_jobs.settings import Settings

_PLACES = (
    Path(__file__).parents[2] / "_shipped" / "hub_catalog.json",  # in the wheel
    Path(__file__).parents[3] / "hub_catalog.json",  # in a checkout
)

Signature = tuple[tuple[str, int, int], ...]


def shipped_catalog() -> Path:
    for path in _PLACES:
        if path.is_file():
            return path
    raise CatalogUnreadable("The catalog that ships with flowhub is missing.", hint="Install flowhub again.")


def catalog_in_force(settings: Settings) -> "LoadedCatalog":
    """Return the base with the imported catalogs, and the warnings about them.

    Raises what `load_catalog` says of the base; an imported catalog that is damaged is a warning.
    """
    return with_imported_catalogs(base_catalog(settings), imported_catalogs(settings))


def base_catalog(settings: Settings) -> "LoadedCatalog":
    """Return the catalog of FLOWHUB_CATALOG, or the shipped one, alone."""
    return load_catalog(settings.catalog, shipped=shipped_catalog(), cache_dir=_cache_folder(settings))


def imported_catalogs(settings: Settings) -> "ImportedCatalogs":
    return ImportedCatalogs(_overlays(settings))


def is_at_url(settings: Settings) -> bool:
    return (settings.catalog or "").lower().startswith(("https://", "http://"))


def catalog_files(settings: Settings) -> tuple[Path, ...]:
    """Return the files of all that is in force, the base first; for a base at a URL, its kept copy."""
    if not _overlays(settings).is_dir():
        return (base_file(settings),)
    imported = imported_catalogs(settings)
    return (base_file(settings), *(imported.path(name) for name in imported.names()))


def catalog_signature(settings: Settings) -> Signature:
    """Return (path, size, mtime_ns) of each file in force: an index of them is stale when this changes.

    A missing file is (path, -1, -1). The URL of a base is not asked here, but by `catalog_in_force`.
    """
    return tuple(_stamp(path) for path in catalog_files(settings))


def _cache_folder(settings: Settings) -> Path:
    return settings.home / "catalogs"


def _overlays(settings: Settings) -> Path:
    return _cache_folder(settings) / "overlays"


def base_file(settings: Settings) -> Path:
    if settings.catalog is None:
        return shipped_catalog()
    if is_at_url(settings):
        return copy_path(settings.catalog, _cache_folder(settings))
    return Path(settings.catalog).expanduser().absolute()


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except (OSError, ValueError):
        return (str(path), -1, -1)
    return (str(path), status.st_size, status.st_mtime_ns)
