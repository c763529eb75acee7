"""Chooses installed models to remove so that the queue fits: least recently opened first, never a pinned one."""

import os
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.home import Home
from flowhub_jobs.operations.library.placed import placed_links
from flowhub_jobs.store.disk_usage import measure
from flowhub_jobs.store.layout import files_in
from flowhub_jobs.store.library_check import LibraryEntry

_SLACK_US = 2_000_000  # between flowhub's own read and its row
_NOATIME = getattr(os, "ST_NOATIME", 0)  # macOS has no such flag


@dataclass(frozen=True, slots=True)
class UnusedModel:
    """A model that may be removed. `frees` is bytes; `used_at` is microseconds; `opened`: it was opened since then."""

    name: str
    path: Path
    bytes: int
    frees: int
    used_at: int
    opened: bool


def bytes_missing(home: Home) -> int:
    """Return the bytes that queued and running jobs need and the store may not take; 0 if all fit.

    Without jobs, these are the bytes by which the store exceeds its maximum.
    """
    return max(0, home.bytes_promised() - home.room().usable)


def removable_models(home: Home) -> list[UnusedModel]:
    """Return the installed models that are not pinned and that no live job uses, the least recently used first."""
    pinned, targets, links = home.entries.pinned(), home.queries.live_targets(), placed_links(home)
    models = [
        model
        for entry in home.entries.entries_here()
        if entry.claim not in pinned and str(home.store.root / entry.name) not in targets
        if (model := _model(entry, home.store.root / entry.name, links.get(entry.name, ()))) is not None
    ]
    return sorted(models, key=lambda model: (model.used_at, model.name))


def chosen_to_fit(models: Sequence[UnusedModel], missing: int) -> list[UnusedModel]:
    """Return the first of these models that free `missing` bytes together; all of them if that is not enough. Pure."""
    chosen: list[UnusedModel] = []
    for model in models:
        if missing <= 0:
            break
        if model.frees:
            chosen.append(model)
            missing -= model.frees
    return chosen


def _model(entry: LibraryEntry, path: Path, links: Iterable[Path]) -> UnusedModel | None:
    """Return a model with its last use; None if its files are gone. `links` are removed with it."""
    try:
        opened = _last_opened_us(path)
    except OSError:
        return None
    verified = max(entry.installed_at, entry.verified_at)  # flowhub itself read it then
    # Where `verify` may not leave the access time alone, a time that is no later says nothing of a program.
    is_by_program = opened is not None and opened > verified + _SLACK_US
    used = opened if opened is not None and is_by_program else entry.installed_at
    return UnusedModel(entry.name, path, entry.bytes, measure(path, links).own, used, is_by_program)


def _last_opened_us(path: Path) -> int | None:
    """Return the newest access time of a model's files; None where the file system does not keep it (noatime)."""
    if os.statvfs(path).f_flag & _NOATIME:
        return None
    files: Collection[Path] = files_in(path) if path.is_dir() else [path]
    return max((file.stat().st_atime_ns // 1000 for file in files), default=None)
