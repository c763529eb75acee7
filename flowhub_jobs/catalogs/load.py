"""The catalog that was asked for: the file shipped, a file of the person's, or a URL with a good copy behind it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from flowhub_jobs.catalogs.resolve import is_other_scheme
from flowhub_jobs.errors import AddressRefused, CatalogMalformed, CatalogUnreadable
from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.net import urls

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.schema import HubCatalog

MAX_BYTES = 100_000_000

# (url, headers to send) -> (status, headers with lower-case names, body)
Fetch = Callable[[str, dict[str, str]], tuple[int, dict[str, str], bytes]]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A catalog, where it came from in words, and what the person must be told about it, if anything."""

    catalog: "HubCatalog"
    where: str
    warning: str | None = None
    overlays: Mapping[str, str] = field(default_factory=dict)  # by model: the imported catalog that it is of
    hidden: Mapping[str, int] = field(default_factory=dict)  # by imported catalog: models whose ids were taken


def load_catalog(source: str | None, *, shipped: Path, cache_dir: Path, fetch: Fetch | None = None) -> Loaded:
    """Return the catalog of `source`: None is the shipped file, else a path or an http(s) URL.

    From a file: CatalogUnreadable, CatalogMalformed. From a URL, where no good copy is kept: CatalogUnreachable,
    CatalogSourceMalformed. Another scheme: AddressRefused. It never falls back to the shipped file.
    """
    if source is None:
        return _from_file(shipped, f"the shipped catalog {shipped}")
    if source.lower().startswith(("https://", "http://")):
        from flowhub_jobs.catalogs.remote import load_remote

        return load_remote(source, cache_dir, fetch)
    if is_other_scheme(source):
        raise AddressRefused(
            f"The catalog {urls.public_url(source)!r} is of a scheme that flowhub does not read.",
            hint="Set FLOWHUB_CATALOG to a path, or to an http or https URL.",
        )
    return _from_file(Path(source).expanduser(), f"catalog file {source}")


def _from_file(path: Path, where: str) -> Loaded:
    from flowhub_jobs.catalogs.schema import parse_catalog

    return Loaded(parse_catalog(_read(path, where), where=where, error=CatalogMalformed), where)


def _read(path: Path, where: str) -> bytes:
    try:
        # Not a pipe and not /dev/zero: neither ever ends.
        if path.exists() and not path.is_file():
            raise CatalogUnreadable(f"{where}: is not a file.")
        if path.stat().st_size > MAX_BYTES:
            raise CatalogUnreadable(f"{where}: has more than {MAX_BYTES // 1_000_000} MB, the most that is read.")
        return read_regular(path, MAX_BYTES)
    except (OSError, ValueError) as fault:  # ValueError: a NUL in the path
        reason = getattr(fault, "strerror", None) or str(fault)
        raise CatalogUnreadable(f"{where}: cannot be read: {reason}.") from fault
