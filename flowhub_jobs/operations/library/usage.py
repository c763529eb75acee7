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
    """A store of the settings. `free` bytes has its disk, None while it is not there."""

    name: str
    path: Path
    online: bool
    free: int | None


def store_states(session: Session) -> tuple[StoreState, ...]:
    """Return each store of the settings, the default one first; no file in it is looked at."""
    return tuple(_state_of(one) for one in session.each_store())


def _state_of(session: Session) -> StoreState:
    online = not session.home.store_is_away()
    free = session.disk_free if online else None
    return StoreState(session.store.name, session.store.root, online, free)


@dataclass(frozen=True, slots=True)
class StoreUsage:
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


def list_store(session: Session) -> StoreUsage:
    """Return the content of all stores; nothing is written, and no job is blocked."""
    usages = [_list_one(usage) for usage in session.each_store()]
    return replace(
        usages[0],
        models=sorted((model for usage in usages for model in usage.models), key=lambda model: model.name),
        gone=[entry for usage in usages for entry in usage.gone],
        old=[name for usage in usages for name in usage.old],
        partials=[partial for usage in usages for partial in usage.partials],
        waiting=tuple(f"{row.name} in {row.app}" for row in waiting_placements(session.home)),
        stores=tuple(state for usage in usages for state in usage.stores),
    )


def _list_one(session: Session) -> StoreUsage:
    inventory, installed = session.installed.inventory(), session.installed
    presence = installed.presence
    is_online = presence is not Presence.AWAY
    free = session.disk_free if is_online else None
    unfinished = partials(session.home) if is_online else []
    programs = programs_by_name(session.home)
    models = [replace(model, placed_in=tuple(programs.get(model.name, ()))) for model in inventory.models]
    state = StoreState(session.store.name, session.store.root, is_online, free)
    details = (inventory.old, unfinished, presence, session.store.root, free)
    return StoreUsage(models, inventory.gone, *details, stores=(state,))


@dataclass(frozen=True, slots=True)
class Share:
    """Disk usage of one model. `part` is its share of the store's, from 0 to 1."""

    name: str
    bytes: int
    weight: Size
    part: float = 0.0

    @property
    def on_disk(self) -> int:
        return self.weight.own + self.weight.shared


@dataclass(frozen=True, slots=True)
class Usage:
    """Disk usage of the store: models, the largest first, and the entries of the partials folder. Bytes."""

    models: list[Share]
    partials: Share
    leftovers: Share
    free: int
    root: Path
    stores: tuple[StoreState, ...] = ()  # those that are there, this one first

    @property
    def total(self) -> int:
        return sum(share.on_disk for share in self._all)

    @property
    def shared(self) -> int:
        """The bytes that have names outside of the store, too: to remove them here frees nothing."""
        return sum(share.weight.shared for share in self._all)

    @property
    def linked(self) -> int:
        """The bytes that are elsewhere, behind symbolic links."""
        return sum(share.weight.linked for share in self._all)

    @property
    def _all(self) -> list[Share]:
        return [*self.models, self.partials, self.leftovers]


def measure_store(session: Session) -> Usage:
    """Measure everything in the stores that are there; a file with several names counts once. Raises StoreOffline."""
    session.installed.require_store()
    return _sum_usages([_measure_one(one) for one in session.each_store() if not one.home.store_is_away()])


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
    used: Usage


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
            used=_sum_usages([_measure_one(store_session) for store_session in on_disk]),
        )
        for on_disk in disks.values()
    ]


def _sum_usages(usages: list[Usage]) -> Usage:
    if len(usages) == 1:
        return usages[0]
    partials = _sum_shares([usage.partials for usage in usages])
    leftovers = _sum_shares([usage.leftovers for usage in usages])
    models = [share for usage in usages for share in usage.models]
    states = tuple(state for usage in usages for state in usage.stores)
    return _with_parts(replace(usages[0], models=models, partials=partials, leftovers=leftovers, stores=states))


def _sum_shares(shares: list[Share]) -> Share:
    total = Size(*(sum(getattr(share.weight, part) for share in shares) for part in ("own", "shared", "linked")))
    return Share(shares[0].name, total.total, total)


def _measure_one(session: Session) -> Usage:
    disk_usage, store = DiskUsage(), session.store
    links = placed_links(session.home)
    models = [
        Share(model.name, model.bytes, disk_usage.measure(model.path, links.get(model.name, ())))
        for model in store.models()
    ]
    listed = list_partials(store)
    unfinished = _sum("partials", disk_usage, [entry.path for entry in listed if entry.operation is None])
    leftovers = _sum("rests", disk_usage, [entry.path for entry in listed if entry.operation is not None])
    free = session.disk_free
    state = StoreState(store.name, store.root, True, free)
    return _with_parts(Usage(models, unfinished, leftovers, free, store.root, (state,)))


def _with_parts(usage: Usage) -> Usage:
    """Return the same with the part of each share, and the largest model first."""
    total = usage.total or 1
    parts = [replace(share, part=share.on_disk / total) for share in usage.models]
    largest = sorted(parts, key=lambda share: (-share.on_disk, share.name))
    partials, leftovers = (replace(share, part=share.on_disk / total) for share in (usage.partials, usage.leftovers))
    return replace(usage, models=largest, partials=partials, leftovers=leftovers)


def _sum(name: str, disk_usage: DiskUsage, paths: list[Path]) -> Share:
    weights = [disk_usage.measure(path) for path in paths]
    total = Size(*(sum(getattr(weight, part) for weight in weights) for part in ("own", "shared", "linked")))
    return Share(name, total.total, total)
