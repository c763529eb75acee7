"""Index of the catalogs in force for searches: one local SQLite file with FTS5.

It is never changed, only replaced: a new one is built next to it and renamed, so that a reader has the old or the new;
if two processes build it, the later one stays. `signature` records the files that it was built from.
"""

import errno
import json
import os
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowhub_jobs.catalogs.search_query import key
from flowhub_jobs.catalogs.search_reader import SCHEMA, WEIGHTS

if TYPE_CHECKING:  # a process that only reads an index imports neither pydantic nor sqlite-utils
    from flowhub_jobs.catalogs.schema import DownloadOption, HubModel

SCRATCH = ".search-"
SCRATCH_OLD_S = 3600

# `number` counts from 1 in the catalog's order; `tags` is JSON; columns that end in _key are folded (`query.key`) for
# comparison.
_MODELS = {
    "number": int,
    "id": str,
    "name": str,
    "publisher": str,
    "family": str,
    "description": str,
    "tags": str,
    "license": str,
    "parameters": str,
    "context_length": int,
    "released_at": str,
    "catalog": str,
    "parameter_count": int,
    "id_key": str,
    "name_key": str,
    "license_key": str,
    "publisher_key": str,
    "tag_keys": str,
}
_AS_WRITTEN = ("id", "name", "publisher", "family", "description", "license", "parameters", "context_length")
# `model` is the model's number, `needs` are its needs of a machine (device.need), as JSON.
_OPTIONS = {
    "model": int,
    "option": str,
    "format": str,
    "quantization": str,
    "bytes": int,
    "files": int,
    "filename": str,
    "words": str,
    "needs": str,
}
# The catalog's entry of a model: `facts` without its variants, `artifacts` a list of their artifacts, as JSON.
# A separate table, so that a search does not read these rows.
_CARDS = {"number": int, "facts": str, "artifacts": str}
_Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class IndexContent:
    """Content of a new index.

    `signature` identifies the source files; `catalog_of` names the catalog that a model is from; `parameters` parses a
    catalog's "7B"; `needs` gives an option's needs of a machine, as JSON values. `warning` is shown to the user as long
    as this index is in use.
    """

    signature: str
    models: Iterable["HubModel"]
    catalog_of: Callable[[str], str | None]
    parameters: Callable[[str | None], int | None]
    needs: Callable[["HubModel", "DownloadOption"], dict[str, Any]]
    warning: str | None = None


def build(path: Path, content: IndexContent) -> None:
    """Write the index and give it its name. Raises OSError or sqlite3.Error where that cannot be done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _check_place(path)
    _sweep(path.parent)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=SCRATCH)
    os.close(handle)
    try:
        with closing(sqlite3.connect(name, isolation_level=None)) as scratch:
            _fill(scratch, content)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _check_place(path: Path) -> None:
    """Raise OSError if the path is not a regular file: anything else is not replaced."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EEXIST, f"{path.name} is not a regular file", str(path))


def build_in_memory(content: IndexContent) -> sqlite3.Connection:
    """Return an index that lives as long as its connection: for a home that cannot be written to."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _fill(connection, content)
    return connection


def _sweep(folder: Path) -> None:
    """Remove the remains of killed builds."""
    for leftover in folder.glob(f"{SCRATCH}*"):
        with suppress(OSError):
            if time.time() - leftover.stat().st_mtime > SCRATCH_OLD_S:
                leftover.unlink()


def _fill(connection: sqlite3.Connection, content: IndexContent) -> None:
    from sqlite_utils import Database

    # No journal and no fsync: it is read only after its rename, and a damaged one is built again.
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    index = Database(connection)
    index.table("models").create(_MODELS, pk="number")
    index.table("options").create(_OPTIONS)
    index.table("cards").create(_CARDS, pk="number")
    index.table("words").create({"number": int, **dict.fromkeys(WEIGHTS, str)}, pk="number")
    index.table("vocabulary").create({"word": str, "models": int}, pk="word")
    index.table("about").create({"name": str, "value": str}, pk="name")
    connection.execute("BEGIN")
    _insert(index, content)
    connection.execute("COMMIT")
    index.table("options").create_index(["model"])
    index.table("words").enable_fts(list(WEIGHTS), tokenize="unicode61")


def _insert(index: Any, content: IndexContent) -> None:
    models, options, cards, texts = [], [], [], []
    vocabulary: Counter[str] = Counter()
    for number, model in enumerate(content.models, start=1):
        variants = [_option_row(number, option, content.needs(model, option)) for option in model.downloads]
        text = _text_row(number, model, variants)
        vocabulary.update({word for name in WEIGHTS for word in text[name].split()})
        models.append(_model_row(number, model, content))
        cards.append(_card_row(number, model))
        texts.append(text)
        options += variants
    index.table("models").insert_all(models)
    index.table("options").insert_all(options)
    index.table("cards").insert_all(cards)
    index.table("words").insert_all(texts)
    index.table("vocabulary").insert_all({"word": word, "models": count} for word, count in vocabulary.items())
    about = {"schema": str(SCHEMA), "signature": content.signature, "warning": content.warning or ""}
    index.table("about").insert_all({"name": name, "value": value} for name, value in about.items())


def _model_row(number: int, model: "HubModel", content: IndexContent) -> _Row:
    as_written = {name: getattr(model, name) for name in _AS_WRITTEN}
    return as_written | {
        "number": number,
        "tags": json.dumps(model.tags),
        "released_at": released_at(model),
        "catalog": content.catalog_of(model.id),
        "parameter_count": content.parameters(model.parameters),
        "id_key": key(model.id),
        "name_key": key(model.name),
        "license_key": key(model.license or ""),
        "publisher_key": key(model.publisher or ""),
        "tag_keys": "|" + "".join(f"{key(tag)}|" for tag in model.tags),
    }


def _card_row(number: int, model: "HubModel") -> _Row:
    from flowhub_jobs.catalogs.schema import artifact

    return {
        "number": number,
        "facts": json.dumps(model.model_dump(by_alias=True, mode="json", exclude={"downloads"})),
        "artifacts": json.dumps([artifact(model, option).as_dict() for option in model.downloads]),
    }


def _option_row(number: int, option: "DownloadOption", needs: dict[str, Any]) -> _Row:
    return {
        "model": number,
        "option": option.id,
        "format": str(option.format),
        "quantization": option.quantization,
        "bytes": option.size_bytes_total,
        "files": len(option.files or (option,)),
        "filename": option.filename,
        "words": key(f"{option.id} {option.format} {option.quantization or ''}"),
        "needs": json.dumps(needs),
    }


def _text_row(number: int, model: "HubModel", variants: list[_Row]) -> _Row:
    texts = {
        "id": model.id,
        "name": model.name,
        "family": model.family,
        "publisher": model.publisher,
        "tags": " ".join(model.tags),
        "facts": f"{model.parameters or ''} {model.license or ''}",
        "description": model.description,
    }
    names = [f"{variant['words']} {key(variant['filename'] or '')}".strip() for variant in variants]
    folded = {name: key(text or "") for name, text in texts.items()}
    return folded | {"number": number, "variants": " ".join(names)}


def released_at(model: "HubModel") -> str | None:
    """Return the date of the model's newest version, such as 2024-09-19; None where the catalog dates none."""
    dates = [version.released_at[:10] for version in model.versions if version.released_at]
    return max((date for date in dates if _is_date(date)), default=None)


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False
