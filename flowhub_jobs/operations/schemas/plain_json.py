"""Values as plain JSON: an object of the named attributes, with times, paths and enumerations as text."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from flowhub_jobs.times import rfc3339

Nested = Mapping[str, Iterable[str]]


def fields_json(value: Any, names: Iterable[str], nested: Nested | None = None) -> dict[str, Any]:
    """Return the named attributes of a value.

    `nested` names the attributes to take of an attribute that is an object, or a tuple of objects.
    """
    return {name: _plain(getattr(value, name), (nested or {}).get(name)) for name in names}


def time_json(moment: datetime | None) -> str | None:
    return rfc3339(moment) if moment else None


def _plain(value: Any, names: Iterable[str] | None) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, StrEnum | Path):
        return str(value)
    if names is not None and value is not None:
        return [fields_json(one, names) for one in value] if isinstance(value, tuple) else fields_json(value, names)
    return value
