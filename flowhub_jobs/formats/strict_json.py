"""JSON from a stranger, read so that it means one thing only."""

import json
from typing import Any

from flowhub_jobs.formats.metadata import HeaderUnreadable


def read_object(raw: bytes) -> dict[str, Any]:
    """Return the object that the bytes hold; HeaderUnreadable for anything else, and for a key that stands twice."""
    try:
        # Editors of Windows write a byte order mark, and UTF-16.
        text = raw.decode(json.detect_encoding(raw)).removeprefix("\ufeff")
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:  # no Unicode, not JSON, a number of 5,000 digits, nested too deep
        raise HeaderUnreadable("its description is not JSON") from error
    if not isinstance(found, dict):
        raise HeaderUnreadable("its description is not a JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # two readers would take two different values
        raise HeaderUnreadable("its description has a key twice")
    return found
