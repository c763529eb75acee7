"""Paths of the cached copy of a catalog at a URL, and the time of its last check. Does not import pydantic."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

from flowhub_jobs.fs.safe_read import read_regular

FACTS_BYTES = 2**20


def copy_path(url: str, cache_dir: Path) -> Path:
    """Return where the last good copy of this catalog is kept."""
    return cache_dir / f"{hashlib.sha256(url.encode()).hexdigest()}.json"


def facts_path(body_path: Path) -> Path:
    """Return the path of the validators and the time of the last check."""
    return body_path.with_suffix(".facts.json")


def checked_at(url: str, cache_dir: Path) -> datetime | None:
    """Return when the source of the copy last answered; None where there is no copy, or that is not known."""
    path = copy_path(url, cache_dir)
    try:
        if not path.exists():
            return None
        facts = json.loads(read_regular(facts_path(path), FACTS_BYTES))
        return datetime.fromisoformat(facts["checked_at"]).astimezone(UTC)
    except (OSError, ValueError, KeyError, TypeError):
        return None
