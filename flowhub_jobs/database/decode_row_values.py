"""Converts the values that drivers return for plain SQL to Python's types, as SQLAlchemy would."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands for a stored value that is not JSON; `reason` is the parser's."""

    reason: str


def json_of(stored: Any) -> Any:
    """Return the value of a JSON column; `Unreadable` where it is damaged. psycopg returns the value itself."""
    if not isinstance(stored, (str, bytes)):
        return stored
    try:
        return json.loads(stored)
    except (ValueError, RecursionError) as error:
        return Unreadable(str(error))


def boolean_of(stored: Any) -> Any:
    """Return the value of a boolean column: SQLite has 0 and 1. Any other value is returned as it is."""
    return bool(stored) if type(stored) is int and stored in (0, 1) else stored
