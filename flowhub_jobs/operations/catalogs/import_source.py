"""The source of an imported catalog: a file or a URL, its bytes, and the models that they contain."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from flowhub_jobs.catalogs.import_record import ImportRecord
from flowhub_jobs.catalogs.importers.detect import BYTES_MAX, read_catalog
from flowhub_jobs.catalogs.importers.import_result import ImportResult
from flowhub_jobs.catalogs.resolve import is_other_scheme
from flowhub_jobs.errors import (
    NETWORK_SETTINGS,
    AddressRefused,
    CatalogMalformed,
    CatalogSourceMalformed,
    CatalogUnreachable,
    CatalogUnreadable,
    FlowhubError,
)
from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.net import get, redaction
from flowhub_jobs.settings import Settings

TOTAL_S = 120.0
_NOTHING_DONE = "Nothing was changed."


@dataclass(frozen=True, slots=True)
class SourceBytes:
    """A source's bytes, or None where they are still those that were imported."""

    body: bytes | None
    etag: str = ""
    last_modified: str = ""


def parse_source(text: str) -> str:
    """Return a URL as it is, or a file's absolute path. AddressRefused for another scheme."""
    if text.lower().startswith(("https://", "http://")):
        return text
    if is_other_scheme(text):
        public = redaction.public_url(text)
        raise AddressRefused(
            f"The catalog {public!r} uses a scheme that flowhub does not support.", hint="Give a path, or an https URL."
        )
    return str(Path(text).expanduser().absolute())


def fetch(source: str, last_import: ImportRecord | None, settings: Settings) -> SourceBytes:
    """Return the source's content; `last_import` makes the request conditional.

    Raises CatalogUnreadable of a file; of a URL CatalogUnreachable, and AddressRefused: a user in it, http elsewhere.
    """
    raw = _from_url(source, last_import, settings) if ImportRecord(source, "").is_url else _from_file(Path(source))
    is_unchanged = last_import is not None and raw.body is not None and digest_of(raw.body) == last_import.sha256
    return replace(raw, body=None) if is_unchanged else raw


def _from_url(url: str, last_import: ImportRecord | None, settings: Settings) -> SourceBytes:
    subject = f"The catalog {redaction.public_url(url)}"
    validators = (
        {"If-None-Match": last_import.etag, "If-Modified-Since": last_import.last_modified} if last_import else {}
    )
    headers = {name: value for name, value in validators.items() if value}
    hint = f"Check the network and the URL. {_NOTHING_DONE}"
    try:
        answer = get.get(
            url,
            max_bytes=BYTES_MAX,
            total_s=TOTAL_S,
            headers=headers,
            tokens=settings.tokens_by_origin,
            endpoint=settings.hf_endpoint,
        )
    except AddressRefused:
        raise
    except FlowhubError as fault:
        if isinstance(fault, NETWORK_SETTINGS):
            hint = f"{fault.hint} {_NOTHING_DONE}"
        raise CatalogUnreachable(f"{subject} cannot be downloaded: {fault.message}", hint=hint) from fault
    if answer.status == 304 and last_import:
        return SourceBytes(None)
    if answer.status != 200:
        raise CatalogUnreachable(f"{subject} cannot be downloaded: its host answered {answer.status}.", hint=hint)
    return SourceBytes(answer.body, answer.headers.get("etag", ""), answer.headers.get("last-modified", ""))


def _from_file(path: Path) -> SourceBytes:
    hint = f"Check the path. {_NOTHING_DONE}"
    try:
        if path.exists() and not path.is_file():  # a pipe or /dev/zero never ends
            raise CatalogUnreadable(f"The catalog {path} is not a file.", hint=hint)
        if path.stat().st_size > BYTES_MAX:
            size = path.stat().st_size // 1_000_000
            raise CatalogUnreadable(
                f"The catalog {path} is {size} MB; flowhub reads at most {BYTES_MAX // 1_000_000} MB.", hint=hint
            )
        return SourceBytes(read_regular(path, BYTES_MAX))
    except (OSError, ValueError) as fault:  # ValueError: a NUL in the path
        reason = getattr(fault, "strerror", None) or str(fault)
        raise CatalogUnreadable(f"The catalog {path} cannot be read: {reason}.", hint=hint) from fault


def read(source: str, body: bytes, shape: str | None) -> "ImportResult":
    """Return what can be taken of the bytes; an error where that is nothing at all."""
    is_url = ImportRecord(source, "").is_url
    error: type[FlowhubError] = CatalogSourceMalformed if is_url else CatalogMalformed
    subject = f"The catalog {redaction.public_url(source) if is_url else source}"
    try:
        result = read_catalog(body, where=subject, error=error, shape=shape)
    except error as fault:
        raise error(fault.message, hint=f"Is it the catalog itself, not a page about it? {_NOTHING_DONE}") from fault
    if not result.models:
        reasons = ", ".join(f"{reason}: {len(examples)}" for reason, examples in result.refused.items())
        problem = f"none of its {result.entries} entries can be taken ({reasons})" if reasons else "it has no entries"
        raise error(f"{subject}: {problem}.", hint=_NOTHING_DONE)
    return result


def digest_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()
