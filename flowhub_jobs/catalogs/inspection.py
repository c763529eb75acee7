"""Inspects a catalog in flowhub's format: lists every fault, every suspicious field and every file without a digest.

Loading a catalog stops at its first fault; an inspection continues. The schema checks the rules that span several
fields only on an entry whose fields are all valid; an inspection checks them on plain values (`validation_rules`).
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError

from flowhub_jobs.catalogs import validation_rules
from flowhub_jobs.catalogs.parsing import CatalogUnparsable, loads, read_object, read_text
from flowhub_jobs.catalogs.schema import DownloadFile, DownloadOption, Hardware, HubCatalog, HubModel, HubVersion
from flowhub_jobs.catalogs.suggest import edit_distance
from flowhub_jobs.catalogs.validation_errors import Finding, faults_of, locate, shown
from flowhub_jobs.values.enums import PLATFORMS, platform_of
from flowhub_jobs.values.sha256_text import parse_sha256

_PAGE = re.compile(r"https://(?:huggingface\.co|hf\.co)/[^/]+/[^/]+/(?:blob|tree)/", re.IGNORECASE)
_SHA1 = re.compile(r"[0-9a-fA-F]{40}")

Steps = tuple[int | str, ...]
Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class CatalogInspection:
    """Result of an inspection. With a fault the catalog is refused; warnings and notes do no harm.

    `models` counts the entries of a catalog without a fault, else it is 0.
    """

    models: int = 0
    faults: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)


def inspect(raw: bytes) -> CatalogInspection:
    """Return all findings on the catalog in `raw`."""
    try:
        document = read_object(raw)
    except CatalogUnparsable as fault:
        return CatalogInspection(faults=[Finding("", None, str(fault))])
    parts = list(_parts(document))
    faults = _faults(document, parts)
    warnings = [*_repeated(raw), *(finding for part in parts for finding in part.warnings(document))]
    notes = [finding for part in parts for finding in part.notes(document)]
    models = document.get("models")
    return CatalogInspection(0 if faults or not isinstance(models, list) else len(models), faults, warnings, notes)


def warnings_of_model(model: Values) -> list[Finding]:
    """Return the warnings on one model of a catalog, with the places inside it."""
    return [finding for part in _parts(model, HubModel) for finding in part.warnings(model)]


def _faults(document: Values, parts: "list[_Part]") -> list[Finding]:
    schema_faults: list[Finding] = []
    try:
        HubCatalog.model_validate(document)
    except ValidationError as error:
        schema_faults = faults_of(error, document)
    broken = [_at(part.steps, name, why, document) for part in parts for name, why in part.broken()]
    places = {locate(part.steps, document)[0]: number for number, part in enumerate(parts)}
    return sorted(dict.fromkeys([*schema_faults, *broken]), key=lambda finding: places.get(finding.entry, 0))


def _at(steps: Steps, name: str | None, why: str, document: Values) -> Finding:
    entry, inner = locate(steps, document)
    return Finding(entry, ".".join(part for part in (inner, name) if part) or None, why)


# The parts of a document ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Part:
    """One object of the document: its path, its kind, and its values that are not null."""

    steps: Steps
    kind: type[BaseModel]
    values: Values

    def text(self, name: str) -> str | None:
        value = self.value(name)
        return value if isinstance(value, str) else None

    def value(self, name: str) -> Any:
        """Return a field's value under its wire name or Python's."""
        return self.values.get(name, self.values.get(_SNAKE.get(name, name)))

    @property
    def pinned(self) -> bool:
        """Whether it has a valid digest."""
        return parse_sha256(self.text("sha256") or "") is not None

    @property
    def verifiable(self) -> bool:
        sha1 = (self.text("gitSha1") or "").strip().lower().removeprefix("sha1:")
        return self.pinned or _SHA1.fullmatch(sha1) is not None

    def broken(self) -> validation_rules.Broken:
        """The rules over several fields that it breaks, however faulty other fields are."""
        if self.kind is HubCatalog:
            yield from validation_rules.no_duplicates(_texts(self.value("models"), "id"), "models")
        elif self.kind is HubModel:
            yield from self._broken_model()
        elif self.kind is DownloadOption:
            yield from self._broken_option()
        elif self.kind is DownloadFile and (url := self.text("url")) is not None:
            yield from validation_rules.address(url, pinned=self.pinned)

    def _broken_model(self) -> validation_rules.Broken:
        options = self.value("downloads")
        if not isinstance(options, list):
            return
        yield from validation_rules.options(_texts(options, "id")) if options else validation_rules.options([])
        model_id = self.text("id")
        for option in options:
            if model_id and isinstance(option, dict) and option.get("files") and isinstance(option.get("id"), str):
                yield from validation_rules.folder_name(model_id, option["id"])

    def _broken_option(self) -> validation_rules.Broken:
        url, files = self.text("url"), self.value("files")
        if "url" not in self.values or url is not None:
            yield from validation_rules.source(url, files is not None)
        if url is not None:
            yield from validation_rules.address(url, pinned=self.pinned)
            yield from validation_rules.derived_filename(self.text("filename"), url)
        if isinstance(files, list):
            yield from validation_rules.folder(_texts(files, "path")) if files else validation_rules.folder([])

    def warnings(self, document: Values) -> Iterator[Finding]:
        """Fields that are ignored, addresses of pages, dates that are none."""
        known = known_fields(self.kind)
        for name in self.values:
            if name not in known:
                yield _at(self.steps, shown(name, 40), self._unknown(name), document)
        if (url := self.text("url")) and _PAGE.match(url):
            yield _at(self.steps, "url", "is the URL of a page; the file is at /resolve/ in its place", document)
        if self.kind is HubVersion and (day := self.text("releasedAt")) and not _is_date(day):
            yield _at(self.steps, "releasedAt", f'is not a date such as 2024-09-19: "{shown(day, 40)}"', document)
        if self.kind is Hardware:
            for platform in _unknown_platforms(self.value("platforms")):
                yield _at(
                    self.steps, "platforms", f'has "{shown(platform, 40)}"; known are linux, macos, windows', document
                )

    def _unknown(self, name: str) -> str:
        suggestion = nearest_field(name, self.kind)
        if suggestion is None:
            return "is not a known field, and ignored"
        why = f'is not a known field, and ignored; did you mean "{suggestion}"?'
        if suggestion in ("sha256", "gitSha1") and not self.verifiable:
            return f"{why} Nothing is verified without it"
        return (
            f"{why} The size is unknown without it"
            if suggestion == "sizeBytes" and self.value(suggestion) is None
            else why
        )

    def notes(self, document: Values) -> Iterator[Finding]:
        """Files that nothing verifies."""
        is_file = self.kind is DownloadFile or (self.kind is DownloadOption and self.text("url") is not None)
        if is_file and not self.verifiable:
            yield _at(self.steps, None, "has no sha256: its bytes are not verified", document)


_SNAKE = {
    str(f.alias): name for kind in (DownloadOption, DownloadFile, HubVersion) for name, f in kind.model_fields.items()
}
_INSIDE: dict[type[BaseModel], dict[str, type[BaseModel]]] = {
    HubCatalog: {"models": HubModel},
    HubModel: {"downloads": DownloadOption, "versions": HubVersion, "hardware": Hardware},
    DownloadOption: {"files": DownloadFile},
}


def _parts(document: Values, root_type: type[BaseModel] = HubCatalog) -> Iterator[_Part]:
    """Return every object of a known kind, an outer one before its inner ones. `root_type` is the document's kind."""
    stack: list[tuple[Steps, type[BaseModel], Any]] = [((), root_type, document)]
    while stack:
        steps, kind, value = stack.pop()
        if not isinstance(value, dict):
            continue
        values = {str(name): one for name, one in value.items() if one is not None}
        yield _Part(steps, kind, values)
        inner = [
            ((*steps, name, *step), inner_kind, one)
            for name, inner_kind in _INSIDE.get(kind, {}).items()
            for step, one in _items(values.get(name))
        ]
        stack += reversed(inner)


def _items(value: Any) -> list[tuple[Steps, Any]]:
    if isinstance(value, list):
        return [((index,), one) for index, one in enumerate(value)]
    return [((), value)]


def _texts(entries: Any, name: str) -> list[str]:
    """Return the texts that a list of objects has under a name."""
    values = [entry.get(name) for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [text for text in values if isinstance(text, str)]


def _unknown_platforms(platforms: Any) -> list[str]:
    texts = [word for word in platforms if isinstance(word, str)] if isinstance(platforms, list) else []
    return [word for word in texts if platform_of(word) not in PLATFORMS]


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text[:10])
    except ValueError:
        return False
    return True


def _repeated(raw: bytes) -> list[Finding]:
    """Return the fields that an object has twice: JSON readers silently take the last one."""
    twice: Counter[str] = Counter()

    def pairs(members: list[tuple[str, Any]]) -> Values:
        if len(values := dict(members)) != len(members):
            twice.update(name for name, count in Counter(name for name, _ in members).items() if count > 1)
        return values

    try:
        loads(read_text(raw), pairs=pairs)
    except CatalogUnparsable:  # YAML
        return []
    return [
        Finding(
            "",
            shown(name, 40),
            "occurs twice in one object; the last one counts"
            if count == 1
            else f"occurs twice in each of {count:,} objects; the last one counts",
        )
        for name, count in twice.items()
    ]


# Names that other catalogs and people use for flowhub's fields; a name counts only where the entry has the field.
_OTHER_WORDS = {
    "sha256": "sha sha256sum sha256checksum hash checksum digest sum oid",
    "gitSha1": "sha1 gitsha blobid gitoid",
    "sizeBytes": "size bytes filesize length contentlength",
    "url": "uri link href address downloadurl source",
    "filename": "file name savename",
    "path": "filename file name rfilename",
    "downloads": "options variants files artifacts",
    "files": "parts downloads",
    "name": "title displayname",
    "id": "key slug modelid",
    "publisher": "author organization org vendor maker creator owner",
    "description": "summary about text",
    "license": "licence",
    "parameters": "params numparameters parametercount size",
    "contextLength": "context ctx contextsize contextwindow maxcontext",
    "homepage": "website page link",
    "quantization": "quant quantisation",
    "format": "type kind",
    "tags": "labels keywords categories",
    "version": "name number tag",
    "releasedAt": "date released releasedate published",
    "notes": "note changelog description changes",
    "minRamGb": "ram minram ramgb ramrequired",
    "recommendedRamGb": "recommendedram",
    "diskGb": "disk",
    "platforms": "os platform",
    "apiVersion": "version schemaversion",
    "models": "entries items catalog",
}
_LONG = 8  # letters from which two typos are forgiven
_LEAST = 4


@cache
def known_fields(part: type[BaseModel]) -> frozenset[str]:
    """Return the names that a part of a catalog reads: camelCase, and Python's own."""
    fields = part.model_fields
    return frozenset(fields) | {str(field.alias or name) for name, field in fields.items()}


def nearest_field(typed: str, part: type[BaseModel]) -> str | None:
    """Return the field of `part` that an unknown name resembles; None where none is near."""
    fields = [str(field.alias or name) for name, field in part.model_fields.items()]
    folded = _plain(typed[:60])
    return (
        next((field for field in fields if _plain(field) == folded), None)
        or next((field for field in fields if folded in _OTHER_WORDS.get(field, "").split()), None)
        or _misspelt(folded, fields)
    )


def _misspelt(folded: str, fields: Collection[str]) -> str | None:
    allowed = 2 if len(folded) >= _LONG else 1 if len(folded) >= _LEAST else 0
    near = [
        (distance, field) for field in fields if (distance := edit_distance(folded, _plain(field), allowed)) <= allowed
    ]
    return min(near)[1] if near else None


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())
