"""Checks of the home: its folder, and the file system that its databases need."""

import os
import stat
from collections.abc import Iterator

from flowhub_jobs.file_systems import traits_of
from flowhub_jobs.operations.doctor.check import Check, guarded, ok, warn
from flowhub_jobs.settings import Settings


def home_checks(settings: Settings) -> Iterator[Check]:
    """Yield the checks of a home that exists."""
    return guarded([("home.folder", lambda: _folder(settings)), ("home.disk", lambda: _disk(settings))])


def _folder(settings: Settings) -> Check:
    name, mode = "home.folder", stat.S_IMODE(os.stat(settings.home).st_mode)
    if mode & 0o077:
        return warn(
            name,
            f"{settings.home} can be read by other users: its databases hold signed addresses.",
            f"chmod 700 {settings.home}, if nothing else is kept in it.",
        )
    return ok(name, f"{settings.home}, for its owner alone")


def _disk(settings: Settings) -> Check:
    name = "home.disk"
    if traits_of(settings.home).shared:
        return warn(
            name,
            f"{settings.home} may be on a network disk, where SQLite's locks are not safe.",
            "Set FLOWHUB_HOME to a folder on a local disk. FLOWHUB_STORE, the models, may stay where they are.",
        )
    return ok(name, "on a local disk, with file locks")
