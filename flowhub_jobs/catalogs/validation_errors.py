"""Validation errors of a catalog: the entry (model, option, file), the field, and the reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

_WORDS = {
    "missing": "is missing",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "tuple_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "greater_than": "must be more than {gt:g}; leave it out if it is unknown",
    "greater_than_equal": "must not be negative",
    "less_than_equal": "is too large",
    "enum": "must be one of {expected}",
    "too_long": "has more than {max_length:,} entries, the most that are read",
}
_ENTRIES = {"models": "model", "downloads": "option", "files": "file", "versions": "version"}
_NAMES = {"models": "id", "downloads": "id", "files": "path", "versions": "version"}
# Whose value is worth a word: one look tells what to write instead.
_OF_ANOTHER_TYPE = frozenset({"string_type", "int_type", "float_type", "tuple_type", "model_type", "enum"})


@dataclass(frozen=True, slots=True)
class Finding:
    """One remark about a catalog. `entry` is e.g. `model "foo", option "q4"`, empty for the catalog as a whole."""

    entry: str
    field: str | None
    why: str

    @property
    def text(self) -> str:
        field = f'field "{self.field}"' if self.field else ""
        place = ", ".join(part for part in (self.entry, field) if part)
        return f"{place}: {self.why}" if place else self.why

    def as_dict(self) -> dict[str, str | None]:
        return {"entry": self.entry or None, "field": self.field, "reason": self.why}


def rule_error(why: str, *, field: str | None) -> PydanticCustomError:
    """Return the fault of a rule over several fields; `field` is the one to look at, None the entry as a whole."""
    # The text goes in as a value: braces in it are not a template's.
    return PydanticCustomError("catalog", "{why}", {"why": why, "field": field})


def first_fault_text(error: ValidationError, document: Any) -> str:
    """Return e.g. `model "foo", option "q4", field "sha256": is not 64 hex digits`, for the first fault of all."""
    faults = faults_of(error, document)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return f"{faults[0].text}{more}"


def faults_of(error: ValidationError, document: Any) -> list[Finding]:
    """Return all faults in the order of the document's fields."""
    return [_finding(fault, document) for fault in error.errors(include_url=False)]


def _finding(fault: ErrorDetails, document: Any) -> Finding:
    entry, field = locate(fault["loc"], document)
    return Finding(entry, fault.get("ctx", {}).get("field") or field or None, _why(fault))


def locate(steps: Sequence[int | str], document: Any) -> tuple[str, str]:
    """Return the entries on the way to a place in the document, from the outside in, and the field."""
    places: list[str] = []
    field = ""
    at = document
    for step in steps:
        at = _member(at, step)
        if isinstance(step, int) and field in _ENTRIES:
            places.append(f"{_ENTRIES[field]} {_entry_name(at, field, step)}")
            field = ""
        elif isinstance(step, int):
            field = f"{field}[{step}]"
        else:
            field = f"{field}.{step}" if field else step
    return ", ".join(places), field


def _member(at: Any, step: int | str) -> Any:
    try:
        return at[step]
    except (KeyError, IndexError, TypeError):
        return None


def _entry_name(entry: Any, field: str, index: int) -> str:
    """Return the entry's own name in quotes, or its number from 1 where it has none."""
    name = entry.get(_NAMES[field]) if isinstance(entry, dict) else None
    return f'"{shown(name)}"' if isinstance(name, str) and name else f"number {index + 1}"


def shown(text: str, most: int = 80) -> str:
    """Return `text` made safe for a message: on one line, without terminal escapes, and of limited length."""
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:most])
    return plain + ("…" if len(text) > most else "")


def _why(fault: ErrorDetails) -> str:
    context = fault.get("ctx", {})
    if fault["type"] == "value_error":
        return str(context["error"])
    template = _WORDS.get(fault["type"])
    why = template.format(**context) if template else fault["msg"]
    return why + _actual_value(fault["input"]) if fault["type"] in _OF_ANOTHER_TYPE else why


def _actual_value(value: Any) -> str:
    """Return the actual value of a field, as the end of a sentence."""
    if isinstance(value, str):
        return f', not the string "{shown(value, 40)}"'
    if isinstance(value, bool):
        return f", not {str(value).lower()}"
    if isinstance(value, int | float):
        return f", not the number {value!r}"
    if isinstance(value, dict | list):
        return ", not an object" if isinstance(value, dict) else ", not a list"
    return ""
