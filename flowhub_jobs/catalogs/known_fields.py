"""The fields that each part of a catalog has, and the one that was meant by an unknown name."""

from collections.abc import Collection
from functools import cache

from pydantic import BaseModel

from flowhub_jobs.catalogs.typos import typos

# What other catalogs, and people, call our fields; a name counts only where the entry has the field.
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
    """Return the field of `part` that was meant by an unknown name; None where none is near."""
    fields = [str(field.alias or name) for name, field in part.model_fields.items()]
    plain = _plain(typed[:60])
    return (
        next((field for field in fields if _plain(field) == plain), None)
        or next((field for field in fields if plain in _OTHER_WORDS.get(field, "").split()), None)
        or _misspelt(plain, fields)
    )


def _misspelt(plain: str, fields: Collection[str]) -> str | None:
    allowed = 2 if len(plain) >= _LONG else 1 if len(plain) >= _LEAST else 0
    near = [(away, field) for field in fields if (away := typos(plain, _plain(field), allowed)) <= allowed]
    return min(near)[1] if near else None


def _plain(name: str) -> str:
    return "".join(char for char in name.lower() if char.isalnum())
