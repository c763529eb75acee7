"""Real file systems of a test's own, that fill up, go away and come back. Needs the right to mount."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A tmpfs, seen at `place` while it is plugged in. What lies on it outlives that it is unplugged."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self._own, self.place = folder / "own", folder / "mnt"
        self._own.mkdir(parents=True)
        self.place.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(self._own))
        self._plugged = False

    def plug(self) -> None:
        _mount("--bind", str(self._own), str(self.place))
        self._plugged = True

    def unplug(self) -> None:
        """Take it away, in the midst of whatever is done with it."""
        subprocess.run(["umount", "--lazy", str(self.place)], check=True)
        self._plugged = False

    def may_be_written(self, yes: bool) -> None:
        _mount("-o", f"remount,bind,{'rw' if yes else 'ro'}", str(self.place))

    def close(self) -> None:
        if self._plugged:
            self.unplug()
        subprocess.run(["umount", "--lazy", str(self._own)], check=True)


def _mount(*words: str) -> None:
    try:
        done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs the `mount` command")
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")


@contextmanager
def own_disk(folder: Path, megabytes: int = 32) -> Iterator[Disk]:
    """Make a disk, plugged in."""
    disk = Disk(folder, megabytes)
    try:
        disk.plug()
        yield disk
    finally:
        disk.close()
