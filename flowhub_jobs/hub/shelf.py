"""What stands on the shelf: the models that are installed, found by what a person types, and removed."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flowhub_jobs.errors import Busy, NotFound
from flowhub_jobs.home import Home
from flowhub_jobs.records import InstalledModel

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.schema import HubCatalog


class Shelf:
    def __init__(self, home: Home, catalog: "Callable[[], HubCatalog]") -> None:
        """`catalog` is asked for only where it matters whether a model is in it."""
        self._home, self._catalog = home, catalog

    def models(self) -> list[InstalledModel]:
        from flowhub_jobs.hub.shipped import has_option

        catalog = self._catalog()
        return self._home.library.models(lambda model, option: has_option(catalog, model, option))

    def find(self, text: str) -> list[str]:
        """Return the names in the store that a reference or an installed name means. Raises NotFound."""
        models = self._home.library.models(lambda model, option: False)
        by_name = [model.name for model in models if model.name == text]
        wanted, _, option = text.lower().replace(":", "@").partition("@")
        by_ref = [m.name for m in models if m.model == wanted and option in ("", m.option)]
        if not (found := by_name or by_ref):
            raise NotFound(f"{text!r} is not installed.", hint=_nearest_hint(text, [model.name for model in models]))
        return found

    def remove(self, name: str) -> int:
        """Remove a model by its bare name; return the bytes it had. Raises Busy while a job works on it."""
        path = self._home.store.path_of(name)
        job = self._home.reports.working_on([str(path)])
        if job is not None:
            raise Busy(
                f"{name} is being worked on by job {job}.", hint=f"`flowhub cancel {job}` first, or wait for it."
            )
        size = self._home.store.remove(name)
        self._home.library.forget(name)
        return size


def _nearest_hint(text: str, names: Iterable[str]) -> str:
    from flowhub_jobs.catalogs.nearest import nearest

    close = nearest(text, list(names))
    return f"Nearest: {', '.join(close)}." if close else "`flowhub list` shows what is installed."
