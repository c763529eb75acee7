"""Catalogs as JSON: `flowhub/catalogs/1`, `flowhub/catalog-import/1`, `-update/1`, `-validate/1`, `-removed/1`."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowhub_jobs.catalogs.import_record import BASE, ImportRecord
from flowhub_jobs.catalogs.imported_catalogs import ImportedCatalogs
from flowhub_jobs.catalogs.inspection import inspect
from flowhub_jobs.catalogs.loaded import MAX_BYTES
from flowhub_jobs.catalogs.parsing import CatalogUnparsable, read_value
from flowhub_jobs.errors import CatalogMalformed, CatalogSourceMalformed, FlowhubError
from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.net import redaction
from flowhub_jobs.operations.catalogs.active import (
    base_catalog,
    base_file,
    catalog_in_force,
    imported_catalogs,
    is_at_url,
)
from flowhub_jobs.operations.catalogs.import_source import fetch, parse_source, read
from flowhub_jobs.operations.catalogs.imports import Change
from flowhub_jobs.settings import Settings

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.importers.import_result import ImportResult
    from flowhub_jobs.catalogs.loaded import LoadedCatalog

EXAMPLES = 3  # entries named for each reason
_DOCUMENTED = "`flowhub help catalog` shows the format of a catalog."
Page = dict[str, Any]


def catalog_removed_json(names: Sequence[str]) -> Page:
    return {"schema": "flowhub/catalog-removed/1", "removed": list(names)}


def catalogs_json(settings: Settings) -> tuple[Page, str | None]:
    """Return `flowhub/catalogs/1` of all catalogs, in the order of a search, and the warning about them."""
    loaded, imported = catalog_in_force(settings), imported_catalogs(settings)
    rows = [_base_row(settings, loaded), *(_row(imported, name, loaded) for name in imported.names())]
    return {"schema": "flowhub/catalogs/1", "catalogs": rows, "warning": loaded.warning}, loaded.warning


def _base_row(settings: Settings, loaded: "LoadedCatalog") -> Page:
    own_models = len(loaded.catalog.models) - len(loaded.imported)
    source = redaction.public_url(settings.catalog) if settings.catalog and is_at_url(settings) else settings.catalog
    return {
        "name": BASE,
        "format": "flowhub",
        "models": own_models,
        "hidden": 0,
        "damaged": False,
        "source": source,
        "imported_at": None,
        "checked_at": None,
    }


def _row(imported: ImportedCatalogs, name: str, loaded: "LoadedCatalog") -> Page:
    facts = imported.record(name)
    return {
        "name": name,
        "format": facts.format if facts else None,
        "models": sum(owner == name for owner in loaded.imported.values()),
        "hidden": loaded.hidden.get(name, 0),
        "damaged": name not in loaded.hidden,
        "source": facts.shown if facts else None,
        "imported_at": facts.imported_at if facts else None,
        "checked_at": facts.checked_at if facts else None,
    }


def import_json(change: Change) -> Page:
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
        "entries": examples(change.result),
    }


def _counts(facts: ImportRecord) -> Page:
    return {"refused": dict(facts.refused), "left_out": dict(facts.left_out), "remarks": dict(facts.remarks)}


def examples(result: "ImportResult | None") -> list[Page]:
    """Return the first few entries of each reason."""
    kinds = {"refused": result.refused, "left_out": result.left_out, "remark": result.remarks} if result else {}
    return [
        {"entry": entry, "kind": kind, "reason": reason}
        for kind, by_reason in kinds.items()
        for reason, entries in by_reason.items()
        for entry in entries[:EXAMPLES]
    ]


def update_json(done: Mapping[str, Change | FlowhubError]) -> Page:
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


def validate_json(settings: Settings, text: str | None, shape: str | None) -> tuple[Page, FlowhubError | None]:
    """Return `flowhub/catalog-validate/1` of a catalog, and an error if it is in flowhub's format and has a fault.

    `text` is a path or a URL; None is the catalog in use. Raises the errors of `fetch` and `read`.
    """
    if text is None:
        return _in_force(settings)
    source = parse_source(text)
    raw = fetch(source, None, settings).body or b""
    public_source = ImportRecord(source, "").shown
    if (shape or _shape_of(raw)) == "flowhub":
        return _inspect_page(
            public_source, raw, CatalogSourceMalformed if ImportRecord(source, "").is_url else CatalogMalformed
        )
    result = read(source, raw, shape)
    counts = {
        "refused": {reason: len(entries) for reason, entries in result.refused.items()},
        "left_out": {reason: len(entries) for reason, entries in result.left_out.items()},
        "remarks": {reason: len(entries) for reason, entries in result.remarks.items()},
    }
    return _validation_page(public_source, result.format, len(result.models), counts, examples(result)), None


def _inspect_page(source: str, raw: bytes, malformed: type[FlowhubError]) -> tuple[Page, FlowhubError | None]:
    report = inspect(raw)
    page = _validation_page(source, "flowhub", report.models) | {
        "faults": [fault.as_dict() for fault in report.faults],
        "warnings": [warning.as_dict() for warning in report.warnings],
        "notes": [note.as_dict() for note in report.notes],
    }
    if not report.faults:
        return page, None
    more_text = f" (and {len(report.faults) - 1:,} more)" if len(report.faults) > 1 else ""
    error = malformed(
        f"The catalog {source}: {report.faults[0].text}{more_text}",
        hint=f"flowhub refuses the whole catalog. {_DOCUMENTED}",
    )
    return page, error


def _in_force(settings: Settings) -> tuple[Page, FlowhubError | None]:
    base = base_file(settings)
    raw = read_regular(base, MAX_BYTES) if base.is_file() else None
    page, error = _inspect_page(str(base), raw, CatalogMalformed) if raw is not None else ({}, None)
    if error:
        return page, error
    loaded = catalog_in_force(settings)
    imported = imported_catalogs(settings)
    if damaged := [name for name in imported.names() if name not in loaded.hidden]:
        hint = (
            f"`flowhub catalog update {damaged[0]}` downloads it again, `flowhub catalog remove {damaged[0]}` drops it."
        )
        raise CatalogMalformed(f"The imported catalog {damaged[0]} is damaged and is not used.", hint=hint)
    where = base_catalog(settings).where
    return _validation_page(where, "flowhub", 0) | page | {"source": where, "models": len(loaded.catalog.models)}, None


def _shape_of(raw: bytes) -> str | None:
    """Return "flowhub" for a JSON object, even a malformed one; None for another format."""
    try:
        return "flowhub" if isinstance(read_value(raw), dict) else None
    except CatalogUnparsable:
        return "flowhub" if raw.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0")[:1] == b"{" else None


def _validation_page(
    source: str, shape: str, models: int, counts: Page | None = None, entries: list[Page] | None = None
) -> Page:
    nothing: Page = {"refused": {}, "left_out": {}, "remarks": {}}
    head = {"schema": "flowhub/catalog-validate/1", "source": source, "format": shape, "models": models}
    return head | (counts or nothing) | {"entries": entries or [], "faults": [], "warnings": [], "notes": []}
