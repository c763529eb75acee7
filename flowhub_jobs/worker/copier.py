"""Copies files that are hashed on the way, and tells how far it is. A copy that was cut short is begun anew."""

import hashlib
import os
from pathlib import Path

from flowhub_jobs.system import sync_data
from flowhub_jobs.transfer.partial import disk_errors
from flowhub_jobs.worker.floor import Run
from flowhub_jobs.worker.screen import Screen

READ = 1 << 20
TELL_BYTES = 64 << 20


class Copier:
    """Copies file by file, and tells how far it is."""

    def __init__(self, total: int, run: Run, screen: Screen) -> None:
        self._total, self._run, self._screen = total, run, screen
        self._done = self._told = 0

    def copy(self, source: Path, target: Path) -> str:
        """Copy a file to a new one, put it on the disk, and return its sha256."""
        digest, buffer = hashlib.sha256(), memoryview(bytearray(READ))
        with disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
        with disk_errors(source), source.open("rb", buffering=0) as origin, target.open("xb", buffering=0) as copy:
            while count := origin.readinto(buffer):
                self._run.control.check()
                digest.update(buffer[:count])
                _write_all(copy.fileno(), buffer[:count])
                self.passed(count)
            sync_data(copy.fileno())
        return digest.hexdigest()

    def passed(self, count: int) -> None:
        self._done += count
        if self._done - self._told >= TELL_BYTES or self._done == self._total:
            self._told = self._done
            self._screen.reads(self._total, self._done, [])


def _write_all(fd: int, data: memoryview) -> None:
    while data:
        data = data[os.write(fd, data) :]
