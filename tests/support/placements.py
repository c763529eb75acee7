"""Installed models for layouts, and their plans carried out plainly: no journal, no conflicts."""

import hashlib
import os
from pathlib import Path
from typing import Any

from flowhub_jobs.placement.values import InstalledForPlacement, PlacementFile, Plan, PlannedLink, PlannedSymlink
from flowhub_jobs.values.enums import HubFormat

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_installed(store: Path, files: dict[str, bytes], **known: Any) -> InstalledForPlacement:
    """Put files into a store, and return them as an installed model: a folder if `name` is given, or several files."""
    folder = "name" in known or len(files) > 1
    name = known.pop("name", "model" if folder else next(iter(files)))
    placed = []
    for path, content in files.items():
        source = store / name / path if folder else store / path
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        from_hub = path if known.get("repository") else None
        placed.append(PlacementFile(source, path, len(content), digest, repository_path=from_hub))
    about: dict[str, Any] = {"model": None, "option": None, "format": HubFormat.GGUF} | known
    about |= {"commit": COMMIT, "revision": "main"} if known.get("repository") else {}
    return InstalledForPlacement(name=name, folder=folder, files=tuple(placed), **about)


def apply_plan(plan: Plan, *, symlinks: bool = False, without_symlinks: bool = False) -> None:
    """Make the files of a plan in its order, with hard links, or with symbolic links."""
    for entry in (plan.without_symlinks if without_symlinks else None) or plan.entries:
        entry.target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, PlannedLink):
            (os.symlink if symlinks else os.link)(entry.source, entry.target)
        elif isinstance(entry, PlannedSymlink):
            entry.target.symlink_to(entry.text)
        else:
            entry.target.write_bytes(entry.content)
