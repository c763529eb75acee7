"""Detects the format of a catalog by its content, and imports it."""

from collections.abc import Callable
from typing import Any

from flowhub_jobs.catalogs.import_record import TITLES
from flowhub_jobs.catalogs.importers import gpt4all, lmstudio, localai, native
from flowhub_jobs.catalogs.importers.import_result import ImportResult
from flowhub_jobs.catalogs.parsing import CatalogUnparsable, read_value
from flowhub_jobs.errors import FlowhubError

BYTES_MAX = 50_000_000
_LOOKED_AT = 200  # entries; the first few may be odd
_READERS: dict[str, Callable[[list[Any]], ImportResult]] = {
    "lmstudio": lmstudio.read,
    "gpt4all": gpt4all.read,
    "localai": localai.read,
    "flowhub": native.read,
}
_SHAPES = {"lmstudio": lmstudio.looks_like, "gpt4all": gpt4all.looks_like, "localai": localai.looks_like}


def read_catalog(raw: bytes, *, where: str, error: type[FlowhubError], shape: str | None = None) -> ImportResult:
    """Return the models that can be imported from a catalog of the named shape, or of the detected one.

    Raises one `error` that names `where` if it is none at all.
    """
    try:
        document = read_value(raw)
        shape_name = shape or _shape_of(document)
        return _READERS[shape_name](_entries(document, shape_name))
    except CatalogUnparsable as fault:
        raise error(f"{where}: {fault}.") from fault


def _shape_of(document: Any) -> str:
    if isinstance(document, dict) and "apiVersion" in document and "models" in document:
        return "flowhub"
    if isinstance(document, list):
        looked = [entry for entry in document[:_LOOKED_AT] if isinstance(entry, dict)]
        votes = {name: sum(map(looks_like, looked)) for name, looks_like in _SHAPES.items()}
        best = max(votes, key=lambda name: votes[name])
        if votes[best]:
            return best
    raise CatalogUnparsable("has no format that flowhub knows: LM Studio's, GPT4All's, LocalAI's, or its own")


def _entries(document: Any, shape: str) -> list[Any]:
    if shape == "flowhub":
        version = document.get("apiVersion") if isinstance(document, dict) else None
        if not isinstance(version, str) or version.partition(".")[0] != "v1":
            raise CatalogUnparsable(f"has the apiVersion {str(version)[:40]!r}; this flowhub reads version v1")
        document = document.get("models")
    if not isinstance(document, list):
        raise CatalogUnparsable(f"is not a catalog of {TITLES[shape]}: it holds no list of models")
    return document
