"""Installed models: listed, found by name or reference, and removed."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from flowhub_jobs.errors import Busy, NotFound, StoreOffline, UsageInvalid
from flowhub_jobs.fs.names import name_problem
from flowhub_jobs.home import Home
from flowhub_jobs.operations.library.match import can_be_enqueued, match_entries
from flowhub_jobs.operations.library.placed import placed_links, programs_by_name, remove_placements_of
from flowhub_jobs.store.disk_usage import Size, measure
from flowhub_jobs.store.layout import local_model
from flowhub_jobs.store.library_check import (
    Inventory,
    LibraryEntry,
    Presence,
    installed_model,
    is_gone,
    is_unchanged,
    take_inventory,
    unknown_model,
)
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.artifacts import InstalledModel
from flowhub_jobs.values.store_settings import DEFAULT_STORE


@dataclass(frozen=True, slots=True)
class Removal:
    """Effects of the removal of a model. `bytes` is its listed size.

    `link_target`: set if the model is a symbolic link. `linked_from`: the file whose bytes it shares. `forgotten`: its
    files were removed by hand; only the library entry is removed.
    """

    name: str
    bytes: int
    disk_usage: Size
    link_target: Path | None = None
    linked_from: str | None = None
    forgotten: bool = False
    placed_in: tuple[str, ...] = ()  # the programs from whose folders it is removed, too

    @property
    def freed(self) -> int:
        return self.disk_usage.own

    @property
    def shares_blocks(self) -> bool:
        """Return whether it is a copy that shares its blocks with another: how much it frees, only the disk knows."""
        return bool(
            self.linked_from and self.disk_usage.own and not self.disk_usage.shared and not self.disk_usage.linked
        )


def freed_note(removal: Removal) -> str:
    """Return the addition to a sentence on a removal, e.g. "; this frees …", if not all of its bytes are freed."""
    if removal.link_target:
        return f"; this frees no space: {removal.link_target} stays"
    if removal.disk_usage.shared + removal.disk_usage.linked:
        stays = f"what {removal.linked_from} has" if removal.linked_from else "what has other names"
        frees = format_bytes(removal.freed) if removal.freed else "no space"
        return f"; this frees {frees}: {stays} stays"
    if removal.shares_blocks:
        return f"; it frees less, if its disk lets it share bytes with {removal.linked_from}"
    return ""


class InstalledModels:
    def __init__(self, home: Home, options: Callable[[], Collection[tuple[str, str]]]) -> None:
        """`options` returns each model and option of the catalog; it is called where that matters."""
        self._home, self._options = home, options

    def located(self, name: str) -> tuple[Home, str]:
        """Return the home with the store that a name means, and the model's name there."""
        return self._home, name

    def key(self, store: str, name: str) -> str:
        """Return the name by which the other methods know the model of a store, which is not unique in all stores."""
        return name

    def home_with(self, entry: LibraryEntry) -> Home:
        """Return the home with the store that has this model."""
        return self._home

    # Presence -------------------------------------------------------------------------------------------------------

    @property
    def presence(self) -> Presence:
        """Whether the store is there. Nothing is made or written."""
        store, last_identity = self._home.store, self._home.entries.known_store()
        is_away = store.is_away(last_identity, own=store.root.is_relative_to(self._home.settings.home))
        return Presence.AWAY if is_away else Presence.HERE

    @property
    def presence_of(self) -> Callable[[LibraryEntry], Presence]:
        """Whether an entry is of the mounted store."""
        presence, store_id = self.presence, self._home.entries.store_id
        if presence is Presence.AWAY:
            return lambda entry: Presence.AWAY
        return lambda entry: Presence.HERE if entry.store_id in (store_id, "") else Presence.ANOTHER

    def inventory(self) -> Inventory:
        """Return the installed models, joined to the catalog in force, and those whose files were removed by hand."""
        options, entries = self._options(), self._home.entries.entries()
        in_catalog = lambda model, option: (model, option) in options  # noqa: E731
        inventory = take_inventory(self._home.store, entries, in_catalog, self.presence_of)
        if (store := self._home.store.name) != DEFAULT_STORE:
            inventory = replace(inventory, models=[replace(model, store=store) for model in inventory.models])
        if not (pinned := self._home.entries.pinned()):
            return inventory
        pinned_names = {entry.name for entry in entries if entry.claim in pinned}
        return replace(inventory, models=[replace(one, pinned=one.name in pinned_names) for one in inventory.models])

    def models(self) -> list[InstalledModel]:
        return self.inventory().models

    def model(self, name: str) -> InstalledModel | None:
        """Return one installed model by its name; None if it is not there. The catalog is not consulted."""
        model = self._model(name)
        return None if model is None else replace(model, store=self._home.store.name)

    def has(self, name: str) -> bool:
        """Return whether a model is listed, or recorded, by this name."""
        return self.has_file(name) or self._entry(name) is not None

    def _model(self, name: str) -> InstalledModel | None:
        if not name or name.startswith(".") or "/" in name:  # the store itself, or not in it
            return None
        local = local_model(self._home.store.root / name)
        entry = self._entry(name)
        if entry is None:
            return unknown_model(local) if local else None
        presence = self.presence_of(entry)
        if presence is Presence.ANOTHER and local and not is_unchanged(entry, local.path):
            return unknown_model(local)
        if is_gone(self._home.store, entry, presence):
            return None
        model = installed_model(self._home.store, entry, local, lambda model, option: False, presence)
        return replace(model, placed_in=tuple(programs_by_name(self._home).get(name, ())))

    def _entry(self, name: str) -> LibraryEntry | None:
        """Return the entry of a name in the mounted store, else in another."""
        if (entry_here := self._home.entries.entry(name)) is not None:
            return entry_here
        return next((entry for entry in self._home.entries.entries() if entry.name == name), None)

    def require_store(self) -> None:
        """Raise StoreOffline while the store's disk is not there."""
        if self.presence is Presence.AWAY:
            problem = f"The store {self._home.store.root} is not there: its disk is not mounted."
            raise StoreOffline(problem, hint="Mount the disk, then try again.")

    def require_store_of(self, name: str) -> None:
        """Raise StoreOffline for a model whose store's disk is not there, or not the one that is mounted now."""
        self.require_store()
        entry = self._entry(name)
        if entry and self.presence_of(entry) is Presence.ANOTHER and not self.has_file(name):
            problem = f"{name} is in another store than the one that is at {self._home.store.root} now."
            raise StoreOffline(
                problem, hint="Mount its disk, or name its folder in [stores] of config.toml; then try again."
            )

    # Find ----------------------------------------------------------------------------------------------------------

    def find(self, text: str) -> list[str]:
        """Return the names of the models that a reference or an installed name means, the newest version first.

        Raises NotFound, with a different message for a model whose files were removed by hand.
        """
        presence_of, entries = self.presence_of, self.matching(text)
        if present := [entry.name for entry in entries if not is_gone(self._home.store, entry, presence_of(entry))]:
            return list(dict.fromkeys(present))
        if self.has_file(text):
            return [text]
        if entries:
            ref = entries[0].ref
            raise NotFound(
                f"{text} was installed as {entries[0].name}, which was removed by hand since.",
                hint=(f"`flowhub enqueue {ref}` downloads it again; " if can_be_enqueued(entries[0]) else "")
                + f"`flowhub rm {entries[0].name}` forgets it.",
            )
        raise NotFound(
            f"{text[:200]!r} is not installed.", hint=self._job_hint(text) or _nearest_hint(text, self.names())
        )

    def _job_hint(self, text: str) -> str | None:
        """Return which job downloads a model that is not installed yet."""
        reference = text.strip().lower().replace(":", "@")
        for job in self._home.queries.all(live=True):
            if job.brings and (job.ref == text.strip() or reference in (job.model, f"{job.model}@{job.option}")):
                return f"Job {job.id} downloads it; `flowhub status {job.id}` shows how far it is."
        return None

    def find_one(self, text: str) -> InstalledModel:
        """Return the one model that is meant, of several versions the newest.

        Raises NotFound, StoreOffline, and UsageInvalid where several variants are meant.
        """
        names = self.find(text)
        if len(names) > 1 and not self.are_versions(names):
            raise UsageInvalid(f"{text} is installed in {len(names)} variants.", hint=f"Name one: {', '.join(names)}.")
        self.require_store_of(names[0])
        model = self.model(names[0])
        if model is None:
            raise NotFound(
                f"{names[0]} was removed by another process.", hint="`flowhub list` shows what is installed."
            )
        return model

    def named(self, name: str) -> str:
        """Return the name if a model is listed under it; a reference is not a name. Raises NotFound with the nearest
        names."""
        if name in (names := self.names()):
            return name
        raise NotFound(f"{name[:200]!r} is not installed.", hint=_nearest_hint(name, names))

    def find_all(self, text: str) -> list[str]:
        """Return what `find` does, and the names that are in the library alone. Raises NotFound."""
        return [entry.name for entry in self.matching(text)] or self.find(text)

    def are_versions(self, names: list[str]) -> bool:
        """Return whether these are all versions of one variant of a model."""
        return len({entry.claim for entry in self._home.entries.entries() if entry.name in names}) == 1

    def matching(self, text: str) -> list[LibraryEntry]:
        """Return the entries that a reference or an installed name means, the newest first."""
        entries = self._home.entries.entries()
        matches, presence_of = match_entries(text, entries, self._home.settings.hf_endpoint), self.presence_of
        newest_first = sorted(matches, key=lambda entry: entry.installed_at, reverse=True)
        # Models that are away do not stand in the way of those that can be used.
        usable = [entry for entry in newest_first if presence_of(entry) is not Presence.ANOTHER]
        return usable or newest_first

    def has_file(self, name: str) -> bool:
        """Return whether a file or folder of this name is in the store."""
        return name_problem(name) is None and local_model(self._home.store.root / name) is not None

    def names(self) -> list[str]:
        """Return the names of all models, also of those put there by hand."""
        listed = (model.name for model in self._home.store.models())
        return list(dict.fromkeys([*listed, *(entry.name for entry in self._home.entries.entries())]))

    # Pin -----------------------------------------------------------------------------------------------------------

    def pin(self, text: str) -> list[str]:
        """Keep models from `prune --to-fit`; return their names. Raises NotFound, also for a file put there by hand."""
        claims = self._claims(text)
        for claim in set(claims.values()):
            self._home.library.pin(claim, self._home.clock.now_us())
        return list(claims)

    def unpin(self, text: str) -> list[str]:
        """Allow `prune --to-fit` to remove models; return their names. Raises NotFound."""
        claims = self._claims(text)
        for claim in set(claims.values()):
            self._home.library.unpin(claim)
        return list(claims)

    def _claims(self, text: str) -> dict[str, str]:
        names = set(self.find(text))
        claims = {entry.name: entry.claim for entry in self.matching(text) if entry.name in names}
        if not claims:
            raise NotFound(f"{text} was put into the store by hand; `prune` never removes it.")
        return claims

    # Remove --------------------------------------------------------------------------------------------------------

    def plan_removal(self, name: str) -> Removal:
        """Return the effects of `remove`, without removing anything."""
        path = self._home.store.path_of(name)
        entry = self._home.entries.entry(name)
        if entry and is_gone(self._home.store, entry, self.presence_of(entry)):
            return Removal(name, 0, Size(), forgotten=True)
        local = local_model(path)
        link_target = path.readlink() if path.is_symlink() else None
        shares = entry.linked_from if entry and entry.linked_from and Path(entry.linked_from).exists() else None
        disk_usage = measure(path, placed_links(self._home).get(name, ()))
        programs = tuple(programs_by_name(self._home).get(name, ()))
        return Removal(name, local.bytes if local else 0, disk_usage, link_target, shares, placed_in=programs)

    def remove(self, name: str) -> int:
        """Remove a model by its bare name; return the bytes it had. If its files are gone, only its entry is removed.

        Raises Busy while a job works on it, NotFound, StoreOffline.
        """
        self.require_store_of(name)
        path = self._home.store.path_of(name)
        entry = self._home.entries.entry(name)
        job = self._home.queries.working_on([str(path)], entry.key if entry else None)
        if job is not None:
            raise Busy(
                f"{name} is being worked on by job {job}.", hint=f"`flowhub cancel {job}` first, or wait for it."
            )
        remove_placements_of(self._home, name)
        forgotten = self.plan_removal(name).forgotten
        size = 0 if forgotten else self._home.store.remove(name)
        self._home.library.forget(name)
        return size


def _nearest_hint(text: str, names: Iterable[str]) -> str:
    from flowhub_jobs.catalogs.suggest import nearest

    close = nearest(text, list(names))
    return f"Nearest: {', '.join(close)}." if close else "`flowhub list` shows what is installed."
