"""Importer of GPT4All's models3.json (and older lists): one file a model, all values are texts, descriptions in HTML.

Most entries have an md5 alone. They are taken over https without a digest: a download is then `unpinned`, and says so.
"""

from typing import Any

from flowhub_jobs.catalogs.importers import field_values
from flowhub_jobs.catalogs.importers.files import foreign_file, label_of, one_file
from flowhub_jobs.catalogs.importers.import_result import (
    Entry,
    EntrySkipped,
    ImportResult,
    Notes,
    SkipReason,
    import_entries,
)

_GIB_PER_GB = 10**9 / 2**30
_LICENSE = "License:"


def looks_like(entry: Entry) -> bool:
    return isinstance(entry.get("filename"), str) and ("md5sum" in entry or "sha256sum" in entry)


def read(entries: list[Any]) -> ImportResult:
    return import_entries("gpt4all", entries, _model)


def _model(entry: Entry, notes: Notes) -> Entry:
    name = field_values.title(entry.get("name"))
    if name is None:
        raise EntrySkipped(SkipReason.NO_NAME)
    if version := field_values.title(entry.get("removedIn")):
        # Replaced by another entry, often of the same name, which newer runtimes can open.
        raise EntrySkipped(SkipReason.WITHDRAWN, f"in version {version}")
    description_items = field_values.html_items(entry.get("description"))
    tags = [item.lstrip("#") for item in description_items if item.startswith("#")]
    ram_gb = field_values.figure(entry.get("ramrequired"))
    return {
        "name": name,
        "family": field_values.title(entry.get("type")),
        "description": field_values.sentences([item for item in description_items if not item.startswith("#")]),
        "tags": field_values.words([*tags, "embedding" if entry.get("embeddingModel") in (True, "true") else None]),
        "license": _license(description_items),
        "parameters": field_values.parameters(entry.get("parameters")),
        "hardware": {"minRamGb": round(ram_gb * _GIB_PER_GB, 2)} if ram_gb else None,  # GPT4All gives GB, flowhub GiB
        "downloads": [_option(entry, notes)],
    }


def _option(entry: Entry, notes: Notes) -> Entry:
    digest = entry.get("sha256sum") or entry.get("md5sum")
    path, url = entry.get("filename"), entry.get("url")
    file = foreign_file(path, url, size=entry.get("filesize"), digest=digest, notes=notes)
    return one_file(file, label_of(file.name, entry.get("quant"), notes))


def _license(description_items: list[str]) -> str | None:
    """Return the licence that is named in the description, its only place."""
    item = next((item for item in description_items if item.startswith(_LICENSE)), "")
    return field_values.title(item.removeprefix(_LICENSE))
