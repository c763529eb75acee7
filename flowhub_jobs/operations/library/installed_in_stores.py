"""Installed models of a node with several stores: every lookup tries each store, the default one first.

Two stores may have models of one name. STORE:NAME means the one of that store; no name that flowhub gives has a colon.
"""

from collections import Counter
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
        return Presence.AWAY if all(library.presence is Presence.AWAY for library in self._each) else Presence.HERE

    def inventory(self) -> Inventory:
        inventories = [one.inventory() for one in self._each]
        models = sorted((model for one in inventories for model in one.models), key=lambda model: model.name)
        gone = [entry for one in inventories for entry in one.gone]
        return Inventory(models, gone, sorted(name for one in inventories for name in one.old))

    def model(self, name: str) -> InstalledModel | None:
        number, own_name = self._split(name)
        return self._each[number].model(own_name)

    def located(self, name: str) -> tuple[Home, str]:
        number, own_name = self._split(name)
        return self._homes[number], own_name

    def home_with(self, entry: LibraryEntry) -> Home:
        owners = (home for home in self._homes if entry.store_id and entry.store_id in home.entries.ids_used)
        return next(owners, self._homes[self._number_of(entry.name)])

    def key(self, store: str, name: str) -> str:
        number = next((number for number, home in enumerate(self._homes) if home.store.name == store), 0)
        return self._key(number, name)

    def require_store(self) -> None:
        """Raise StoreOffline while no store is there."""
        if self.presence is Presence.AWAY:
            self._each[0].require_store()

    def require_store_of(self, name: str) -> None:
        number, own_name = self._split(name)
        self._each[number].require_store_of(own_name)

    def find(self, text: str) -> list[str]:
        """Return the names of the models that are meant, those of stores that are there first. Raises NotFound.

        An installed name means one model: that of the first store that has it.
        """
        candidates = self._stores_to_search(text)
        recorded = [(number, name) for number, name in candidates if self._each[number].matching(name)]
        if names := self._keys(recorded, self._find_in) or self._keys(candidates, self._find_in):
            return names
        return self._each[recorded[0][0] if recorded else 0].find(text)  # which raises

    def find_all(self, text: str) -> list[str]:
        return self._keys(self._stores_to_search(text), self._match_in) or self.find(text)

    def matching(self, text: str) -> list[LibraryEntry]:
        return [
            entry
            for number, own_name in self._stores_to_search(text)
            for entry in self._each[number].matching(own_name)
        ]

    def names(self) -> list[str]:
        keys = [(number, name) for number, library in enumerate(self._each) for name in library.names()]
        count = Counter(name for _, name in keys)
        return [name if count[name] == 1 else self._key(number, name) for number, name in keys]

    def are_versions(self, names: list[str]) -> bool:
        locations = map(self.located, names)
        return (
            len(
                {
                    entry.claim
                    for home, own_name in locations
                    for entry in home.entries.entries()
                    if entry.name == own_name
                }
            )
            == 1
        )

    def plan_removal(self, name: str) -> Removal:
        number, own_name = self._split(name)
        return self._each[number].plan_removal(own_name)

    def remove(self, name: str) -> int:
        number, own_name = self._split(name)
        return self._each[number].remove(own_name)

    def _claims(self, text: str) -> dict[str, str]:
        claims: dict[str, str] = {}
        for number, own_name in dict.fromkeys(map(self._split, self.find(text))):
            with suppress(NotFound):
                claims |= self._each[number]._claims(own_name)
        return claims or super()._claims(text)  # which raises

    # Stores and names --------------------------------------------------------------------------------------------

    def _stores_to_search(self, text: str) -> list[tuple[int, str]]:
        """Return the stores to search, those that are there first, each with the text to look for."""
        if (with_store := self._with_store(text)) is not None:
            return [with_store]
        is_away = [library.presence is Presence.AWAY for library in self._each]
        return [(number, text) for number in sorted(range(len(is_away)), key=is_away.__getitem__)]

    def _keys(self, candidates: Sequence[tuple[int, str]], names_of: Callable[[int, str], Sequence[str]]) -> list[str]:
        matches = [(number, own_name, name) for number, own_name in candidates for name in names_of(number, own_name)]
        by_name = [one for one in matches if one[1] == one[2]]
        return list(dict.fromkeys(self._key(number, name) for number, _, name in by_name[:1] or matches))

    def _find_in(self, number: int, text: str) -> list[str]:
        with suppress(NotFound):
            return self._each[number].find(text)
        return []

    def _match_in(self, number: int, text: str) -> list[str]:
        return [entry.name for entry in self._each[number].matching(text)]

    def _key(self, number: int, name: str) -> str:
        """Return the name, with its store where the name alone means the model of another store."""
        return name if self._number_of(name) == number else f"{self._homes[number].store.name}:{name}"

    def _split(self, name: str) -> tuple[int, str]:
        """Return the number of the store that a name means, and the model's name there."""
        return self._with_store(name) or (self._number_of(name), name)

    def _with_store(self, text: str) -> tuple[int, str] | None:
        """Return the two parts of STORE:NAME; None for anything else, such as MODEL:OPTION."""
        store, _, own_name = text.partition(":")
        for number, home in enumerate(self._homes):
            if own_name and home.store.name == store and self._each[number].has(own_name):
                return number, own_name
        return None

    def _number_of(self, name: str) -> int:
        """Return the number of the store that a name means: one that is there, else one whose disk is away."""
        with_file = [number for number, each in enumerate(self._each) if each.has_file(name)]
        if len(with_file) == 1:  # no library needs to be read, as for most names
            return with_file[0]
        models = {number: model for number, each in enumerate(self._each) if (model := each.model(name)) is not None}
        online = [number for number, model in models.items() if model.condition is not Condition.OFFLINE]
        entries = (number for number, home in enumerate(self._homes) if home.entries.entry(name) is not None)
        return next(iter(online or models), next(entries, 0))
