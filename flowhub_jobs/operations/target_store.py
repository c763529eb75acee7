"""Chooses the store and the name of each artifact of one `enqueue`, and finds those that are installed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from flowhub_jobs.fs.names import same_name_key
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.enqueue_rows import EnqueueTerms
from flowhub_jobs.store.library_fast import Installed
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.store_settings import DEFAULT_STORE


@dataclass(frozen=True, slots=True)
class InstalledCopy:
    """An artifact that is installed, unchanged, in the store of `home`."""

    home: Home
    installed: Installed


class TargetStores:
    """The stores of a node, as far as these artifacts are concerned; each is read once."""

    def __init__(self, home: Home, keys: Sequence[str]) -> None:
        self._homes = home.each_store()
        self._here = [(each, each.entries.unchanged(keys)) for each in self._homes]
        self._owners: dict[str, dict[str, str]] = {}

    def found(self, artifact: Artifact, terms: EnqueueTerms) -> InstalledCopy | None:
        """Return where the artifact is installed. With `force` only the store that it is fetched to counts."""
        matches = [InstalledCopy(home, by_key[artifact.key]) for home, by_key in self._here if artifact.key in by_key]
        if terms.force:
            store_name = self.home_for(artifact, terms).store.name
            matches = [match for match in matches if match.home.store.name == store_name]
        return matches[0] if matches else None

    def home_for(self, artifact: Artifact, terms: EnqueueTerms) -> Home:
        """Return the home with the store to install it in: the named one, else that of its older version.

        Raises StoreOffline for a name that is not in the settings.
        """
        name = terms.store or self._store_by_claim.get(artifact.claim, DEFAULT_STORE)
        return self._homes[0].in_store(name)

    @cached_property
    def _store_by_claim(self) -> dict[str, str]:
        if len(self._homes) == 1:
            return {}
        return {entry.claim: home.store.name for home in reversed(self._homes) for entry in home.entries.entries_here()}

    def name_for(self, artifact: Artifact, home: Home) -> str:
        """Return the name that the artifact gets in that store."""
        if home.store.name not in self._owners:
            self._owners[home.store.name] = home.entries.owners()
        claim = self._owners[home.store.name].get(same_name_key(artifact.name), artifact.claim)
        return artifact.name if claim == artifact.claim else artifact.second_name()
