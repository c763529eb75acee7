"""Rereads [stores] of config.toml, so that a running worker uses a store that was added or changed since it started."""

import logging
import os
from dataclasses import replace

from flowhub_jobs.errors import SettingInvalid
from flowhub_jobs.home import Home, stores_of
from flowhub_jobs.settings import reread_stores

log = logging.getLogger("flowhub.worker")

FileVersion = tuple[int, int, int]  # inode, size, nanoseconds


class CurrentStores:
    """One per worker. Only `[stores]` is reread: all other settings are those of the worker's start."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._read: FileVersion | None = None  # of config.toml when it was read

    def home(self) -> Home:
        """Return the home with the stores that config.toml names now. A file with an error changes nothing."""
        if (version := self._version()) != self._read:
            self._read = version
            self._reread()
        return self._home

    def _version(self) -> FileVersion | None:
        try:
            status = os.stat(self._home.settings.config_path)
        except OSError:
            return None
        return status.st_ino, status.st_size, status.st_mtime_ns

    def _reread(self) -> None:
        before = self._home.settings
        try:
            settings = reread_stores(before)
        except SettingInvalid as error:
            log.warning("The stores stay as they were: %s", error.message)
            return
        if settings.stores != before.stores:
            self._home = replace(self._home, settings=settings, store=stores_of(settings)[0])
            log.info("The stores are now: %s.", ", ".join(store.name for store in stores_of(settings)))
