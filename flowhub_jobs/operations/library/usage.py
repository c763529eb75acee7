"""Disk usage of the store: installed models, partials, and everything else."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from flowhub_jobs.operations.library.cleanup import Partial, partials
from flowhub_jobs.operations.library.placed import placed_links, programs_by_name, waiting_placements
from flowhub_jobs.operations.session import Session
from flowhub_jobs.store.disk_usage import DiskUsage, Size
from flowhub_jobs.store.library_check import LibraryEntry, Presence
from flowhub_jobs.store.partials_dir import list_partials
from flowhub_jobs.store.space import device_of, disk_size
from flowhub_jobs.values.artifacts import InstalledModel


@dataclass(frozen=True, slots=True)
class StoreState:
    """A store of the settings. `free`: free bytes on its disk, None while the disk is not there."""

    name: str
    path: Path
    online: bool
    free: int | None


def store_states(session: Session) -> tuple[StoreState, ...]:
    """Return each store of the settings, the default one first; no file in it is looked at."""
    return tuple(_state_of(store_session) for store_session in session.each_store())


def _state_of(session: Session) -> StoreState:
    online = not session.home.store_is_away()
    free = session.disk_free if online else None
    return StoreState(session.store.name, session.store.root, online, free)


@dataclass(frozen=True, slots=True)
class StoreListing:
    """Content of `list`. `gone` were removed by hand, `old` are names of models with a newer version installed.

    `free` bytes has the store's disk, None while it is not there. `waiting` are placements that could not be made yet,
    such as "a.gguf in ollama".
    """

    models: list[InstalledModel]
    gone: list[LibraryEntry]
    old: list[str]
    partials: list[Partial]
    presence: Presence
    root: Path
    free: int | None
    waiting: tuple[str, ...] = ()
    stores: tuple[StoreState, ...] = ()  # all of them, this one first

    @property
    def online(self) -> bool:
        return self.presence is not Presence.AWAY


def list_store(session: Session) -> StoreListing:
    """Return the content of all stores; nothing is written, and no job is blocked."""
    listings = [_list_one(store_session) for store_session in session.each_store()]
    return replace(
        listings[0],
        models=sorted((model for listing in listings for model in listing.models), key=lambda model: model.name),
        gone=[entry for listing in listings for entry in listing.gone],
        old=[name for listing in listings for name in listing.old],
        partials=[partial for listing in listings for partial in listing.partials],
        waiting=tuple(f"{row.name} in {row.app}" for row in waiting_placements(session.home)),
        stores=tuple(state for listing in listings for state in listing.stores),
    )


def _list_one(session: Session) -> StoreListing:
    inventory, installed = session.installed.inventory(), session.installed
    presence = installed.presence
    is_online = presence is not Presence.AWAY
    free = session.disk_free if is_online else None
    unfinished = partials(session.home) if is_online else []
    programs = programs_by_name(session.home)
    models = [replace(model, placed_in=tuple(programs.get(model.name, ()))) for model in inventory.models]
    state = StoreState(session.store.name, session.store.root, is_online, free)
    details = (inventory.old, unfinished, presence, session.store.root, free)
    return StoreListing(models, inventory.gone, *details, stores=(state,))


@dataclass(frozen=True, slots=True)
class ModelDiskUsage:
    """Disk usage of one model. `fraction` is its part of the store's, from 0 to 1."""

    name: str
    bytes: int
    size: Size
    fraction: float = 0.0

    @property
    def on_disk(self) -> int:
        return self.size.own + self.size.shared


@dataclass(frozen=True, slots=True)
class DiskUsageReport:
    """Disk usage of the store: models, the largest first, and the entries of the partials folder. Bytes."""

    models: list[ModelDiskUsage]
    partials: ModelDiskUsage
    leftovers: ModelDiskUsage
    free: int
    root: Path
    stores: tuple[StoreState, ...] = ()  # those that are there, this one first

    @property
    def total(self) -> int:
        return sum(model.on_disk for model in self._all)

    @property
    def shared(self) -> int:
        """The bytes that have names outside of the store, too: to remove them here frees nothing."""
        return sum(model.size.shared for model in self._all)

    @property
    def linked(self) -> int:
        """The bytes that are elsewhere, behind symbolic links."""
        return sum(model.size.linked for model in self._all)

    @property
    def _all(self) -> list[ModelDiskUsage]:
        return [*self.models, self.partials, self.leftovers]


def measure_store(session: Session) -> DiskUsageReport:
    """Measure everything in the stores that are there; a file with several names counts once. Raises StoreOffline."""
    session.installed.require_store()
    return _sum_reports(
        [
            _measure_one(store_session)
            for store_session in session.each_store()
            if not store_session.home.store_is_away()
        ]
    )


def by_disk(states: Iterable[StoreState]) -> list[list[StoreState]]:
    """Return the stores of each disk, in their order."""
    disks: dict[int, list[StoreState]] = {}
    for state in states:
        disks.setdefault(device_of(state.path), []).append(state)
    return list(disks.values())


@dataclass(frozen=True, slots=True)
class StoresDisk:
    """A disk with the names of the stores on it. `promised` are the bytes that live jobs have yet to put there."""

    stores: tuple[str, ...]
    total: int
    promised: int
    used: DiskUsageReport


def measure_disks(session: Session) -> list[StoresDisk]:
    """Measure the stores that are there, disk by disk, that of the default store first."""
    disks: dict[int, list[Session]] = {}
    for store_session in session.each_store():
        if not store_session.home.store_is_away():
            disks.setdefault(device_of(store_session.store.root), []).append(store_session)
    return [
        StoresDisk(
            stores=tuple(store_session.store.name for store_session in on_disk),
            total=disk_size(on_disk[0].store.root),
            promised=on_disk[0].home.bytes_promised(),
            used=_sum_reports([_measure_one(store_session) for store_session in on_disk]),
        )
        for on_disk in disks.values()
    ]


def _sum_reports(reports: list[DiskUsageReport]) -> DiskUsageReport:
    if len(reports) == 1:
        return reports[0]
    partials = _sum_measured([usage.partials for usage in reports])
    leftovers = _sum_measured([usage.leftovers for usage in reports])
    models = [model for usage in reports for model in usage.models]
    states = tuple(state for usage in reports for state in usage.stores)
    return _with_fractions(replace(reports[0], models=models, partials=partials, leftovers=leftovers, stores=states))


def _sum_measured(measured: list[ModelDiskUsage]) -> ModelDiskUsage:
    total = Size(*(sum(getattr(model.size, part) for model in measured) for part in ("own", "shared", "linked")))
    return ModelDiskUsage(measured[0].name, total.total, total)


def _measure_one(session: Session) -> DiskUsageReport:
    disk_usage, store = DiskUsage(), session.store
    links = placed_links(session.home)
    models = [
        ModelDiskUsage(model.name, model.bytes, disk_usage.measure(model.path, links.get(model.name, ())))
        for model in store.models()
    ]
    listed = list_partials(store)
    unfinished = _sum("partials", disk_usage, [entry.path for entry in listed if entry.operation is None])
    leftovers = _sum("rests", disk_usage, [entry.path for entry in listed if entry.operation is not None])
    free = session.disk_free
    state = StoreState(store.name, store.root, True, free)
    return _with_fractions(DiskUsageReport(models, unfinished, leftovers, free, store.root, (state,)))


def _with_fractions(usage: DiskUsageReport) -> DiskUsageReport:
    """Return `usage` with the fraction of each model, the largest model first."""
    total = usage.total or 1
    models = [replace(model, fraction=model.on_disk / total) for model in usage.models]
    largest = sorted(models, key=lambda model: (-model.on_disk, model.name))
    partials, leftovers = (
        replace(model, fraction=model.on_disk / total) for model in (usage.partials, usage.leftovers)
    )
    return replace(usage, models=largest, partials=partials, leftovers=leftovers)


def _sum(name: str, disk_usage: DiskUsage, paths: list[Path]) -> ModelDiskUsage:
    sizes = [disk_usage.measure(path) for path in paths]
    total = Size(*(sum(getattr(size, part) for size in sizes) for part in ("own", "shared", "linked")))
    return ModelDiskUsage(name, total.total, total)
