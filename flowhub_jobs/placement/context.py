"""The store, the library, the rows and the folders that placements work with, and the lock of every change."""

import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowhub_jobs.errors import Busy, NotFound, PlacementRefused, SettingInvalid
from flowhub_jobs.fs.locks import held_lock
from flowhub_jobs.placement.app import App
from flowhub_jobs.placement.row_writes import PlacementRows
from flowhub_jobs.placement.rows import PlacementRow
from flowhub_jobs.store.app_folders import user_folders
from flowhub_jobs.store.layout import Store
from flowhub_jobs.store.library import Library
from flowhub_jobs.store.library_check import LibraryEntry
from flowhub_jobs.system import Clock
from flowhub_jobs.values.artifacts import Artifact


@dataclass(frozen=True, slots=True)
class PlacementContext:
    """What placements of one node work with. `roots` are the folders of programs that config.toml names.

    `hub_endpoint` and the `tokens`, by origin, are for layouts that need the commit of a model.
    """

    rows: PlacementRows
    store: Store
    library: Library
    clock: Clock
    lock: Path
    roots: Mapping[str, str]
    environ: Mapping[str, str]
    hub_endpoint: str
    tokens: Mapping[str, str]

    def root_of(self, app: App) -> Path:
        """Return the folder of a program: config.toml's, else its own. Raises SettingInvalid."""
        user = user_folders(self.environ)
        chosen = self.roots.get(app.name)
        root = Path(chosen).expanduser() if chosen else app.default_root(self.environ, user.home)
        if not root.is_absolute():
            raise SettingInvalid(
                f"The folder of {app.name} is {str(root)!r}, which is not a whole path.",
                hint=f'Name it in config.toml, under [apps]: {app.name} = "/…".',
            )
        return Path(os.path.normpath(root))

    def entry(self, name: str) -> LibraryEntry:
        """Return the library's entry of an installed model. Raises NotFound, PlacementRefused."""
        entry = self.library.entry(name)
        if entry is not None:
            return entry
        if self.store.taken(name) is None:
            raise NotFound(f"{name!r} is not installed.", hint="`flowhub list` shows what is installed.")
        raise PlacementRefused(
            f"{name} was put into the store by hand: flowhub does not know what it is.",
            hint="`flowhub adopt` takes it into the library.",
        )

    def rows_here(self) -> list[PlacementRow]:
        """Return the placements of the models in the mounted store."""
        ids = self.library.ids_here
        return [row for row in self.rows.all() if row.store_id in ids]

    def new_values(self, name: str, version: LibraryEntry | Artifact, app: App, root: Path) -> dict[str, Any]:
        """Return the columns of a new row."""
        return {
            "store_id": self.library.store_id,
            "name": name,
            "artifact_key": version.key,
            "claim": version.claim,
            "model": version.model,
            "option": version.option,
            "app": app.name,
            "root": str(root),
            "token": secrets.token_hex(4),
            "created_at": self.clock.now_us(),
        }

    @contextmanager
    def alone(self, patience_s: float = float("inf")) -> Iterator[None]:
        """Hold the lock of all placements of this machine. Raises Busy after `patience_s`."""
        may_continue = _until(time.monotonic() + patience_s)
        with held_lock(self.lock, may_continue=may_continue, at_most_s=float("inf")):
            yield


def _until(deadline: float) -> Callable[[], None]:
    def may_continue() -> None:
        if time.monotonic() >= deadline:
            raise Busy("Another flowhub process is placing models.", hint="Wait for it, then try again.")

    return may_continue
