"""From bytes to a JSON object, with one kind of error for whatever else the bytes are."""

import json
from typing import Any, NoReturn


class NotJson(ValueError):
    """What the bytes are instead, in plain words."""


def read_json(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in `raw`, or raise NotJson."""
    if raw.lstrip()[:1] == b"<":
        raise NotJson("is a web page (HTML or XML), not a catalog in JSON")
    if not raw.strip():
        raise NotJson("is empty")
    if raw.startswith(b"\xef\xbb\xbf"):
        raise NotJson("begins with a byte order mark: save it as UTF-8 without one")
    document = loads(raw)
    if not isinstance(document, dict):
        raise NotJson("must be a JSON object with `apiVersion` and `models` at the top")
    return document


def loads(raw: bytes) -> Any:
    """Return whatever JSON value `raw` holds, or raise NotJson."""
    try:
        return json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as fault:
        raise NotJson(f"is not UTF-8 text (byte {fault.start} does not belong)") from None
    except RecursionError:
        raise NotJson("nests lists or objects too deeply to be a catalog") from None
    except json.JSONDecodeError as fault:
        raise NotJson(f"is not JSON: {fault.msg}, line {fault.lineno}, column {fault.colno}") from None
    except NotJson:
        raise
    except ValueError:  # Python reads no integer of more than 4300 digits
        raise NotJson("holds a number too long to be read") from None


def _refuse_constant(word: str) -> NoReturn:
    raise NotJson(f"holds {word}, which is not JSON")
