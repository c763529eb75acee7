"""What is told of catalogs, as JSON: `flowhub/catalogs/1`, and `/catalog-import/1`, `-update/1`, `-validate/1`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from flowhub_jobs import addresses
from flowhub_jobs.catalogs.facts import BASE, Facts
from flowhub_jobs.catalogs.overlays import Overlays
from flowhub_jobs.errors import CatalogMalformed, CatalogSourceMalformed, FlowhubError
from flowhub_jobs.hub.catalogs.overlays import Change
from flowhub_jobs.hub.catalogs.shipped import base_catalog, catalog_in_force, imported_catalogs, is_at_url
from flowhub_jobs.hub.catalogs.source import Raw, fetch, read, source_of
from flowhub_jobs.settings import Settings

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.importers.intake import Intake
    from flowhub_jobs.catalogs.load import Loaded

EXAMPLES = 3  # named for each reason
Page = dict[str, Any]


def catalogs_page(settings: Settings) -> tuple[Page, str | None]:
    """Return all that is in force, in its order, and what the person must be told."""
    loaded, overlays = catalog_in_force(settings), imported_catalogs(settings)
    rows = [_base_row(settings, loaded), *(_row(overlays, name, loaded) for name in overlays.names())]
    return {"schema": "flowhub/catalogs/1", "catalogs": rows, "warning": loaded.warning}, loaded.warning


def _base_row(settings: Settings, loaded: "Loaded") -> Page:
    own = len(loaded.catalog.models) - len(loaded.overlays)
    source = addresses.public_url(settings.catalog) if settings.catalog and is_at_url(settings) else settings.catalog
    return {
        "name": BASE,
        "format": "flowhub",
        "models": own,
        "hidden": 0,
        "damaged": False,
        "source": source,
        "imported_at": None,
        "checked_at": None,
    }


def _row(overlays: Overlays, name: str, loaded: "Loaded") -> Page:
    facts = overlays.facts(name)
    return {
        "name": name,
        "format": facts.format if facts else None,
        "models": sum(owner == name for owner in loaded.overlays.values()),
        "hidden": loaded.hidden.get(name, 0),
        "damaged": name not in loaded.hidden,
        "source": facts.shown if facts else None,
        "imported_at": facts.imported_at if facts else None,
        "checked_at": facts.checked_at if facts else None,
    }


def import_page(change: Change) -> Page:
    return {"schema": "flowhub/catalog-import/1", **_import(change)}


def _import(change: Change) -> Page:
    facts = change.facts
    return {
        "name": change.name,
        "format": facts.format,
        "source": facts.shown,
        "replaced": change.replaced,
        "taken": facts.models,
        **_counts(facts),
        "renamed": dict(change.renamed),
        "entries": examples(change.intake),
    }


def _counts(facts: Facts) -> Page:
    return {"refused": dict(facts.refused), "left_out": dict(facts.left_out), "remarks": dict(facts.remarks)}


def examples(intake: "Intake | None") -> list[Page]:
    """Return the first few that each reason is about."""
    kinds = {"refused": intake.refused, "left_out": intake.left_out, "remark": intake.remarks} if intake else {}
    return [
        {"entry": what, "kind": kind, "reason": reason}
        for kind, named in kinds.items()
        for reason, all_of_it in named.items()
        for what in all_of_it[:EXAMPLES]
    ]


def update_page(done: Mapping[str, Change | FlowhubError]) -> Page:
    rows = [_update_row(name, outcome) for name, outcome in done.items()]
    return {"schema": "flowhub/catalog-update/1", "catalogs": rows}


def _update_row(name: str, outcome: Change | FlowhubError) -> Page:
    if isinstance(outcome, FlowhubError):
        nothing: Page = {"new": [], "changed": [], "gone": []}
        return {"name": name, "outcome": "failed", "models": None, **nothing, "error": outcome.as_dict()}
    return {
        "name": name,
        "outcome": "changed" if outcome.new or outcome.changed or outcome.gone else "unchanged",
        "models": outcome.facts.models,
        "new": list(outcome.new),
        "changed": list(outcome.changed),
        "gone": list(outcome.gone),
        "error": None,
    }


# Validate ------------------------------------------------------------------------------------------------------------


def validate_page(settings: Settings, text: str | None, shape: str | None) -> Page:
    """Return what a catalog is worth. One of ours with a fault raises CatalogMalformed (CatalogSourceMalformed)."""
    if text is None:
        return _in_force(settings)
    source = source_of(text)
    raw = fetch(source, None, settings)
    told = Facts(source, "").shown
    if (shape or _shape_of(raw)) == "flowhub":
        return _validated(told, "flowhub", _strict(source, raw))
    intake = read(source, raw.body or b"", shape)
    counts = {
        "refused": {reason: len(what) for reason, what in intake.refused.items()},
        "left_out": {reason: len(what) for reason, what in intake.left_out.items()},
        "remarks": {reason: len(what) for reason, what in intake.remarks.items()},
    }
    return _validated(told, intake.format, len(intake.models), counts, examples(intake))


def _in_force(settings: Settings) -> Page:
    loaded = catalog_in_force(settings)
    overlays = imported_catalogs(settings)
    if damaged := [name for name in overlays.names() if name not in loaded.hidden]:
        hint = f"`flowhub catalog update {damaged[0]}` fetches it anew, `flowhub catalog remove {damaged[0]}` drops it."
        raise CatalogMalformed(f"The imported catalog {damaged[0]} is damaged, and left out.", hint=hint)
    told = base_catalog(settings).where
    return _validated(told, "flowhub", len(loaded.catalog.models))


def _strict(source: str, raw: Raw) -> int:
    from flowhub_jobs.catalogs.schema import parse_catalog

    facts = Facts(source, "")
    error: type[FlowhubError] = CatalogSourceMalformed if facts.is_url else CatalogMalformed
    where = f"The catalog {facts.shown}"
    return len(parse_catalog(raw.body or b"", where=where, error=error).models)


def _shape_of(raw: Raw) -> str | None:
    """Return "flowhub" for what is meant to be of our shape, however faulty: a JSON object."""
    return "flowhub" if (raw.body or b"").removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{" else None


def _validated(
    source: str, shape: str, models: int, counts: Page | None = None, entries: list[Page] | None = None
) -> Page:
    nothing: Page = {"refused": {}, "left_out": {}, "remarks": {}}
    head = {"schema": "flowhub/catalog-validate/1", "source": source, "format": shape, "models": models}
    return head | (counts or nothing) | {"entries": entries or []}
