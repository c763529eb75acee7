"""Importer of LocalAI's gallery index, a YAML list: `files` lists the downloads, `overrides` names the model.

An entry becomes one model. Its options: the model's file alone, or as a folder where it is split or has other parts;
with a vision projector (mmproj), the model alone and, as `<quant>-mmproj`, a folder of both. `overrides.context_size`
describes how LocalAI runs a model, not the model's limit, so it is not taken for the context length.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from flowhub_jobs.catalogs.importers import field_values
from flowhub_jobs.catalogs.importers.files import ForeignFile, confined, folder, foreign_file, label_of, one_file
from flowhub_jobs.catalogs.importers.import_result import (
    Entry,
    EntrySkipped,
    ImportResult,
    Notes,
    SkipReason,
    import_entries,
)
from flowhub_jobs.catalogs.validation_errors import shown


@dataclass(frozen=True, slots=True)
class _Kinds:
    """The files of an entry by what they are for. `model` has several if it is split."""

    model: list[ForeignFile]
    projectors: list[ForeignFile]
    others: list[ForeignFile]


def looks_like(entry: Entry) -> bool:
    if not isinstance(entry.get("name"), str):
        return False
    return isinstance(entry.get("files"), list) or "overrides" in entry or str(entry.get("url")).startswith("github:")


def read(entries: list[Any]) -> ImportResult:
    return import_entries("localai", entries, _model)


def _model(entry: Entry, notes: Notes) -> Entry:
    name = field_values.title(entry.get("name"))
    if name is None:
        raise EntrySkipped(SkipReason.NO_NAME)
    pages = [page for page in field_values.words(entry.get("urls")) if page.startswith("https://")]
    options = _options(entry, notes)
    return {
        "name": name,
        "publisher": _publisher(pages),
        "description": field_values.prose(entry.get("description")),
        "tags": field_values.words(entry.get("tags")),
        "license": field_values.title(entry.get("license")),
        "parameters": field_values.parameters(name),
        "homepage": pages[0] if pages else None,
        "downloads": options,
    }


def _publisher(pages: list[str]) -> str | None:
    """Return the owner of the first model card at the Hub, which is the model's own."""
    try:
        parts = urlsplit(pages[0]) if pages else None
    except ValueError:
        return None
    at_hub = parts is not None and parts.netloc in ("huggingface.co", "hf.co") and parts.path.count("/") >= 2
    return field_values.title(parts.path.split("/")[1]) if parts is not None and at_hub else None


def _options(entry: Entry, notes: Notes) -> list[Entry]:
    listed = field_values.objects(entry.get("files"))
    if not listed:
        raise EntrySkipped(SkipReason.NO_FILES)
    files, missing, lost = _files(listed, notes)
    if missing or not files:  # the rest of the entry would not run
        raise (missing + lost)[0]
    kinds = _sorted(files, _main_name(entry))
    label = label_of(kinds.model[0].name, None, notes)
    notes.left_out += [(fault.reason, fault.detail) for fault in lost]
    if kinds.others:
        return [_folder_of_all(kinds, label)]
    main = kinds.model[0]
    alone = one_file(main, label) if len(kinds.model) == 1 else folder(main, kinds.model, label)
    if lost or not kinds.projectors:
        return [alone]
    return [alone, folder(main, [*kinds.model, *kinds.projectors], label, id_suffix="-mmproj")]


def _folder_of_all(kinds: _Kinds, label: str | None) -> Entry:
    """Return the one option of an entry whose files belong together."""
    return folder(kinds.model[0], [*kinds.model, *kinds.projectors, *kinds.others], label)


def _files(listed: list[Entry], notes: Notes) -> tuple[list[ForeignFile], list[EntrySkipped], list[EntrySkipped]]:
    """Return the files that can be taken, and the errors of the others: of required files, and of projectors."""
    files: dict[str, ForeignFile] = {}
    missing: list[EntrySkipped] = []
    lost: list[EntrySkipped] = []
    for one in listed:
        path, uri = one.get("filename"), one.get("uri")
        try:
            file = foreign_file(path, uri, size=one.get("size"), digest=one.get("sha256"), notes=notes)
            files.setdefault(file.path, file)  # some are listed twice
        except EntrySkipped as fault:
            (lost if _is_projector(path) else missing).append(fault)
    return list(files.values()), missing, lost


def _is_projector(path: object) -> bool:
    """Return whether a file is a vision projector; without it, the model still reads and writes text."""
    return isinstance(path, str) and "mmproj" in path.rpartition("/")[2].lower()


def _main_name(entry: Entry) -> str | None:
    """Return the name of the file that `overrides.parameters.model` says is the model."""
    overrides = entry.get("overrides")
    parameters = overrides.get("parameters") if isinstance(overrides, dict) else None
    name = parameters.get("model") if isinstance(parameters, dict) else None
    try:
        return confined(name) if isinstance(name, str) and name else None
    except EntrySkipped:
        return None


def _sorted(files: list[ForeignFile], main_name: str | None) -> _Kinds:
    """Separate the model from the files that come with it; EntrySkipped if parts are missing, or none is a model."""
    projectors = [file for file in files if _is_projector(file.name) and file.name != main_name]
    others = [file for file in files if file not in projectors]
    models = [file for file in others if file.format is not None]
    if not models:
        raise EntrySkipped(SkipReason.NO_MODEL, shown((others or projectors)[0].name))
    main = next((file for file in others if file.name == main_name), models[0])
    if main.format is None:
        raise EntrySkipped(SkipReason.NO_MODEL, shown(main.name))
    parts = _parts(main, others)
    return _Kinds(parts, projectors, [file for file in others if file not in parts])


def _parts(main: ForeignFile, files: list[ForeignFile]) -> list[ForeignFile]:
    """Return all parts of a split file in order, or the file alone; EntrySkipped where some are missing."""
    if (part := field_values.part_of(main.name)) is None:
        return [main]
    base, _, count = part
    by_number = {}
    for file in files:
        if (part := field_values.part_of(file.name)) and part[::2] == (base, count):
            by_number[part[1]] = file
    if sorted(by_number) != list(range(1, count + 1)):
        raise EntrySkipped(SkipReason.PARTS, f"{shown(base)}: {len(by_number)} of {count} are listed")
    return [by_number[number] for number in sorted(by_number)]
