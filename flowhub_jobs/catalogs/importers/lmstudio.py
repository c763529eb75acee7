"""Importer of LM Studio's model-catalog: a list of models, each with its files under `files.all`.

Shape: the `schema.json` of that repository (descriptor version 0.0.1). It knows no licence and no context length.
"""

import re
from typing import Any

from flowhub_jobs.catalogs.importers import field_values
from flowhub_jobs.catalogs.importers.files import different_ids, foreign_file, label_of, one_file
from flowhub_jobs.catalogs.importers.import_result import (
    Entry,
    EntrySkipped,
    ImportResult,
    Notes,
    SkipReason,
    import_entries,
)

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?=T|$)")


def looks_like(entry: Entry) -> bool:
    return isinstance(entry.get("files"), dict) and isinstance(entry["files"].get("all"), list)


def read(entries: list[Any]) -> ImportResult:
    return import_entries("lmstudio", entries, _model)


def _model(entry: Entry, notes: Notes) -> Entry:
    name = field_values.title(entry.get("name"))
    if name is None:
        raise EntrySkipped(SkipReason.NO_NAME)
    author, resources = _object(entry, "author"), _object(entry, "resources")
    trained_for = field_values.title(entry.get("trainedFor"))
    released = _DATE.match(str(entry.get("datePublished", "")))
    page = resources.get("canonicalUrl")
    return {
        "name": name,
        "publisher": field_values.title(author.get("name")),
        "family": field_values.title(entry.get("arch")),
        "description": field_values.prose(entry.get("description")),
        "tags": [trained_for] if trained_for and trained_for != "other" else [],
        "parameters": field_values.parameters(entry.get("numParameters")),
        "homepage": field_values.title(page) if str(page).startswith("https://") else None,
        "versions": [{"releasedAt": released[0]}] if released else [],
        "downloads": different_ids(_options(entry, notes)),
    }


def _options(entry: Entry, notes: Notes) -> list[Entry]:
    """Return the files that can be taken, the economical one first; EntrySkipped with the first fault if none can."""
    files = field_values.objects(_object(entry, "files").get("all"))
    economical = _object(_object(_object(entry, "files"), "highlighted"), "economical").get("name")
    options, faults = [], []
    for file in sorted(files, key=lambda file: file.get("name") != economical):
        try:
            options.append(_option(file, notes))
        except EntrySkipped as fault:
            faults.append(fault)
    if not options:
        raise faults[0] if faults else EntrySkipped(SkipReason.NO_FILES)
    notes.left_out += [(fault.reason, fault.detail) for fault in faults]
    return options


def _option(file: Entry, notes: Notes) -> Entry:
    model_file = foreign_file(
        file.get("name"), file.get("url"), size=file.get("sizeBytes"), digest=file.get("sha256checksum"), notes=notes
    )
    return one_file(model_file, label_of(model_file.name, file.get("quantization"), notes))


def _object(entry: Entry, name: str) -> Entry:
    value = entry.get(name)
    return value if isinstance(value, dict) else {}
