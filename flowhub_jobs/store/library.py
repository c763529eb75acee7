"""Library: the index of installed models, with the queries and updates that need SQLAlchemy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from flowhub_jobs.database.batches import in_groups
from flowhub_jobs.database.clock import shared_now_us
from flowhub_jobs.database.engine import querying, writing
from flowhub_jobs.database.lazy import Database
from flowhub_jobs.database.tables import artifact_files, artifact_pieces, artifacts, nodes, pins, stores
from flowhub_jobs.fs.names import same_name_key
from flowhub_jobs.store.layout import Store
from flowhub_jobs.store.library_check import added_files, has_its_files, is_lost, is_unchanged
from flowhub_jobs.store.library_fast import LibraryReader, readable_artifact
from flowhub_jobs.values.artifacts import Artifact, FileDigest, Pieces
from flowhub_jobs.values.store_settings import DEFAULT_STORE

if TYPE_CHECKING:
    from flowhub_jobs.store.install import InstallResult


class Library(LibraryReader):
    @property
    def _engine(self) -> sa.Engine:
        return self._database.engine

    # Write ---------------------------------------------------------------------------------------------------------

    def record_installed(
        self,
        tx: sa.Connection,
        artifact: Artifact,
        installed: "InstallResult",
        job: int | None,
        now_us: int,
        *,
        installed_at: int | None = None,
    ) -> None:
        """Record an installed artifact, in the transaction that completes its job, if it has one.

        `installed_at` is given for a model that was moved here: a move makes it no newer version.
        """
        store_id = self._store.identity() or ""
        unknown = "" if self._store.name == DEFAULT_STORE else store_id
        same = artifacts.c.store_id.in_([store_id, unknown]), artifacts.c.name_key == same_name_key(installed.name)
        tx.execute(sa.delete(artifacts).where(artifacts.c.node == self._node, *same))
        values = {
            "node": self._node,
            "store_id": store_id,
            "name": installed.name,
            "name_key": same_name_key(installed.name),
            "artifact_key": artifact.key,
            "ref": artifact.ref,
            "model": artifact.model,
            "option": artifact.option,
            "format": artifact.format,
            "bytes": sum(file.bytes for file in installed.files),
            "sha256": None if artifact.folder else installed.files[0].sha256,
            "job_id": job,
            "artifact": artifact.of_commits(installed.files).without_secrets().as_dict(),
            "linked_from": installed.linked_from,
            "installed_at": now_us if installed_at is None else installed_at,
            "verified_at": now_us,
        }
        number = tx.execute(artifacts.insert().values(values).returning(artifacts.c.id)).scalar_one()
        rows = [
            {
                "artifact_id": number,
                "path": file.path if artifact.folder else installed.name,
                "bytes": file.bytes,
                "sha256": file.sha256,
                "mtime_ns": _time_of(file, installed.path / file.path if artifact.folder else installed.path),
            }
            for file in installed.files
        ]
        tx.execute(artifact_files.insert(), rows)
        pieces_by_path = {file.path if artifact.folder else installed.name: file.pieces for file in installed.files}
        write_pieces(tx, number, {path: pieces for path, pieces in pieces_by_path.items() if pieces is not None})

    def forget(self, name: str) -> None:
        is_entry = sa.and_(self._in_store(), artifacts.c.name_key == same_name_key(name))
        with writing(self._engine) as tx:
            tx.execute(sa.delete(artifacts).where(is_entry))

    def remove_row(self, tx: sa.Connection, number: int) -> None:
        """Remove the row of a model, in the transaction that completes its job."""
        tx.execute(sa.delete(artifacts).where(artifacts.c.id == number, artifacts.c.node == self._node))

    def record_commit(self, name: str, commit: str) -> None:
        """Record the Hub's commit of all files of an installed artifact."""
        artifact = self.artifact(name)
        if artifact is None:
            return
        with_commit = replace(artifact, files=tuple(replace(file, commit=commit) for file in artifact.files))
        same = sa.and_(artifacts.c.name_key == same_name_key(name), artifacts.c.artifact_key == artifact.key)
        with writing(self._engine) as tx:
            tx.execute(sa.update(artifacts).where(self._in_store(), same).values(artifact=with_commit.as_dict()))

    def pin(self, claim: str, now_us: int) -> None:
        """Keep a model, and its next versions, from `prune --to-fit`. Again, it changes nothing."""
        with writing(self._engine) as tx:
            tx.execute(sa.delete(pins).where(pins.c.node == self._node, pins.c.claim == claim))
            tx.execute(pins.insert().values(node=self._node, claim=claim, set_at=now_us))

    def unpin(self, claim: str) -> None:
        with writing(self._engine) as tx:
            tx.execute(sa.delete(pins).where(pins.c.node == self._node, pins.c.claim == claim))

    def adopt_entries_of_copied_store(self, identity: str) -> None:
        """Assign to the mounted store the entries of the store it was copied from, for each unchanged model."""
        entries = self.entries_of_no_other()
        own_names = {entry.name for entry in entries if entry.store_id == identity}
        copied = [
            entry.id
            for entry in entries
            if entry.name not in own_names and is_unchanged(entry, self._store.root / entry.name)
        ]
        with writing(self._engine) as tx:
            for number in copied:
                tx.execute(sa.update(artifacts).where(artifacts.c.id == number).values(store_id=identity))

    # Read ----------------------------------------------------------------------------------------------------------

    def owner(self, name: str, *, changed_too: bool = False, lost_too: bool = False) -> str | None:
        """Return the claim of the artifact that flowhub installed under this name; None if it installed none.

        A model that was changed by hand does not count, unless `changed_too`; one with an added file never counts.
        `lost_too`: links made by flowhub whose targets are gone count.
        """
        entry = self.named(name)
        if entry is None:
            return None
        path = self._store.root / entry.name
        added = added_files(entry, path) if path.is_dir() else set()
        lost = lost_too and entry.name == name and is_lost(entry, path)
        if added or not (changed_too or lost or has_its_files(entry, path)):
            return None
        return entry.claim

    def by_digest(self, digests: Sequence[str]) -> list[tuple[str, Path]]:
        """Return the paths under which files with these sha256 were installed. Their content may have changed."""
        joined = artifact_files.join(artifacts, artifacts.c.id == artifact_files.c.artifact_id)
        query = sa.select(artifacts.c.name, artifact_files.c.path, artifact_files.c.sha256).select_from(joined)
        of_store = query.where(self._in_store()).order_by(artifacts.c.id)
        rows = list[Any]()
        for group in in_groups(dict.fromkeys(digests)):
            with querying(self._engine) as tx:
                rows += tx.execute(of_store.where(artifact_files.c.sha256.in_(group))).all()
        tops = [(row, self._store.root / row.name) for row in rows]
        return [(row.sha256, top / row.path if top.is_dir() else top) for row, top in tops]

    def installed_unchanged(self, artifact: Artifact) -> "InstallResult | None":
        """Return an artifact that is installed unchanged, as `index` took it; None if it is not."""
        from flowhub_jobs.store.install import InstallResult

        entry = next(iter(self.with_key(artifact.key)), None)
        if entry is None or not has_its_files(entry, self._store.root / entry.name):
            return None
        with querying(self._engine) as tx:
            pieces = read_pieces(tx, entry.id)
        files = []
        for file in artifact.files:
            path = file.path if artifact.folder else entry.name
            recorded, pinned = entry.files[path], file.sha256 is not None or file.git_sha1 is not None
            files.append(
                FileDigest(file.path, recorded.bytes, recorded.sha256, pinned, pieces.get(path), recorded.mtime_ns)
            )
        return InstallResult(entry.name, self._store.root / entry.name, tuple(files), entry.linked_from)

    def artifact(self, name: str) -> Artifact | None:
        """Return the artifact installed under this name, with its addresses; None if they are unknown."""
        is_entry = sa.and_(self._in_store(), artifacts.c.name_key == same_name_key(name))
        with querying(self._engine) as tx:
            stored = tx.execute(sa.select(artifacts.c.artifact).where(is_entry)).scalar()
        return readable_artifact(stored)

    def _in_store(self) -> sa.ColumnElement[bool]:
        return in_this_store(self._engine, self._node, self._store)

    def remember_store(self, identity: str, hostname: str, now_us: int) -> str | None:
        """Record the store and the machine that this node uses; return the machine's former name, if it had another.

        A home that was copied to a second machine has the first one's name in it.
        """
        is_own = nodes.c.node == self._node
        default = next((store for store in self._store.others if store.name == DEFAULT_STORE), self._store)
        values: dict[str, Any] = {"hostname": hostname, "store": str(default.root)}
        identity_columns = {"path": str(self._store.root), "store_id": identity}
        this_row = sa.and_(stores.c.node == self._node, stores.c.name == self._store.name)
        with querying(self._engine) as tx:  # every run asks: most write nothing
            columns = stores.c.path, stores.c.store_id, nodes.c.hostname, nodes.c.store
            stored = tx.execute(sa.select(*columns).join(nodes, nodes.c.node == stores.c.node).where(this_row)).first()
        if stored is not None and tuple(stored) == (*identity_columns.values(), *values.values()):
            return None
        with writing(self._engine) as tx:
            if not tx.execute(sa.update(stores).where(this_row).values(**identity_columns)).rowcount:
                tx.execute(stores.insert().values(node=self._node, name=self._store.name, **identity_columns))
            values["seen_at"] = shared_now_us(tx, now_us)
            former_host = tx.execute(sa.select(nodes.c.hostname).where(is_own)).scalar()
            if not tx.execute(sa.update(nodes).where(is_own).values(**values)).rowcount:
                tx.execute(nodes.insert().values(node=self._node, **values))
        return former_host if former_host not in (None, hostname) else None


def in_this_store(engine: sa.Engine, node: str, store: Store) -> sa.ColumnElement[bool]:
    """Return the condition for a row of `artifacts` in the mounted store."""
    ids = LibraryReader(Database.of(engine), node, store).ids_here
    return sa.and_(artifacts.c.node == node, artifacts.c.store_id.in_(ids))


def read_pieces(tx: sa.Connection, number: int) -> dict[str, Pieces]:
    """Return the pieces of an artifact's files, as far as they are known, by the path in its row."""
    query = sa.select(artifact_pieces).where(artifact_pieces.c.artifact_id == number)
    return {row["path"]: Pieces(row["piece"], row["states"]) for row in tx.execute(query).mappings()}


def write_pieces(tx: sa.Connection, number: int, pieces_by_path: Mapping[str, Pieces]) -> None:
    if pieces_by_path:
        rows = [
            {"path": path, "piece": pieces.piece, "states": pieces.states} for path, pieces in pieces_by_path.items()
        ]
        tx.execute(artifact_pieces.insert(), [row | {"artifact_id": number} for row in rows])


def _time_of(file: FileDigest, path: Path) -> int:
    """Return the mtime to record: that of the bytes that were read, so that a later write is noticed."""
    return path.stat().st_mtime_ns if file.mtime_ns is None else file.mtime_ns
