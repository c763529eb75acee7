"""What is wrong with a catalog, in plain words: where (model, option, file, field) and why."""

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

_WORDS = {
    "missing": "is missing",
    "string_type": "must be a text",
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
}
_ENTRIES = {"models": "model", "downloads": "option", "files": "file", "versions": "version"}
_NAMES = {"models": "id", "downloads": "id", "files": "path", "versions": "version"}


def complaint(why: str, *, field: str | None) -> PydanticCustomError:
    """Return the fault of a rule over several fields; `field` is the one to look at, None the entry as a whole."""
    # The text goes in as a value: braces in it are not a template's.
    return PydanticCustomError("catalog", "{why}", {"why": why, "field": field})


def describe(error: ValidationError, document: Any) -> str:
    """Return e.g. `model "foo", option "q4", field "sha256": is not 64 hex digits`, for the first fault of all."""
    faults = error.errors(include_url=False, include_input=False)
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    place = ", ".join(_places(faults[0], document))
    return f"{place}: {_why(faults[0])}{more}" if place else f"{_why(faults[0])}{more}"


def _places(fault: ErrorDetails, document: Any) -> list[str]:
    """Return the entries on the way to the fault, from the outside in, and the field."""
    places: list[str] = []
    field = ""
    at = document
    for step in fault["loc"]:
        at = _inside(at, step)
        if isinstance(step, int) and field in _ENTRIES:
            places.append(f"{_ENTRIES[field]} {_entry_name(at, field, step)}")
            field = ""
        elif isinstance(step, int):
            field = f"{field}[{step}]"
        else:
            field = f"{field}.{step}" if field else step
    field = fault.get("ctx", {}).get("field") or field
    return [*places, f'field "{field}"'] if field else places


def _inside(at: Any, step: int | str) -> Any:
    try:
        return at[step]
    except (KeyError, IndexError, TypeError):
        return None


def _entry_name(entry: Any, field: str, index: int) -> str:
    """Return the entry's own name in quotes, or its number from 1 where it has none."""
    name = entry.get(_NAMES[field]) if isinstance(entry, dict) else None
    return f'"{shown(name)}"' if isinstance(name, str) and name else f"number {index + 1}"


def shown(text: str) -> str:
    """Return `text` as it may stand in a message: on one line, no escapes that a terminal obeys, not endless."""
    plain = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text[:80])
    return plain + ("…" if len(text) > 80 else "")


def _why(fault: ErrorDetails) -> str:
    context = fault.get("ctx", {})
    if fault["type"] == "value_error":
        return str(context["error"])
    words = _WORDS.get(fault["type"])
    return words.format(**context) if words else fault["msg"]
