"""Opens a home: makes its folder, names the node, migrates the database, and gives access to jobs and store."""

import logging
import os
import platform
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from flowhub_jobs.database.lazy import Database
from flowhub_jobs.errors import HomeUnusable, SettingInvalid, StoreOffline, StoreUnusable
from flowhub_jobs.fs.atomic_write import tighten, write_whole
from flowhub_jobs.fs.locks import NO_LOCKS, demand_locks, lock_is_free
from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.settings import Settings
from flowhub_jobs.store.layout import STORE_ID, Store, stores_named
from flowhub_jobs.store.library_fast import LibraryReader
from flowhub_jobs.store.space import Room, device_of, room_at
from flowhub_jobs.system import Clock, rename_new, sync_path
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import JobKind, RequestedAction
from flowhub_jobs.values.store_settings import DEFAULT_STORE

if TYPE_CHECKING:
    import sqlalchemy as sa

    from flowhub_jobs.jobs.commands import JobCommands
    from flowhub_jobs.jobs.controls import Controls
    from flowhub_jobs.jobs.node_registry import NodeRegistry
    from flowhub_jobs.jobs.queries import JobQueries
    from flowhub_jobs.placement.place_and_unplace import Placements
    from flowhub_jobs.placement.rows import PlacementReader
    from flowhub_jobs.store.library import Library
    from flowhub_jobs.transfer.partial.ownership_decision import Owner

log = logging.getLogger("flowhub.worker")

NODE_BYTES = 1000
_RESERVED = ("all", "any")  # what --on and --node mean by them
_NODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NODE_NAME_HINT = "Use letters, digits, dots and hyphens, at most 64; `all` and `any` have a meaning of their own."


@dataclass(frozen=True, slots=True)
class Home:
    """An open home: its settings, node, database and store, for commands and workers."""

    settings: Settings
    node: str
    database: Database
    store: Store
    clock: Clock = field(default_factory=Clock)
    nodes: tuple[str, ...] = ()  # whose jobs are read, where it is not `node` alone (of_nodes)

    @property
    def engine(self) -> "sa.Engine":
        return self.database.engine

    # Imported at use: SQLAlchemy, with which they write, takes longer to import than a reading command takes to run.

    @property
    def commands(self) -> "JobCommands":
        from flowhub_jobs.jobs.commands import JobCommands

        return JobCommands(self.engine, self.node, self.clock)

    @property
    def queries(self) -> "JobQueries":
        from flowhub_jobs.jobs.queries import JobQueries

        if len(self.nodes) > 1:
            from flowhub_jobs.jobs.queue_of_several_nodes import QueriesOfNodes

            return QueriesOfNodes(self.database, self.node, self.nodes, self.clock, self.is_dead)
        return JobQueries(self.database, self.node, self.clock, self.is_dead)

    @property
    def controls(self) -> "Controls":
        from flowhub_jobs.jobs.controls import Controls

        return Controls(self.database, self.node, self.clock)

    @property
    def library(self) -> "Library":
        from flowhub_jobs.store.library import Library

        return Library(self.database, self.node, self.store)

    @property
    def entries(self) -> LibraryReader:
        """The installed models, for reading only."""
        return LibraryReader(self.database, self.node, self.store)

    @property
    def placements(self) -> "Placements":
        """The models in the folders of other programs."""
        from flowhub_jobs.placement.context import PlacementContext
        from flowhub_jobs.placement.place_and_unplace import Placements
        from flowhub_jobs.placement.row_writes import PlacementRows

        return Placements(
            PlacementContext(
                rows=PlacementRows(self.database, self.node),
                store=self.store,
                library=self.library,
                clock=self.clock,
                lock=self.settings.locks / "placement",
                roots=self.settings.apps,
                environ=os.environ,
                hub_endpoint=self.settings.hf_endpoint,
                tokens=self.settings.tokens_by_origin,
            )
        )

    @property
    def placement_rows(self) -> "PlacementReader":
        """The placements, for reading only."""
        from flowhub_jobs.placement.rows import PlacementReader

        return PlacementReader(self.database, self.node)

    # Stores ----------------------------------------------------------------------------------------------------------

    def in_store(self, name: str) -> "Home":
        """Return the home with its store of this name. Raises StoreOffline for a name that is not in the settings."""
        if name == self.store.name:
            return self
        for store in self.store.others:
            if store.name == name:
                return replace(self, store=store)
        raise StoreOffline(
            f"No store is named {name!r}.", hint=f"Name its folder in {self.settings.config_path}, under [stores]."
        )

    def each_store(self) -> "list[Home]":
        """Return the home with each of its stores, the default one first."""
        homes = [self, *(replace(self, store=store) for store in self.store.others)]
        return sorted(homes, key=lambda home: home.store.name != DEFAULT_STORE)

    def installed_names(self, keys: Collection[str]) -> dict[str, str]:
        """Return the name of each of these artifacts that is installed, unchanged, in one of the stores."""
        by_store = [home.entries.unchanged(keys) for home in reversed(self.each_store())]
        return {key: entry.name for by_key in by_store for key, entry in by_key.items()}

    def room(self) -> Room:
        """Return the bytes that may still be written to the store."""
        return room_at(self.store.root, *self.settings.limits_of_store(self.store.name))

    def rooms(self, own: Room | None = None) -> list[tuple[Room, tuple[str, ...] | None]]:
        """Return the room of the store's disk, and that of the store itself if it has a maximum.

        Each with the names of the stores whose jobs share it; None is all. `own` is what `room` has just returned:
        a store with a maximum is measured for it.
        """
        reserve, most = self.settings.limits_of_store(self.store.name)
        own = own or self.room()
        if not self.store.others:
            return [(own, None)]
        if most is None:
            return [(own, self.stores_on_disk())]
        return [(room_at(self.store.root, reserve), self.stores_on_disk()), (own, (self.store.name,))]

    def stores_on_disk(self) -> tuple[str, ...] | None:
        """Return the names of the stores on this store's disk; None is all."""
        if not self.store.others:
            return None
        disk = device_of(self.store.root)
        return (self.store.name, *(other.name for other in self.store.others if device_of(other.root) == disk))

    def bytes_promised(self) -> int:
        """Return the bytes that the live jobs have yet to put on the store's disk."""
        return self.queries.bytes_still_needed(self.stores_on_disk())

    def open_store(self) -> None:
        """Make the store ready. Raises StoreOffline while its disk is not there, StoreUnusable."""
        library, in_home = self.library, self.store.root.is_relative_to(self.settings.home)
        last_identity = library.known_store()
        identity = self.store.open(last_identity, own=in_home, is_same=library.is_same_store)
        self._refuse_twin(identity)
        if identity != last_identity:
            library.adopt_entries_of_copied_store(identity)
        if (former_host := library.remember_store(identity, platform.node(), self.clock.now_us())) is not None:
            self.warn_of_host(former_host)

    def _refuse_twin(self, identity: str) -> None:
        """Raise StoreUnusable if another store has the same identity: a model of one would be taken for the other's."""
        twin = next((other for other in self.store.others if other.identity() == identity), None)
        if twin is not None and self.store.name != DEFAULT_STORE:
            raise StoreUnusable(
                f"The stores {self.store.name} and {twin.name} have the same identity: "
                f"{self.store.root} is {twin.root}, or a copy of it.",
                hint=f"If it is a copy, remove {self.store.root / STORE_ID}, then try again.",
            )

    def warn_of_host(self, former_host: str) -> None:
        """Log that the node was last used on the machine `former_host`: the home may be a copy."""
        log.warning(
            "The home %s was last used on the machine %s, and is on %s now. If it is a copy and both are in use, "
            "give one of the two another node name: set FLOWHUB_NODE, or remove %s.",
            *(self.settings.home, former_host, platform.node(), self.settings.home / "node"),
        )

    @property
    def registry(self) -> "NodeRegistry":
        """The row of this node, for its workers."""
        from flowhub_jobs.jobs.node_registry import NodeRegistry, owner_of

        return NodeRegistry(self.engine, self.node, owner_of(self.settings.home), self.clock)

    def of_nodes(self, nodes: tuple[str, ...]) -> "Home":
        """Return the home as it reads the jobs of other nodes: their stores and locks are on other machines."""
        return replace(self, node=nodes[0] if len(nodes) == 1 else self.node, nodes=nodes)

    def store_is_away(self) -> bool:
        """Return whether the disk of the store that this node used last is not there."""
        in_home = self.store.root.is_relative_to(self.settings.home)
        return self.store.is_away(self.entries.known_store(), own=in_home)

    def is_dead(self, worker: str) -> bool | None:
        """Return whether a worker is gone: True, False, or None if nothing is known of it.

        A worker of this machine is known by its lock, one of another by the time of its last renewal.
        """
        if self.nodes:
            from flowhub_jobs.jobs.node_rows import is_living

            with self.database.reading() as snapshot:
                return not is_living(snapshot, worker, self.clock.now_us())
        return lock_is_free(self.settings.locks / f"{worker}.lock")

    def take_back_orphans(self) -> list[int]:
        """Take back the jobs whose worker is gone, and carry out their requested actions; return their numbers."""
        from flowhub_jobs.jobs.rescue import rescue  # only where it is needed
        from flowhub_jobs.jobs.worker_rows import remove_dead

        def may_judge() -> bool:
            """Their locks may be on another machine: then nothing is known of them here."""
            return not (self.database.is_shared and self.registry.is_elsewhere())

        rescued = rescue(self.engine, self.node, self.clock, self.is_dead, may_judge)
        for job, requested in rescued.items():
            if requested is RequestedAction.PURGE:
                self.purge(job)
        for worker in remove_dead(self.engine, self.node, self.is_dead, may_judge):
            (self.settings.locks / f"{worker}.lock").unlink(missing_ok=True)
        return list(rescued)

    def purge(self, job: int) -> None:
        """Delete the bytes that are kept of an ended job, unless another job uses them.

        A killed run may have installed the artifact without recording it: then the installed copy is deleted, too.
        """
        with suppress(StoreOffline):  # a store that is in no setting any more keeps its bytes
            self.in_store(self.commands.store(job))._purge(job)

    def _purge(self, job: int) -> None:
        from flowhub_jobs.store.install import find_installed
        from flowhub_jobs.store.partials_dir import delete_trash, move_to_trash

        if self.commands.kind(job) not in (JobKind.FETCH, JobKind.IMPORT, JobKind.MOVE):
            return  # it has no bytes in the store
        artifact = self.commands.artifact(job)
        if artifact.key not in self.queries.live_jobs():
            self.discard_partials(artifact, job)
            placed = find_installed(self.commands.intent(job), self.store)
            if placed is not None and self.library.entry(placed.name) is None:
                delete_trash(move_to_trash(self.store, placed.path))
            self.commands.purged(job)

    def discard_partials(self, artifact: Artifact, job: int) -> None:
        """Remove this node's partials of an artifact, except one that another home with this node's name works in."""
        from flowhub_jobs.jobs.find_partial_owner import run_tokens
        from flowhub_jobs.transfer.partial.hold import discard

        store = self.store
        partials = [*store.partials_of(artifact, self.node), *store.copies_of(artifact, self.node)]
        if partials:
            discard(partials, self.this_run(), own_runs=run_tokens(self.engine, job))

    def this_run(self, token: str = "") -> "Owner":
        """Return this home and run as the owner that the lock of a partial names."""
        from flowhub_jobs.transfer.partial.owner_lock import this_run

        return this_run(os.path.realpath(self.settings.home), token)

    def living_workers(self) -> int:
        return sum(self.is_dead(worker) is False for worker in self.queries.workers())


def is_node_name(text: str) -> bool:
    return _NODE.fullmatch(text) is not None and text.lower() not in _RESERVED


@contextmanager
def opened(settings: Settings) -> Iterator[Home]:
    """Open the home of these settings, and close it at the end."""
    make_folders(settings)
    node = settings.node or _node_of(settings.home)
    if not is_node_name(node):
        where = "FLOWHUB_NODE or config.toml" if settings.node else settings.home / "node"
        raise SettingInvalid(f"{node!r}, from {where}, is not a name for a node.", hint=NODE_NAME_HINT)
    database = Database.opened(
        settings.database_url,
        lock_folder=settings.home,
        node=node,
        pooled_sessions=not settings.database_listen,
    )
    try:
        yield Home(settings, node, database, stores_of(settings)[0])
    finally:
        database.close()


def stores_of(settings: Settings) -> list[Store]:
    """Return the stores of the settings, the default one first."""
    return stores_named(settings.store, {name: one.path for name, one in settings.stores.items()})


def make_folders(settings: Settings) -> None:
    """Make the home, for its owner alone: its databases hold addresses with signatures. Raises HomeUnusable."""
    try:
        settings.home.mkdir(0o700, parents=True, exist_ok=True)
        if settings.locks.is_symlink():
            raise HomeUnusable(f"{settings.locks} is a symbolic link; nothing is written through it.")
        settings.locks.mkdir(0o700, exist_ok=True)
        home = settings.home.resolve()
        # Such a folder has other uses, and keeps its permissions.
        if home not in (Path("/"), Path(os.path.expanduser("~")).resolve()):
            tighten(home)
        tighten(settings.locks)
        for database in ("flowhub.db", "queue.db"):
            for end in ("", "-wal", "-shm"):
                tighten(settings.home / f"{database}{end}")
    except OSError as error:
        raise HomeUnusable(f"{settings.home} cannot be flowhub's home: {error.strerror or error}.") from error
    if not os.access(settings.home, os.W_OK | os.X_OK):
        raise HomeUnusable(f"{settings.home} cannot be flowhub's home: it may not be written to.")
    try:
        demand_locks(settings.locks / "install")
    except OSError as error:
        if error.errno in NO_LOCKS:
            raise HomeUnusable(
                f"{settings.home} cannot be flowhub's home: its file system has no file locks ({error.strerror}).",
                hint="Set FLOWHUB_HOME to a folder on a local disk. FLOWHUB_STORE, the models, may stay on this one.",
            ) from error
        raise HomeUnusable(f"{settings.home} cannot be flowhub's home: {error.strerror or error}.") from error


def _node_of(home: Path) -> str:
    """Return the node's name, made once: two processes that start at once agree on one."""
    path = home / "node"
    try:
        if not os.path.lexists(path):
            temporary = home / f"node.{secrets.token_hex(4)}"
            # Durably: an empty name would end every command.
            write_whole(temporary, f"n-{secrets.token_hex(4)}\n".encode())
            try:
                rename_new(temporary, path)
            except FileExistsError:
                temporary.unlink()
            sync_path(home)
        return read_regular(path, NODE_BYTES, follow=False).decode().strip()
    except (OSError, ValueError) as error:
        raise HomeUnusable(f"The node's name in {path} cannot be read: {error}.") from error
