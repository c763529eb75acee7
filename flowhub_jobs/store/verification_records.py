"""Records of installed models for `verify`: files, sizes and digests, and the result of a check."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import artifact_files, artifacts
from flowhub_jobs.fs.names import same_name_key
from flowhub_jobs.store.layout import Store
from flowhub_jobs.store.library import in_this_store, read_pieces, write_pieces
from flowhub_jobs.store.library_check import Damage, is_as_installed
from flowhub_jobs.store.library_fast import readable_artifact, readable_damage
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile, Pieces, known_format
from flowhub_jobs.values.store_settings import DEFAULT_STORE


@dataclass(frozen=True, slots=True)
class InstalledFile:
    """One file as it was installed. `path` is the artifact's own, `store_path` the path in the store."""

    path: str
    store_path: Path
    bytes: int
    sha256: str
    mtime_ns: int
    pieces: Pieces | None

    @property
    def unchanged(self) -> bool:
        """Return whether its size and time are as installed."""
        return is_as_installed(self.store_path, self.bytes, self.mtime_ns)


@dataclass(frozen=True, slots=True)
class InstalledArtifact:
    """An installed model: the artifact, and its files in the artifact's order."""

    id: int
    name: str
    artifact: Artifact
    files: tuple[InstalledFile, ...]
    damage: Damage | None
    store: str = DEFAULT_STORE
    job: int | None = None  # that installed it
    installed_at: int = 0

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


class VerificationRecords:
    """Reads and updates the library's rows for `verify`."""

    def __init__(self, engine: sa.Engine, node: str, store: Store) -> None:
        self._engine, self._node, self._store = engine, node, store

    def record(self, name: str) -> InstalledArtifact | None:
        """Return the record of an installed model; None for one that was put there by hand, or is not there."""
        is_entry = sa.and_(self._in_store(), artifacts.c.name_key == same_name_key(name))
        with reading(self._engine) as tx:
            row = tx.execute(sa.select(artifacts).where(is_entry)).mappings().first()
            return self._record(tx, row) if row else None

    def record_of(self, artifact: Artifact) -> InstalledArtifact | None:
        """Return the record of an installed artifact; None if it is not installed."""
        # A row of an older version has no artifact: it is found by its name.
        matches = sa.or_(artifacts.c.artifact_key == artifact.key, artifacts.c.name_key == same_name_key(artifact.name))
        in_store = self._in_store()
        with reading(self._engine) as tx:
            rows = tx.execute(sa.select(artifacts).where(in_store, matches)).mappings().all()
            records = [self._record(tx, row) for row in rows]
        return next((model for model in records if model.artifact.key == artifact.key), None)

    def names(self) -> list[str]:
        """Return the names of all installed models, sorted."""
        query = sa.select(artifacts.c.name).where(self._in_store())
        with reading(self._engine) as tx:
            return sorted(tx.execute(query).scalars())

    def _in_store(self) -> sa.ColumnElement[bool]:
        return in_this_store(self._engine, self._node, self._store)

    def _record(self, tx: sa.Connection, row: Any) -> InstalledArtifact:
        of_model = artifact_files.c.artifact_id == row["id"]
        files = {file["path"]: file for file in tx.execute(sa.select(artifact_files).where(of_model)).mappings()}
        pieces = read_pieces(tx, row["id"])
        artifact = readable_artifact(row["artifact"]) or _artifact_without_urls(row, files)
        model_path = self._store.root / row["name"]
        installed = []
        for file in artifact.files:
            path = file.path if artifact.folder else row["name"]
            file_path = model_path / path if artifact.folder else model_path
            data = files[path]
            installed.append(
                InstalledFile(file.path, file_path, data["bytes"], data["sha256"], data["mtime_ns"], pieces.get(path))
            )
        fields = (row["name"], artifact, tuple(installed), readable_damage(row["damage"]))
        return InstalledArtifact(row["id"], *fields, self._store.name, row["job_id"], row["installed_at"])

    def record_good(
        self,
        tx: sa.Connection,
        model: InstalledArtifact,
        times: Mapping[str, int],
        new_pieces: Mapping[str, Pieces],
        now_us: int,
    ) -> None:
        """Record that every byte is as installed: a file of which only the time differs is no longer changed.

        `times` are the mtimes when the files were read: a later write counts as a change.
        """
        tx.execute(sa.update(artifacts).where(artifacts.c.id == model.id).values(verified_at=now_us, damage=None))
        for file in model.files:
            path = file.path if model.artifact.folder else model.name
            file_row = sa.and_(artifact_files.c.artifact_id == model.id, artifact_files.c.path == path)
            tx.execute(sa.update(artifact_files).where(file_row).values(mtime_ns=times[file.path]))
            if (pieces := new_pieces.get(file.path)) is not None:
                write_pieces(tx, model.id, {path: pieces})

    def record_damaged(self, model: InstalledArtifact, damage: Damage) -> None:
        with writing(self._engine) as tx:
            tx.execute(sa.update(artifacts).where(artifacts.c.id == model.id).values(damage=damage))


def _artifact_without_urls(row: Any, files: Mapping[str, Any]) -> Artifact:
    """Return the artifact of a row that an older version wrote: without the addresses of its files."""
    folder = set(files) != {row["name"]}
    model_format = known_format(row["format"])
    artifact_files = tuple(ArtifactFile(path, "", file["bytes"], file["sha256"]) for path, file in files.items())
    return Artifact(row["ref"], row["model"], row["option"], model_format, row["name"], folder, artifact_files)
