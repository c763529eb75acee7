"""LoadedCatalog: a catalog, its origin, and the warnings about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # pydantic is imported only to load a catalog
    from flowhub_jobs.catalogs.schema import HubCatalog

MAX_BYTES = 100_000_000

# (url, headers to send) -> (status, headers with lower-case names, body)
Fetch = Callable[[str, dict[str, str]], tuple[int, dict[str, str], bytes]]


@dataclass(frozen=True, slots=True)
class LoadedCatalog:
    """A catalog, the text that names its origin, and a warning for the user, if there is one."""

    catalog: "HubCatalog"
    where: str
    warning: str | None = None
    imported: Mapping[str, str] = field(default_factory=dict)  # by model: the imported catalog that it is from
    hidden: Mapping[str, int] = field(default_factory=dict)  # by imported catalog: models whose ids were taken
