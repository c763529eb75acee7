"""Cleanup of the store: orphaned partials, trash, old versions, and library entries without files.

`find_removable` only looks. `remove_item` checks the item again, under a lock: a job may have started with it.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from flowhub_jobs.errors import Busy
from flowhub_jobs.home import Home
from flowhub_jobs.operations.library.installed import InstalledModels
from flowhub_jobs.operations.library.least_recently_used import (
    UnusedModel,
    bytes_missing,
    chosen_to_fit,
    removable_models,
)
from flowhub_jobs.operations.library.placed import orphans, placed_links
from flowhub_jobs.placement.rows import PlacementRow
from flowhub_jobs.store.disk_usage import measure
from flowhub_jobs.store.layout import DIRECT_DOWNLOAD
from flowhub_jobs.store.library_check import LibraryEntry, condition_of, is_gone, old_versions
from flowhub_jobs.store.partials_dir import PartialsEntry, delete_trash, list_partials, move_to_trash
from flowhub_jobs.transfer.partial.hold import is_in_use, run_unless_in_use
from flowhub_jobs.units import format_duration
from flowhub_jobs.values.enums import Condition
from flowhub_jobs.values.store_settings import DEFAULT_STORE

if TYPE_CHECKING:
    from flowhub_jobs.jobs.find_partial_owner import PartialOwner


class PartialState(StrEnum):
    """State of a partial: whether a job uses it, or may resume it."""

    LIVE = "live"  # a job that is queued, running or paused
    KEPT = "kept"  # of a failed or cancelled job that `retry` could resume; or of `download()`
    NOBODY = "nobody"
    ELSEWHERE = "elsewhere"  # another node that shares the store, or another program: not flowhub's to remove


@dataclass(frozen=True, slots=True)
class Partial:
    """A partial and the job that owns it. `age_s`: since the last write to it."""

    leaving: PartialsEntry
    state: PartialState
    holder: "PartialOwner | None"
    age_s: int

    @property
    def name(self) -> str:
        return self.leaving.name


class Removable(StrEnum):
    PARTIAL = "partial"
    KEPT = "kept partial"
    REST = "rest"  # of a removal, a repair, an adoption
    OLD = "old version"
    PLACEMENT = "placement"  # in another program's folder, of a model that is not in the library any more
    UNUSED = "unused model"  # with --to-fit: the least recently opened ones
    GONE = "gone"  # an entry of the library whose file was removed by hand: nothing but its row


@dataclass(frozen=True, slots=True)
class Item:
    """One item that can be removed. `frees` is how many of its `bytes` that frees; `why` is for people; `age_s` is its
    age."""

    kind: Removable
    name: str
    path: Path
    bytes: int
    frees: int
    age_s: int
    why: str
    job: int | None = None
    leaving: PartialsEntry | None = None
    placement: PlacementRow | None = None
    store: str = DEFAULT_STORE


def partials(home: Home) -> list[Partial]:
    """Return the partials in the store, by name."""
    entries = list_partials(home.store)
    own_keys = {leaving.key for leaving in entries if leaving.key and leaving.node == home.node}
    owners = _owners_of_partials(home, own_keys)
    now = home.clock.now_us() / 1e6
    return [_partial(home, leaving, owners, now) for leaving in entries]


def _owners_of_partials(home: Home, keys: Collection[str]) -> "dict[str, PartialOwner]":
    if not keys:
        return {}
    from flowhub_jobs.jobs.find_partial_owner import partial_owners

    return partial_owners(home.engine, home.node, keys)


def _partial(home: Home, leaving: PartialsEntry, owners: "dict[str, PartialOwner]", now: float) -> Partial:
    holder = owners.get(leaving.key or "") if leaving.node == home.node else None
    age = max(0, round(now - leaving.touched_at))
    return Partial(leaving, _state(home, leaving, holder, now), holder, age)


def _state(home: Home, leaving: PartialsEntry, holder: "PartialOwner | None", now: float) -> PartialState:
    if leaving.operation is not None:
        return PartialState.NOBODY if leaving.is_leftover(now) else PartialState.LIVE
    if leaving.node == DIRECT_DOWNLOAD:
        return PartialState.LIVE if is_in_use(leaving.path, home.this_run()) else PartialState.KEPT
    if leaving.node != home.node:
        return PartialState.ELSEWHERE
    if (holder is None or not holder.live) and is_in_use(leaving.path, home.this_run()):
        return PartialState.ELSEWHERE  # a second home with this node's name
    if holder is None:
        return PartialState.NOBODY
    return PartialState.LIVE if holder.live else PartialState.KEPT


# What there is -------------------------------------------------------------------------------------------------------


def find_removable(home: Home, installed: InstalledModels) -> list[Item]:
    """Return all that can be removed. Raises StoreOffline: files on an absent disk do not count as gone."""
    installed.require_store()
    unfinished = [item for partial in partials(home) if (item := _of_partial(partial)) is not None]
    items = [
        *unfinished,
        *old_version_items(home, home.clock.now_us()),
        *_missing_items(home, installed),
        *_orphans(home),
    ]
    return [replace(item, store=home.store.name) for item in items]


def _of_partial(partial: Partial) -> Item | None:
    leaving, holder = partial.leaving, partial.holder
    details = (partial.name, leaving.path, leaving.bytes, leaving.frees, partial.age_s)
    if partial.state is PartialState.NOBODY and leaving.operation:
        return Item(Removable.REST, *details, why=f"of {leaving.operation} that was cut short", leaving=leaving)
    if partial.state is PartialState.NOBODY:
        return Item(Removable.PARTIAL, *details, why="no job uses it", leaving=leaving)
    if partial.state is PartialState.KEPT:
        reason = f"job {holder.job} {_ENDED[holder.state]}" if holder else "of a call of download()"
        return Item(Removable.KEPT, *details, why=reason, job=holder.job if holder else None, leaving=leaving)
    return None


_ENDED = {"failed": "failed", "cancelled": "was cancelled"}


def old_version_items(home: Home, now: int) -> list[Item]:
    """Return the versions whose successor is installed and unchanged. Models that were changed by hand stay."""
    entries, items, links = home.entries.entries_here(), [], placed_links(home)
    by_name = {entry.name: entry for entry in entries}
    for name, newer in old_versions(entries).items():
        if _is_sound(home, by_name[name]) and _is_sound(home, newer):
            path = home.store.root / name
            reason = f"{newer.name} is newer"
            age = max(0, (now - newer.installed_at) // 1_000_000)
            frees = measure(path, links.get(name, ())).own
            items.append(Item(Removable.OLD, name, path, by_name[name].bytes, frees, age, reason))
    return items


def _is_sound(home: Home, entry: LibraryEntry) -> bool:
    return condition_of(entry, home.store.root / entry.name) is Condition.GOOD


def _missing_items(home: Home, installed: InstalledModels) -> list[Item]:
    presence = installed.presence
    entries = [entry for entry in home.entries.entries_here() if is_gone(home.store, entry, presence)]
    reason = "removed by hand; its entry is forgotten"
    return [Item(Removable.GONE, entry.name, home.store.root / entry.name, 0, 0, 0, reason) for entry in entries]


def _orphans(home: Home) -> list[Item]:
    reason = "its model is not in the library any more"
    return [
        Item(Removable.PLACEMENT, f"{row.name} in {row.app}", row.path or row.root, 0, 0, 0, reason, placement=row)
        for row in orphans(home)
    ]


def find_to_fit(home: Home, others: Sequence[Item]) -> list[Item]:
    """Return the models to remove so that the queue fits, besides the `others` that are removed anyway."""
    missing = bytes_missing(home) - sum(item.frees for item in others)
    names = {item.name for item in others}
    now = home.clock.now_us()
    models = [model for model in removable_models(home) if model.name not in names]
    items = [_unused_item(model, max(0, now - model.used_at) // 1_000_000) for model in chosen_to_fit(models, missing)]
    return [replace(item, store=home.store.name) for item in items]


def _unused_item(model: UnusedModel, age_s: int) -> Item:
    since = "last opened" if model.opened else "not opened since it was installed"
    reason = f"{since} {format_duration(age_s)} ago"
    return Item(Removable.UNUSED, model.name, model.path, model.bytes, model.frees, age_s, reason)


# Clear it away -------------------------------------------------------------------------------------------------------


def remove_item(home: Home, installed: InstalledModels, item: Item) -> int:
    """Remove one item; return the bytes that it frees. Raises Busy if it is no leftover any more."""
    if item.kind is Removable.UNUSED:
        if item.name not in {model.name for model in removable_models(home)}:
            raise _in_use_again(item)
        installed.remove(item.name)
    elif item.kind in (Removable.OLD, Removable.GONE):
        removable_now = (
            old_version_items(home, home.clock.now_us())
            if item.kind is Removable.OLD
            else _missing_items(home, installed)
        )
        if item.name not in {other.name for other in removable_now}:
            raise _in_use_again(item)
        installed.remove(item.name)
    elif item.placement is not None:
        home.placements.remove([item.placement])
    else:
        assert item.leaving is not None
        _remove_partial(home, item, item.leaving)
    return item.frees


def _remove_partial(home: Home, item: Item, leaving: PartialsEntry) -> None:
    """Rename it in one step, then remove it: a job that starts in between finds all of it, or nothing."""
    in_trash: list[Path] = []

    def move_away() -> None:
        in_trash.append(move_to_trash(home.store, leaving.path))

    try:
        removed = _run_unless_used(home, item, leaving, move_away)
    except FileNotFoundError:
        return  # another process removed it first
    if not removed:
        raise _in_use_again(item)
    delete_trash(in_trash[0])
    if item.job is not None:
        home.commands.purged(item.job)


def _run_unless_used(home: Home, item: Item, leaving: PartialsEntry, remove: Callable[[], None]) -> bool:
    if leaving.node == DIRECT_DOWNLOAD:
        return run_unless_in_use(leaving.path, home.this_run(), remove)  # it has no row that could keep a call from it
    if leaving.key is None:
        remove()
        return True
    from flowhub_jobs.jobs.find_partial_owner import unless_owned

    return unless_owned(home.engine, home.node, leaving.key, remove, but=item.job)


def _in_use_again(item: Item) -> Busy:
    return Busy(f"{item.name} is in use again.", hint="Run `flowhub prune` again to see what can be removed.")


def chosen(items: Sequence[Item], kinds: Sequence[Removable], older_s: float | None) -> list[Item]:
    """Return the items to remove. A partial kept for `retry` is removed only if it is older than a given age. Pure."""
    fit = [item for item in items if item.kind in kinds and item.age_s >= (older_s or 0)]
    return [item for item in fit if older_s is not None or item.kind is not Removable.KEPT]
