"""Reads the library without SQLAlchemy, in plain SQL, for screens that must start fast (database/lazy.py)."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from flowhub_jobs.database.batches import in_groups
from flowhub_jobs.database.decode_row_values import json_of
from flowhub_jobs.database.lazy import Database, Row
from flowhub_jobs.fs.names import same_name_key
from flowhub_jobs.store.layout import Store
from flowhub_jobs.store.library_check import (
    Damage,
    EntryFile,
    InCatalog,
    LibraryEntry,
    Presence,
    has_its_files,
    is_unchanged,
    take_inventory,
)
from flowhub_jobs.values.artifacts import Artifact, InstalledModel, known_format
from flowhub_jobs.values.store_settings import DEFAULT_STORE

_SAME = (
    *("id", "store_id", "name", "ref", "model", "option", "bytes"),
    *("sha256", "linked_from", "installed_at", "verified_at"),
)
_OF_ENTRY = (*_SAME, "artifact_key", "format", "damage", "job_id")
_OF_FILE = ("path", "bytes", "mtime_ns", "sha256")
_COLUMNS = ", ".join(
    [*(f'entry."{name}"' for name in _OF_ENTRY), *(f'file."{name}" AS "file_{name}"' for name in _OF_FILE)]
)
_JOINED = "artifacts AS entry LEFT JOIN artifact_files AS file ON file.artifact_id = entry.id"
_OF_NODE = "node = :node"
_HERE = "node = :node AND store_id IN :ids"
_NAMED = f"{_HERE} AND name_key = :name_key"
_NONE = "?"  # no store has this identity


@dataclass(frozen=True, slots=True)
class Installed:
    """An artifact that is installed and unchanged, and the job that installed it (None: unknown)."""

    name: str
    job: int | None


class LibraryReader:
    """Reads the library of one node."""

    def __init__(self, database: Database, node: str, store: Store) -> None:
        self._database, self._node, self._store = database, node, store

    def entries(self) -> list[LibraryEntry]:
        """Return the entries by name: of this store, and, in the default one, those of stores in no setting."""
        if not self._store.others:
            return self._entries(_OF_NODE)
        if self._store.name == DEFAULT_STORE:
            return self.entries_of_no_other()
        return self._entries(_HERE, ids=[*self.ids_used, *self.ids_here])

    def entries_here(self) -> list[LibraryEntry]:
        """Return the entries of the mounted store."""
        return self._entries(_HERE, ids=self.ids_here)

    def entries_of_no_other(self) -> list[LibraryEntry]:
        """Return the entries that no other store of the settings has."""
        other_readers = [LibraryReader(self._database, self._node, other) for other in self._store.others]
        other_ids = sorted({identity for other in other_readers for identity in other.ids_used})
        unknown = [] if self._store.name == DEFAULT_STORE else [""]
        return self._entries(f"{_OF_NODE} AND store_id NOT IN :ids", ids=[*other_ids, *unknown] or [_NONE])

    @property
    def ids_used(self) -> list[str]:
        """The identities of the mounted store, and of the one that was last used."""
        return [identity for identity in (self._store.identity(), self.known_store()) if identity]

    @property
    def ids_here(self) -> list[str]:
        """What `store_id` is in the rows of this store. An unknown one is the default store's."""
        unknown = "" if self._store.name == DEFAULT_STORE else _NONE
        return [self.store_id or unknown, unknown]

    def artifacts(self) -> dict[int, Artifact]:
        """Return the artifact of each installation by the id of its entry; unreadable ones are left out."""
        query = "SELECT id, artifact FROM artifacts WHERE node = :node AND artifact IS NOT NULL"
        with self._database.reading() as tx:
            stored = {row["id"]: json_of(row["artifact"]) for row in tx.rows(query, node=self._node)}
        readable = {number: readable_artifact(data) for number, data in stored.items()}
        return {number: artifact for number, artifact in readable.items() if artifact is not None}

    def entry(self, name: str) -> LibraryEntry | None:
        """Return the entry of a name in the mounted store; the case of letters counts."""
        entry = self.named(name)
        return entry if entry is not None and entry.name == name else None

    def named(self, name: str) -> LibraryEntry | None:
        """Return the entry of a name in the mounted store, whatever the case of its letters."""
        if "\0" in name:  # no file has such a name, and PostgreSQL refuses the query
            return None
        entries = self._entries(_NAMED, ids=self.ids_here, name_key=same_name_key(name))
        return entries[0] if entries else None

    def owners(self) -> dict[str, str]:
        """Return the claim of every artifact that flowhub installed in this store, by its name's key."""
        return {same_name_key(entry.name): entry.claim for entry in self.entries_here()}

    def pinned(self) -> set[str]:
        """Return the claims of the models that `prune --to-fit` never removes."""
        with self._database.reading() as tx:
            return {row["claim"] for row in tx.rows("SELECT claim FROM pins WHERE node = :node", node=self._node)}

    def unchanged(self, keys: Collection[str]) -> dict[str, Installed]:
        """Return those of the artifacts that are installed unchanged: every file of the same size and mtime."""
        condition = f"{_HERE} AND artifact_key IN :keys"
        groups = in_groups(sorted(set(keys)))
        candidates = [entry for group in groups for entry in self._entries(condition, ids=self.ids_here, keys=group)]
        present = [entry for entry in candidates if has_its_files(entry, self._store.root / entry.name)]
        present.sort(key=lambda entry: entry.id)  # of two names for one artifact, the later one counts
        return {entry.key: Installed(entry.name, entry.job) for entry in present}

    def _entries(self, where: str, **values: Any) -> list[LibraryEntry]:
        query = f"SELECT {_COLUMNS} FROM {_JOINED} WHERE {where} ORDER BY entry.name, entry.id"  # noqa: S608, fixed text
        rows, files = dict[int, Row](), dict[int, dict[str, EntryFile]]()
        for row in self._database.query(query, node=self._node, **values):  # one for each file
            rows[row["id"]] = row
            its = files.setdefault(row["id"], {})
            if (path := row["file_path"]) is not None:
                its[path] = EntryFile(row["file_bytes"], row["file_mtime_ns"], row["file_sha256"])
        return [_entry(row, files[number]) for number, row in rows.items()]

    def models(self, in_catalog: InCatalog) -> list[InstalledModel]:
        """Return the store's models by name, joined to the library."""
        return take_inventory(self._store, self.entries_here(), in_catalog, lambda entry: Presence.HERE).models

    def with_key(self, key: str) -> list[LibraryEntry]:
        """Return the entries of an artifact in the mounted store, by name."""
        return self._entries(f"{_HERE} AND artifact_key = :key", ids=self.ids_here, key=key)

    # The store's identity ------------------------------------------------------------------------------------------

    @property
    def store_id(self) -> str:
        """The identity of the mounted store; '' for one that was never used. Nothing is written.

        A store without an identity is the last used one, if its folder is missing or holds one of its models.
        """
        identity = self._store.identity()
        last_identity = None if identity else self.known_store()
        if last_identity and (not self._store.root.exists() or self.is_same_store(last_identity)):
            return last_identity
        return identity or ""

    def is_same_store(self, identity: str) -> bool:
        """Return whether the store without an identity is the one with this identity: it has at least
        one of its models.
        """
        entries = self._entries(_HERE, ids=[identity])
        return any(is_unchanged(entry, self._store.root / entry.name) for entry in entries)

    def known_store(self) -> str | None:
        """Return the identity of this node's store when it was last used; None if it is another folder now."""
        query = "SELECT store_id FROM stores WHERE node = :node AND name = :name AND path = :path"
        rows = self._database.query(query, node=self._node, name=self._store.name, path=str(self._store.root))
        return rows[0]["store_id"] if rows else None


def readable_artifact(stored: Any) -> Artifact | None:
    """Return the artifact of an installed model's row; None where it was never written, or is damaged."""
    try:
        return Artifact.from_dict(stored)
    except ValueError:
        return None


def readable_damage(stored: Any) -> Damage | None:
    """Return the ranges that `verify` found wrong; None without any, or if they cannot be read."""
    if isinstance(stored, str):
        try:
            stored = json.loads(stored)
        except ValueError:
            return None
    return stored if isinstance(stored, dict) else None


def _entry(row: Row, files: Mapping[str, EntryFile]) -> LibraryEntry:
    values = {name: row[name] for name in _SAME} | {"damage": readable_damage(row["damage"])}
    return LibraryEntry(
        key=row["artifact_key"], format=known_format(row["format"]), files=files, job=row["job_id"], **values
    )
