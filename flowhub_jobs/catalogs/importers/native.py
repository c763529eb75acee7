"""Imports a catalog in flowhub's own format entry by entry: one faulty entry does not keep the others out.

Two entries with one id refuse the whole catalog: a reference must mean one model.
"""

from typing import Any

from flowhub_jobs.catalogs.importers import field_values
from flowhub_jobs.catalogs.importers.import_result import (
    Entry,
    ImportResult,
    Notes,
    Remark,
    check_model,
    import_entries,
)
from flowhub_jobs.catalogs.inspection import warnings_of_model
from flowhub_jobs.catalogs.parsing import CatalogUnparsable
from flowhub_jobs.catalogs.validation_errors import shown


def read(entries: list[Any]) -> ImportResult:
    _reject_duplicates(entries)
    return import_entries("flowhub", entries, _model)


def _reject_duplicates(entries: list[Any]) -> None:
    """Raise CatalogUnparsable if two entries have one id: a reference must mean one model."""
    seen: set[str] = set()
    for entry in entries:
        model_id = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(model_id, str) and model_id in seen:
            raise CatalogUnparsable(f"field \"models\": has '{shown(model_id)}' twice")
        seen |= {model_id} if isinstance(model_id, str) else set()


def _model(entry: Entry, notes: Notes) -> Entry:
    checked = check_model(entry)
    # Only fields that the schema knows are kept.
    model = checked.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    model["id"] = field_values.slug(checked.id)
    notes.remarks += [(Remark.WARNING, f"{model['id']}: {warning.text}") for warning in warnings_of_model(entry)]
    for option in model["downloads"]:
        notes.remarks += [(Remark.NO_DIGEST, f"{model['id']}@{option['id']}") for file in _unpinned(option)[:1]]
    return model


def _unpinned(option: Entry) -> list[Entry]:
    return [file for file in option.get("files") or [option] if not (file.get("sha256") or file.get("gitSha1"))]
