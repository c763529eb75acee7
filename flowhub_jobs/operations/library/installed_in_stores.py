"""Installed models of a node with several stores: each question goes to the stores, the default one first."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from flowhub_jobs.errors import NotFound
from flowhub_jobs.home import Home
from flowhub_jobs.operations.library.installed import InstalledModels, Removal
from flowhub_jobs.store.library_check import Inventory, LibraryEntry, Presence
from flowhub_jobs.values.artifacts import InstalledModel
from flowhub_jobs.values.enums import Condition


class InstalledInStores(InstalledModels):
    """The models of all stores. Of two models with one name, that of a store that is there comes first."""

    def __init__(self, homes: Sequence[Home], options: Callable[[], Collection[tuple[str, str]]]) -> None:
        """`homes` has the home with each of its stores, the default one first."""
        super().__init__(homes[0], options)
        self._homes, self._each = homes, [InstalledModels(home, options) for home in homes]

    @property
    def presence(self) -> Presence:
        """Whether one of the stores is there."""
        return Presence.AWAY if all(one.presence is Presence.AWAY for one in self._each) else Presence.HERE

    def inventory(self) -> Inventory:
        found = [one.inventory() for one in self._each]
        models = sorted((model for one in found for model in one.models), key=lambda model: model.name)
        gone = [entry for one in found for entry in one.gone]
        return Inventory(models, gone, sorted(name for one in found for name in one.old))

    def model(self, name: str) -> InstalledModel | None:
        return self._of(name).model(name)

    def home_of(self, name: str) -> Home:
        return self._homes[self._number_of(name)]

    def require_store(self) -> None:
        """Raise StoreOffline while no store is there."""
        if self.presence is Presence.AWAY:
            self._each[0].require_store()

    def require_store_of(self, name: str) -> None:
        self._of(name).require_store_of(name)

    def find(self, text: str) -> list[str]:
        """Return the names of the models that are meant, those of stores that are there first. Raises NotFound."""
        names: list[str] = []
        for one in sorted(self._each, key=lambda one: one.presence is Presence.AWAY):
            with suppress(NotFound):
                names += one.find(text)
        if not names:
            known = next((one for one in self._each if one.matching(text)), None)
            return known.find(text) if known else super().find(text)  # which raises
        return list(dict.fromkeys(names))

    def matching(self, text: str) -> list[LibraryEntry]:
        return [entry for one in self._each for entry in one.matching(text)]

    def names(self) -> list[str]:
        return list(dict.fromkeys(name for one in self._each for name in one.names()))

    def are_versions(self, names: list[str]) -> bool:
        claims = {entry.claim for home in self._homes for entry in home.entries.entries() if entry.name in names}
        return len(claims) == 1

    def plan_removal(self, name: str) -> Removal:
        return self._of(name).plan_removal(name)

    def remove(self, name: str) -> int:
        return self._of(name).remove(name)

    def _of(self, name: str) -> InstalledModels:
        return self._each[self._number_of(name)]

    def _number_of(self, name: str) -> int:
        """Return the number of the store that a name means: one that is there, else one whose disk is away."""
        known = {number: model for number, one in enumerate(self._each) if (model := one.model(name)) is not None}
        there = [number for number, model in known.items() if model.condition is not Condition.OFFLINE]
        entries = (number for number, home in enumerate(self._homes) if home.entries.entry(name) is not None)
        return next(iter(there or known), next(entries, 0))
