"""What lies in the store's folder of partials: bytes on their way, and what was put aside to be removed."""

import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.store.disk_usage import touched_at, weigh
from flowhub_jobs.store.layout import PARTIAL, Store

REMOVED = "removed-"  # what is being removed
# Works at one go, by the beginning of the name: what is left when one was cut short is of no use.
_WORKS = {REMOVED: "a removal", "mend-": "a repair", "adopt.": "an adoption", "taken-": "a take-over"}
IDLE_S = 3600  # without a byte written: then nobody is at it any more
_PARTIAL = re.compile(r"(?P<name>.+)\.(?P<key>[0-9a-f]{16})\.(?P<node>[A-Za-z0-9][A-Za-z0-9._-]{0,63})(\+[0-9a-f]{8})?")


@dataclass(frozen=True, slots=True)
class PartialsEntry:
    """One entry of the folder. `key` is its artifact's; key and node are None for what no fetch of ours made.

    `bytes` are those that it takes on the disk, `frees` those that go with it; `touched_at` is in seconds since 1970.
    """

    path: Path
    name: str
    key: str | None
    node: str | None
    bytes: int
    frees: int
    touched_at: float

    @property
    def work(self) -> str | None:
        """Return of which work at one go it is, or was: "a repair"; None for a partial."""
        if self.key is not None:
            return None
        return next((work for begin, work in _WORKS.items() if self.name.startswith(begin)), None)

    def is_rest(self, now_s: float) -> bool:
        """Return whether it is what a work left that was cut short; what is being removed may be removed by anybody."""
        return self.work is not None and (self.name.startswith(REMOVED) or now_s - self.touched_at >= IDLE_S)


def leavings(store: Store) -> list[PartialsEntry]:
    """Return what lies there, by name; what goes away meanwhile is left out."""
    return [_leaving(path) for path in _entries(store) if path.exists() or path.is_symlink()]


def _entries(store: Store) -> Iterator[Path]:
    try:
        yield from sorted((store.root / PARTIAL).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return


def _leaving(path: Path) -> PartialsEntry:
    found, weight = _PARTIAL.fullmatch(path.name), weigh(path)
    name, key, node = found.group("name", "key", "node") if found else (path.name, None, None)
    return PartialsEntry(path, name, key, node, weight.own + weight.shared, weight.own, touched_at(path))


def put_aside(store: Store, path: Path) -> Path:
    """Rename an entry, in one step, to what nobody takes for a partial; return its new path."""
    aside = store.root / PARTIAL / f"{REMOVED}{secrets.token_hex(4)}"
    path.rename(aside)
    return aside


def drop(aside: Path) -> None:
    """Remove what was put aside; what another process removes at the same time is none of our errors."""
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)
