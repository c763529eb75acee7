"""Reads the bytes of a catalog: JSON or YAML, in any Unicode encoding. One kind of error for all other bytes."""

import json
from typing import Any, NoReturn

# Numeric fields of flowhub's format: YAML leaves every scalar a text, because only the reader of a field knows its
# type.
_NUMBERS = frozenset({"sizeBytes", "contextLength", "minRamGb", "recommendedRamGb", "diskGb"})
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}
_ENCODINGS = {"utf-8": "UTF-8", "utf-8-sig": "UTF-8"}


class CatalogUnparsable(ValueError):
    """The bytes are not a JSON or YAML catalog; the message says why."""


def read_object(raw: bytes) -> dict[str, Any]:
    """Return the object in `raw`, or raise CatalogUnparsable."""
    document = read_value(raw)
    if not isinstance(document, dict):
        raise CatalogUnparsable("must be a JSON object with `apiVersion` and `models` at the top")
    return document


def read_value(raw: bytes) -> Any:
    """Return the JSON or YAML value in `raw`, or raise CatalogUnparsable."""
    text = read_text(raw)
    start = text.lstrip()[:1]
    if not start:
        raise CatalogUnparsable("is empty")
    if start == "<":
        raise CatalogUnparsable("is a web page (HTML or XML), not a catalog")
    return loads(text) if start in "[{" else _yaml(text)


def read_text(raw: bytes) -> str:
    """Return `raw` as text, without a byte order mark. PowerShell and Notepad write UTF-16, and UTF-8 with a mark."""
    if packed := next((name for start, name in _PACKED.items() if raw.startswith(start)), None):
        raise CatalogUnparsable(f"is packed ({packed}): unpack it first")
    encoding = json.detect_encoding(raw)
    try:
        return raw.decode(encoding).removeprefix("\ufeff")
    except UnicodeDecodeError as fault:
        name = _ENCODINGS.get(encoding, encoding.upper())
        raise CatalogUnparsable(f"is not {name} text (byte {fault.start} does not belong)") from None


def loads(text: str, *, pairs: Any = None) -> Any:
    """Return the JSON value in `text`, or raise CatalogUnparsable.

    `pairs` makes an object of its pairs (json's hook).
    """
    try:
        return json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=pairs)
    except RecursionError:
        raise CatalogUnparsable("nests lists or objects too deeply to be a catalog") from None
    except json.JSONDecodeError as fault:
        raise CatalogUnparsable(f"is not JSON: {fault.msg}, line {fault.lineno}, column {fault.colno}") from None
    except CatalogUnparsable:
        raise
    except ValueError:  # Python reads no integer of more than 4300 digits
        raise CatalogUnparsable("holds a number too long to be read") from None


def _yaml(text: str) -> Any:
    from flowhub_jobs.catalogs.importers.yaml_events import NotYaml, read_yaml

    try:
        return read_yaml(text.encode("utf-8", "surrogatepass"), numbers=_NUMBERS)
    except NotYaml as fault:
        raise CatalogUnparsable(str(fault)) from None


def _refuse_constant(constant: str) -> NoReturn:
    raise CatalogUnparsable(f"holds {constant}, which is not JSON")
