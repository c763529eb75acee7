"""Parses JSON of unknown origin; ambiguous JSON is refused."""

import json
from typing import Any

from flowhub_jobs.formats.metadata import HeaderUnreadable


def read_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in the bytes. Raises HeaderUnreadable for anything else, and for a repeated key."""
    try:
        # Editors of Windows write a byte order mark, and UTF-16.
        text = raw.decode(json.detect_encoding(raw)).removeprefix("\ufeff")
        value = json.loads(text, object_pairs_hook=_unique_keys)
    except (ValueError, RecursionError) as error:  # no Unicode, not JSON, a number of 5,000 digits, nested too deep
        raise HeaderUnreadable("its description is not JSON") from error
    if not isinstance(value, dict):
        raise HeaderUnreadable("its description is not a JSON object")
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):  # two parsers would take two different values
        raise HeaderUnreadable("its description has a key twice")
    return value
