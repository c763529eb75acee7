"""Imported catalogs: each is a file in flowhub's format with a record of its source.

`NAME.json` is read with every catalog in force; `NAME.facts.json` to list and update it. The record may hold a URL
with a token in its query: only the owner may read the file (mode 0600), and `ImportRecord.shown` alone shows the URL.
"""

import hashlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowhub_jobs.catalogs.import_record import BASE as BASE
from flowhub_jobs.catalogs.import_record import ImportRecord, is_name, parse_import_record
from flowhub_jobs.catalogs.importers.field_values import Ids
from flowhub_jobs.catalogs.loaded import LoadedCatalog
from flowhub_jobs.errors import CatalogMalformed, HomeUnusable
from flowhub_jobs.fs.atomic_write import write_whole
from flowhub_jobs.fs.safe_read import read_regular

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.schema import HubModel

Entry = dict[str, Any]
MAX_BYTES = 300_000_000  # YAML of 30 MB grows when its aliases are written out


@dataclass(frozen=True, slots=True)
class ImportedCatalogs:
    """The folder of imported catalogs; it need not be there."""

    folder: Path

    def names(self) -> list[str]:
        """Return the names in the order in which they count."""
        try:
            names = [name.removesuffix(".json") for name in os.listdir(self.folder) if name.endswith(".json")]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise HomeUnusable(f"{self.folder} cannot be read: {error.strerror}.") from error
        return sorted(name for name in names if is_name(name))

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def record(self, name: str) -> ImportRecord | None:
        """Return the record of its import; None where it is unknown."""
        try:
            return parse_import_record(json.loads(read_regular(self._facts_path(name), MAX_BYTES)))
        except (OSError, ValueError, RecursionError):
            return None

    def entries(self, name: str) -> dict[str, Entry]:
        """Return the models by id, as they are written; none where the file cannot be read."""
        try:
            return {model["id"]: model for model in json.loads(self._body(name))["models"]}
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return {}

    def save(self, name: str, models: list[Entry], facts: ImportRecord) -> None:
        """Write a catalog and its record over the old ones. A catalog that cannot be read back is refused."""
        from flowhub_jobs.catalogs.schema import parse_catalog

        body = json.dumps({"apiVersion": "v1", "models": models}, ensure_ascii=False, indent=1).encode()
        parse_catalog(body, where=f"the imported catalog {name}", error=CatalogMalformed)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # The catalog first: with the validators of an older one it is fetched again, nothing worse. In the other
            # order a "not modified" would keep the old catalog for ever.
            write_whole(self.path(name), body)
        except OSError as error:
            raise HomeUnusable(f"The catalog cannot be kept in {self.folder}: {error.strerror}.") from error
        self.save_record(name, replace(facts, kept_sha256=hashlib.sha256(body).hexdigest()))

    def matches(self, name: str, facts: ImportRecord) -> bool:
        """Return whether the catalog is, byte for byte, the one that this record describes."""
        try:
            return hashlib.sha256(self._body(name)).hexdigest() == facts.kept_sha256
        except OSError:
            return False

    def save_record(self, name: str, facts: ImportRecord) -> None:
        try:
            write_whole(self._facts_path(name), json.dumps(asdict(facts), indent=1).encode())
        except OSError as error:
            raise HomeUnusable(f"The catalog cannot be kept in {self.folder}: {error.strerror}.") from error

    def remove(self, name: str) -> None:
        try:
            self.path(name).unlink(missing_ok=True)
            self._facts_path(name).unlink(missing_ok=True)
        except OSError as error:
            raise HomeUnusable(f"The catalog {name} cannot be removed: {error.strerror}.") from error

    def _body(self, name: str) -> bytes:
        return read_regular(self.path(name), MAX_BYTES)

    def _facts_path(self, name: str) -> Path:
        return self.folder / f"{name}.facts.json"


# In force ------------------------------------------------------------------------------------------------------------


def with_imported_catalogs(base: LoadedCatalog, imported: ImportedCatalogs) -> LoadedCatalog:
    """Return the base followed by the models of all imported catalogs. The first model with an id wins.

    One that is damaged is left out, with a warning: it must not disable the others.
    """
    try:
        present = imported.names()
    except HomeUnusable as fault:
        return replace(base, warning=_joined(base.warning, f"{fault.message} Imported catalogs are left out."))
    if not present:
        return base
    from flowhub_jobs.catalogs.schema import HubCatalog

    models, warning = list(base.catalog.models), base.warning
    owners: dict[str, str] = {}
    hidden: dict[str, int] = {}
    known_ids = set(base.catalog.by_id)
    for name in present:
        try:
            imported_models = _models_of(imported, name)
        except CatalogMalformed as fault:
            warning = _joined(warning, fault.message)
            continue
        new_models = [model for model in imported_models if model.id not in known_ids]
        hidden[name] = len(imported_models) - len(new_models)
        owners |= dict.fromkeys((model.id for model in new_models), name)
        known_ids.update(model.id for model in new_models)
        models += new_models
    # Not validated again: each model was, and their ids differ.
    merged = HubCatalog.model_construct(api_version=base.catalog.api_version, models=tuple(models))
    return replace(base, catalog=merged, warning=warning, imported=owners, hidden=hidden)


def _joined(first: str | None, second: str) -> str:
    return f"{first} {second}" if first else second


def _models_of(imported: ImportedCatalogs, name: str) -> "tuple[HubModel, ...]":
    """Return the models of one imported catalog; CatalogMalformed says which is damaged and what to do."""
    from flowhub_jobs.catalogs.schema import parse_catalog

    remedy = f"`flowhub catalog update {name}` downloads it again, `flowhub catalog remove {name}` drops it."
    try:
        raw = read_regular(imported.path(name), MAX_BYTES)
        return parse_catalog(raw, where=f"The imported catalog {name}", error=CatalogMalformed).models
    except OSError as fault:
        message = f"The imported catalog {name} cannot be read ({fault.strerror}) and is left out. {remedy}"
        raise CatalogMalformed(message, hint=remedy) from fault
    except CatalogMalformed as fault:
        raise CatalogMalformed(f"{fault.message}. It is left out. {remedy}", hint=remedy) from fault


def with_unique_ids(
    models: list[Entry], name: str, used_ids: Collection[str], earlier_ids: Mapping[str, str]
) -> tuple[list[Entry], dict[str, str]]:
    """Return the models with unique ids, and the new id of each that could not keep its own.

    `used_ids` are the ids of all other catalogs. `earlier_ids` are the new ids of earlier imports: a model installed as
    `x-localai` keeps that id after an update.
    """
    used, changed, answer = Ids(used_ids), dict[str, str](), []
    for model in models:
        own_id = str(model["id"])
        new_id = earlier_ids.get(own_id, own_id)
        if new_id in used:
            new_id = used.free(f"{own_id}-{name}")
        if new_id != own_id:
            changed[own_id] = new_id
        used.take(new_id)
        answer.append(model | {"id": new_id})
    return answer, changed
