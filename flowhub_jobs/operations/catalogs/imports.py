"""Imports, updates and removes catalogs. A catalog is written only when it has been fetched and converted."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flowhub_jobs.catalogs.import_record import BASE as BASE
from flowhub_jobs.catalogs.import_record import ImportRecord, check_name
from flowhub_jobs.catalogs.imported_catalogs import ImportedCatalogs, with_unique_ids
from flowhub_jobs.catalogs.importers.field_values import slug, stem
from flowhub_jobs.catalogs.importers.import_result import ImportResult
from flowhub_jobs.catalogs.remote import cached_catalog
from flowhub_jobs.catalogs.suggest import nearest
from flowhub_jobs.errors import CatalogUnreachable, CatalogUnreadable, NotFound, UsageInvalid
from flowhub_jobs.fs.names import filename_from_url
from flowhub_jobs.operations.catalogs.active import base_catalog, imported_catalogs, is_at_url
from flowhub_jobs.operations.catalogs.import_source import SourceBytes, digest_of, fetch, parse_source, read
from flowhub_jobs.settings import Settings
from flowhub_jobs.times import rfc3339

IMPORTER = 1  # raise it when an importer reads the same bytes otherwise: an update then reads them again


@dataclass(frozen=True, slots=True)
class Change:
    """Changes of one catalog by an import or update: ids added, changed, removed; no `result` if none was read."""

    name: str
    facts: ImportRecord
    result: "ImportResult | None" = None
    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    replaced: bool = False


def import_catalog(settings: Settings, text: str, *, name: str | None = None, shape: str | None = None) -> Change:
    """Take in the catalog of a file or URL, under `name`, or the name of its shape.

    Raises UsageInvalid, AddressRefused; of a file CatalogUnreadable and CatalogMalformed, of a URL CatalogUnreachable
    and CatalogSourceMalformed, and the errors of the base. Then nothing is changed.
    """
    source = parse_source(text)
    name = check_name(name) if name is not None else None
    raw = fetch(source, None, settings)
    result = read(source, raw.body or b"", shape)
    imported = imported_catalogs(settings)
    name = name or _free_name(imported, result.format, source)
    return _write_import(settings, name, source, raw, result)


def update_catalog(settings: Settings, name: str) -> Change:
    """Ask the source of an imported catalog again, and store its answer; the errors of `import_catalog`."""
    imported = imported_catalogs(settings)
    check_present(imported, name)
    facts = imported.record(name)
    if facts is None:
        hint = f"`flowhub catalog import SOURCE --name {name}` takes it in again."
        raise CatalogUnreadable(f"Where the catalog {name} came from is not known any more.", hint=hint)
    raw = fetch(facts.source, facts if _is_sound(imported, name, facts) else None, settings)
    if raw.body is None:
        checked = replace(facts, checked_at=_now())
        imported.save_record(name, checked)
        return Change(name, checked)
    return _write_import(settings, name, facts.source, raw, read(facts.source, raw.body, facts.format))


def remove_catalog(settings: Settings, name: str) -> str:
    """Remove an imported catalog and return its name; models installed from it stay.

    Raises NotFound, UsageInvalid for the base.
    """
    imported = imported_catalogs(settings)
    check_present(imported, name)
    imported.remove(name)
    return name


def check_present(imported: ImportedCatalogs, name: str) -> None:
    if name == BASE:
        raise UsageInvalid("The base is not an imported catalog.", hint="FLOWHUB_CATALOG says which one it is.")
    present = imported.names()
    if name not in present:
        near = nearest(name, present)
        hint = f"Did you mean {', '.join(near)}?" if near else "`flowhub catalog list` shows what there is."
        raise NotFound(f"No catalog {name!r} was imported.", hint=hint)


def updatable(settings: Settings) -> list[str]:
    """Return the names of all catalogs that have a source to ask: the base if it is at a URL, and the imported ones."""
    return [*([BASE] if is_at_url(settings) else []), *imported_catalogs(settings).names()]


# The base ------------------------------------------------------------------------------------------------------------


def update_base(settings: Settings) -> Change:
    """Ask FLOWHUB_CATALOG's URL again. Raises CatalogUnreachable, also where the cached copy stays in use."""
    if not is_at_url(settings):
        raise UsageInvalid(
            "The base catalog is a file, which every command reads anyway.",
            hint="Only a catalog at a URL can be updated.",
        )
    url = settings.catalog or ""
    cached = cached_catalog(url, settings.home / "catalogs")
    loaded = base_catalog(settings)
    if loaded.warning:
        raise CatalogUnreachable(loaded.warning, hint="Check the network and FLOWHUB_CATALOG.")
    before = {model.id: model for model in cached.models} if cached else {}
    after = {model.id: model for model in loaded.catalog.models}
    facts = ImportRecord(url, "flowhub", checked_at=_now(), models=len(after))
    return _with_differences(Change(BASE, facts), before, after)


# Writing -------------------------------------------------------------------------------------------------------------


def _write_import(settings: Settings, name: str, source: str, raw: SourceBytes, result: "ImportResult") -> Change:
    imported = imported_catalogs(settings)
    replaced = name in imported.names()
    before, last_import = imported.entries(name), imported.record(name)
    models, ids = with_unique_ids(
        result.models, name, _ids_of_others(settings, imported, name), last_import.ids if last_import else {}
    )
    facts = ImportRecord(
        source,
        result.format,
        imported_at=_now(),
        checked_at=_now(),
        sha256=digest_of(raw.body or b""),
        etag=raw.etag,
        last_modified=raw.last_modified,
        importer=IMPORTER,
        models=len(models),
        refused=_counts(result.refused),
        left_out=_counts(result.left_out),
        remarks=_counts(result.remarks),
        ids=ids,
    )
    imported.save(name, models, facts)
    change = Change(name, facts, result, renamed=ids, replaced=replaced)
    return _with_differences(change, before, {model["id"]: model for model in models})


def _ids_of_others(settings: Settings, imported: ImportedCatalogs, name: str) -> set[str]:
    """Return the ids of all catalogs but this one."""
    ids = set(base_catalog(settings).catalog.by_id)
    for other in imported.names():
        if other != name:
            ids.update(imported.entries(other))
    return ids


def _with_differences(change: Change, before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    both = before.keys() & after.keys()
    return replace(
        change,
        new=tuple(id for id in after if id not in before),  # noqa: A001, the catalog's own word
        changed=tuple(id for id in after if id in both and before[id] != after[id]),  # noqa: A001
        gone=tuple(id for id in before if id not in after),  # noqa: A001
    )


def _is_sound(imported: ImportedCatalogs, name: str, facts: ImportRecord) -> bool:
    """Return whether the stored catalog can stay if its source answers "not modified"."""
    return facts.importer == IMPORTER and imported.matches(name, facts)


def _free_name(imported: ImportedCatalogs, shape: str, source: str) -> str:
    """Return the name of the shape, or of the file for flowhub's own; UsageInvalid if another source has it."""
    file = filename_from_url(source) if ImportRecord(source, "").is_url else Path(source).name
    name = check_name(shape if shape != "flowhub" else slug(stem(file))[:40].rstrip("-._"))
    existing = imported.record(name)
    if existing is not None and existing.source != source:
        hint = f"--name OTHER keeps both; --name {name} replaces it."
        raise UsageInvalid(f"A catalog {name} was imported from elsewhere: {existing.shown}.", hint=hint)
    return name


def _counts(by_reason: Mapping[str, list[str]]) -> dict[str, int]:
    return {reason: len(examples) for reason, examples in by_reason.items()}


def _now() -> str:
    return rfc3339(datetime.now(UTC))
