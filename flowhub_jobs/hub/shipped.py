"""Where the catalog that ships with flowhub lies, and how the one in force is loaded."""

from pathlib import Path
from typing import TYPE_CHECKING

from flowhub_jobs.catalogs.load import Loaded, load_catalog
from flowhub_jobs.errors import CatalogUnreadable
from flowhub_jobs.settings import Settings

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.schema import HubCatalog

_PLACES = (
    Path(__file__).parents[1] / "_shipped" / "hub_catalog.json",  # in the wheel
    Path(__file__).parents[2] / "hub_catalog.json",  # in a checkout
)


def shipped_catalog() -> Path:
    for place in _PLACES:
        if place.is_file():
            return place
    raise CatalogUnreadable("The catalog that ships with flowhub is missing.", hint="Install flowhub again.")


def catalog_in_force(settings: Settings) -> Loaded:
    """Return the catalog of these settings, and what the person must be told about it."""
    return load_catalog(settings.catalog, shipped=shipped_catalog(), cache_dir=settings.home / "catalogs")


def has_option(catalog: "HubCatalog", model: str, option: str) -> bool:
    found = next((entry for entry in catalog.models if entry.id == model), None)
    return found is not None and any(choice.id == option for choice in found.downloads)
