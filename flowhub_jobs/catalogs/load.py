"""Loads a catalog: the shipped file, another file, or a URL (`remote`)."""

from pathlib import Path

from flowhub_jobs.catalogs.loaded import MAX_BYTES, Fetch, LoadedCatalog
from flowhub_jobs.catalogs.resolve import is_other_scheme
from flowhub_jobs.errors import AddressRefused, CatalogMalformed, CatalogUnreadable
from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.net import redaction


def load_catalog(source: str | None, *, shipped: Path, cache_dir: Path, fetch: Fetch | None = None) -> LoadedCatalog:
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
            f"The catalog {redaction.public_url(source)!r} uses a scheme that flowhub does not support.",
            hint="Set FLOWHUB_CATALOG to a path, or to an http or https URL.",
        )
    return _from_file(Path(source).expanduser(), f"catalog file {source}")


def _from_file(path: Path, where: str) -> LoadedCatalog:
    from flowhub_jobs.catalogs.schema import parse_catalog

    return LoadedCatalog(parse_catalog(_read(path, where), where=where, error=CatalogMalformed), where)


def _read(path: Path, where: str) -> bytes:
    try:
        # Not a pipe and not /dev/zero: neither ever ends.
        if path.exists() and not path.is_file():
            raise CatalogUnreadable(f"{where}: is not a file.")
        if path.stat().st_size > MAX_BYTES:
            raise CatalogUnreadable(
                f"{where}: is larger than {MAX_BYTES // 1_000_000} MB, the most that flowhub reads."
            )
        return read_regular(path, MAX_BYTES)
    except (OSError, ValueError) as fault:  # ValueError: a NUL in the path
        reason = getattr(fault, "strerror", None) or str(fault)
        raise CatalogUnreadable(f"{where}: cannot be read: {reason}.") from fault
