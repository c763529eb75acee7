"""Loads a catalog from its URL on every call; where the source fails, from the last good copy.

A conditional GET is one small round trip, and every rule that skips it would one day install an old digest. With a good
copy the wait for a connection is short.
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from flowhub_jobs.catalogs.cached_copy_paths import FACTS_BYTES, copy_path, facts_path
from flowhub_jobs.catalogs.loaded import MAX_BYTES, Fetch, LoadedCatalog
from flowhub_jobs.catalogs.schema import HubCatalog, parse_catalog
from flowhub_jobs.errors import NETWORK_SETTINGS, CatalogSourceMalformed, CatalogUnreachable, FlowhubError
from flowhub_jobs.fs.atomic_write import write_whole
from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.net import get, redaction, urls

CONNECT_S = 10.0
CONNECT_WITH_COPY_S = 3.0
TOTAL_S = 120.0  # a source that sends slower counts as unreachable


class _Copy(NamedTuple):
    """The last good copy: its catalog, and its validators (`etag`, `last_modified`) with `checked_at`."""

    catalog: HubCatalog
    facts: dict[str, str]


def load_remote(url: str, cache_dir: Path, fetch: Fetch | None) -> LoadedCatalog:
    """Return the catalog at `url`, or its last good copy with a warning; the errors as `load_catalog` says."""
    urls.check_address(url, pinned=True)  # pinned: FLOWHUB_CATALOG may be plain http, by the contract
    where = f"catalog {redaction.public_url(url)}"
    body_path = copy_path(url, cache_dir)
    copy = _read_copy(body_path, where)
    try:
        return _load(url, where, body_path, copy, fetch or _http_fetch(copy))
    except (CatalogUnreachable, CatalogSourceMalformed) as fault:
        if copy is None:
            raise
        age = _age(copy.facts.get("checked_at", ""), datetime.now(UTC))
        return LoadedCatalog(
            copy.catalog, where, f"{fault.message.removesuffix('.')}. The last good copy is used, {age}."
        )


def cached_catalog(url: str, cache_dir: Path) -> HubCatalog | None:
    """Return the last good copy, without a request; None where there is none."""
    copy = _read_copy(copy_path(url, cache_dir), f"catalog {redaction.public_url(url)}")
    return copy.catalog if copy else None


def _load(url: str, where: str, body_path: Path, copy: _Copy | None, fetch: Fetch) -> LoadedCatalog:
    status, headers, body = _ask(url, where, fetch, _conditions(copy))
    if status == 304 and copy is not None:
        _keep_facts(body_path, copy.facts)
        return LoadedCatalog(copy.catalog, where)
    if status != 200:
        raise CatalogUnreachable(f"{where}: cannot be downloaded: its host answered {status}.")
    catalog = parse_catalog(body, where=where, error=CatalogSourceMalformed)
    return LoadedCatalog(catalog, where, _keep(body_path, body, headers))


def _ask(url: str, where: str, fetch: Fetch, conditions: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
    try:
        return fetch(url, conditions)
    except FlowhubError as fault:
        hint = fault.hint if isinstance(fault, NETWORK_SETTINGS) else None
        raise CatalogUnreachable(f"{where}: cannot be downloaded: {fault.message}", hint=hint) from fault


def _conditions(copy: _Copy | None) -> dict[str, str]:
    facts = copy.facts if copy else {}
    headers = {"If-None-Match": facts.get("etag"), "If-Modified-Since": facts.get("last_modified")}
    return {name: value for name, value in headers.items() if value}


# The copy -----------------------------------------------------------------------------------------------------------


def _read_copy(body_path: Path, where: str) -> _Copy | None:
    """Return the copy, or None where there is none that this version can read."""
    try:
        body = read_regular(body_path, MAX_BYTES)
        catalog = parse_catalog(body, where=where, error=CatalogSourceMalformed)
    except (OSError, CatalogSourceMalformed):
        return None
    return _Copy(catalog, _facts_of(body_path, body))


def _facts_of(body_path: Path, body: bytes) -> dict[str, str]:
    """Return the validators of the copy; none where the two files are not of one write."""
    try:
        facts = json.loads(read_regular(facts_path(body_path), FACTS_BYTES))
    except (OSError, ValueError):
        return {}
    if not isinstance(facts, dict) or facts.get("sha256") != hashlib.sha256(body).hexdigest():
        # A crash between the two writes: validators of another body would pin this one for ever, by a 304.
        return {}
    return {name: value for name, value in facts.items() if isinstance(value, str)}


def _keep(body_path: Path, body: bytes, headers: dict[str, str]) -> str | None:
    """Write a good copy; return a warning if that fails: the catalog itself is good."""
    facts = {
        "sha256": hashlib.sha256(body).hexdigest(),
        "etag": headers.get("etag", ""),
        "last_modified": headers.get("last-modified", ""),
    }
    try:
        body_path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(body_path, body)
    except OSError as fault:
        return f"No copy of the catalog could be kept in {body_path.parent}: {fault.strerror}."
    _keep_facts(body_path, facts)
    return None


def _keep_facts(body_path: Path, facts: dict[str, str]) -> None:
    record = {**facts, "checked_at": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        write_whole(facts_path(body_path), json.dumps(record).encode())
    except OSError:
        return  # without them the next load asks for the whole catalog, and no more


def _age(checked_at: str, now: datetime) -> str:
    """Return e.g. "3 hours old"."""
    try:
        minutes = max(0, int((now - datetime.fromisoformat(checked_at)).total_seconds() // 60))
    except (ValueError, TypeError):
        return "of unknown age"
    for size, unit in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size:
            return f"{minutes // size} {unit}{'s' if minutes >= 2 * size else ''} old"
    return "less than a minute old"


# HTTP --------------------------------------------------------------------------------------------------------------


def _http_fetch(copy: _Copy | None) -> Fetch:
    connect_s = CONNECT_WITH_COPY_S if copy else CONNECT_S

    def fetch(url: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        answer = get.get(url, headers=headers, max_bytes=MAX_BYTES, total_s=TOTAL_S, connect_s=connect_s, pinned=True)
        return answer.status, answer.headers, answer.body

    return fetch
