"""Installed models for the tests of layouts, and a plain way to apply a plan: no rows, no conflicts."""

import hashlib
import os
from pathlib import Path
from typing import Any

from flowhub_jobs.placement.values import InstalledForPlacement, PlacementFile, Plan, PlannedLink, PlannedSymlink
from flowhub_jobs.values.enums import HubFormat

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_installed(store: Path, files: dict[str, bytes], **fields: Any) -> InstalledForPlacement:
    """Put files into a store, and return them as an installed model; it is a folder with `name` or several files."""
    folder = "name" in fields or len(files) > 1
    name = fields.pop("name", "model" if folder else next(iter(files)))
    placement_files = []
    for path, content in files.items():
        source = store / name / path if folder else store / path
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        from_hub = path if fields.get("repository") else None
        placement_files.append(PlacementFile(source, path, len(content), digest, repository_path=from_hub))
    values: dict[str, Any] = {"model": None, "option": None, "format": HubFormat.GGUF} | fields
    values |= {"commit": COMMIT, "revision": "main"} if fields.get("repository") else {}
    return InstalledForPlacement(name=name, folder=folder, files=tuple(placement_files), **values)


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
