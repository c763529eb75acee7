"""The store's folder of partials: transfers in progress, and the trash of removals."""

import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.store.disk_usage import measure, touched_at
from flowhub_jobs.store.layout import PARTIAL, Store

REMOVED = "removed-"  # trash: entries that are being removed
# Operations by the prefix of their entry's name. The entry of an interrupted operation is of no use.
_OPERATIONS = {REMOVED: "a removal", "mend-": "a repair", "adopt.": "an adoption", "taken-": "a take-over"}
IDLE_S = 3600  # without a write: then no process works in it any more
_PARTIAL = re.compile(r"(?P<name>.+)\.(?P<key>[0-9a-f]{16})\.(?P<node>[A-Za-z0-9][A-Za-z0-9._-]{0,63})(\+[0-9a-f]{8})?")


@dataclass(frozen=True, slots=True)
class PartialsEntry:
    """One entry of the folder. `key` is its artifact's; key and node are None for an entry that no transfer made.

    `bytes` is its size on the disk, `frees` the part that its removal frees; `touched_at` is in seconds since 1970.
    """

    path: Path
    name: str
    key: str | None
    node: str | None
    bytes: int
    frees: int
    touched_at: float

    @property
    def operation(self) -> str | None:
        """The operation that created this entry ("a repair"), or None for a partial."""
        if self.key is not None:
            return None
        return next((work for begin, work in _OPERATIONS.items() if self.name.startswith(begin)), None)

    def is_leftover(self, now_s: float) -> bool:
        """Return whether an interrupted operation left it; any process may remove trash."""
        return self.operation is not None and (self.name.startswith(REMOVED) or now_s - self.touched_at >= IDLE_S)


def list_partials(store: Store) -> list[PartialsEntry]:
    """Return the entries by name; one that is removed during the call is left out."""
    return [_entry_at(path) for path in _entries(store) if path.exists() or path.is_symlink()]


def _entries(store: Store) -> Iterator[Path]:
    try:
        yield from sorted((store.root / PARTIAL).iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return


def _entry_at(path: Path) -> PartialsEntry:
    match, size = _PARTIAL.fullmatch(path.name), measure(path)
    name, key, node = match.group("name", "key", "node") if match else (path.name, None, None)
    return PartialsEntry(path, name, key, node, size.own + size.shared, size.own, touched_at(path))


def move_to_trash(store: Store, path: Path) -> Path:
    """Rename an entry, in one step, to a name that is no partial's; return its new path."""
    trash = store.root / PARTIAL / f"{REMOVED}{secrets.token_hex(4)}"
    path.rename(trash)
    return trash


def delete_trash(trash: Path) -> None:
    """Delete trash; another process may delete it at the same time."""
    if trash.is_dir() and not trash.is_symlink():
        shutil.rmtree(trash, ignore_errors=True)
    else:
        trash.unlink(missing_ok=True)
