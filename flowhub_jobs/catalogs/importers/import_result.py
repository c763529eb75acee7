"""Result of an import: the converted models, and the skipped entries, counted by reason."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pydantic import ValidationError

from flowhub_jobs.catalogs.importers.field_values import Ids, slug, title
from flowhub_jobs.catalogs.schema import HubModel
from flowhub_jobs.catalogs.validation_errors import first_fault_text, shown

Entry = dict[str, Any]


class SkipReason(StrEnum):
    """Why an entry, or one file of it, is not taken."""

    NOT_AN_OBJECT = "not an object"
    NO_NAME = "no name"
    NO_FILES = "configuration only, no files"
    NO_ADDRESS = "no address"
    SCHEME = "unknown scheme"
    HTTP = "no sha256 and plain http"
    ADDRESS = "address refused"
    LEAVES = "name would leave the store"
    BAD_NAME = "file name not allowed"
    NO_MODEL = "not a GGUF or safetensors file"
    PARTS = "parts of a split file missing"
    WITHDRAWN = "withdrawn by its own catalog"
    RULES = "against the catalog's rules"


class Remark(StrEnum):
    """Remark about a file that was taken."""

    MD5 = "unpinned: md5 only"
    NO_DIGEST = "unpinned: no sha256"
    QUANT = "quantization taken from the file's name"
    WARNING = "suspicious value"


class EntrySkipped(Exception):
    """An entry that cannot be imported; `detail` adds to the reason."""

    def __init__(self, reason: SkipReason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason, self.detail = reason, detail


@dataclass(slots=True)
class Notes:
    """Remarks on an entry while it is converted; they count only if the entry is taken."""

    left_out: list[tuple[SkipReason, str]] = field(default_factory=list)  # files
    remarks: list[tuple[Remark, str]] = field(default_factory=list)


@dataclass(slots=True)
class ImportResult:
    """An imported catalog: its models, and the remarks, by reason."""

    format: str
    models: list[Entry] = field(default_factory=list)
    refused: dict[str, list[str]] = field(default_factory=dict)  # entries
    left_out: dict[str, list[str]] = field(default_factory=dict)  # files of entries that are taken
    remarks: dict[str, list[str]] = field(default_factory=dict)  # files that are taken

    @property
    def entries(self) -> int:
        return len(self.models) + sum(map(len, self.refused.values()))


Convert = Callable[[Entry, Notes], Entry]


def import_entries(shape: str, entries: Iterable[Any], convert: Convert) -> ImportResult:
    """Return what `convert` makes of each entry: a model without an id, or EntrySkipped. Ids are those of the names."""
    result = ImportResult(shape)
    ids = Ids()
    for number, entry in enumerate(entries, start=1):
        notes = Notes()
        try:
            model = _converted(entry, convert, notes, ids)
        except EntrySkipped as refusal:
            _add(result.refused, refusal.reason, _describe_entry(entry, number, refusal.detail))
            continue
        ids.take(model["id"])
        result.models.append(model)
        for reason, detail in notes.left_out:
            _add(result.left_out, reason, detail)
        for remark, detail in notes.remarks:
            _add(result.remarks, remark, detail)
    return result


def _converted(entry: Any, convert: Convert, notes: Notes, ids: Ids) -> Entry:
    if not isinstance(entry, dict):
        raise EntrySkipped(SkipReason.NOT_AN_OBJECT)
    values = {key: value for key, value in convert(entry, notes).items() if value is not None}
    own_id = values.pop("id", None) or slug(values["name"])
    model = {"id": ids.free(own_id)} | values
    check_model(model)
    return model


def check_model(model: Entry) -> HubModel:
    """Return a model as flowhub's schema reads it, or raise EntrySkipped: the last check after each importer."""
    try:
        return HubModel.model_validate(model)
    except ValidationError as fault:
        raise EntrySkipped(SkipReason.RULES, first_fault_text(fault, model)) from fault


def _describe_entry(entry: Any, number: int, detail: str) -> str:
    name = title(entry.get("name")) if isinstance(entry, dict) else None
    name_or_number = shown(name) if name else f"entry {number}"
    return f"{name_or_number} ({detail})" if detail else name_or_number


def _add(counted: dict[str, list[str]], reason: StrEnum, detail: str) -> None:
    counted.setdefault(str(reason), []).append(detail)
