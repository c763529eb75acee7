"""Real file systems of a test's own, that fill up, go away and come back. Needs the right to mount."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A tmpfs, seen at `place` while it is plugged in. Its files survive being unplugged."""

    def __init__(self, folder: Path, megabytes: int, options: str = "") -> None:
        self._own, self.mount_point = folder / "own", folder / "mnt"
        self._own.mkdir(parents=True)
        self.mount_point.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={megabytes}m" + (f",{options}" if options else ""), "tmpfs", str(self._own))
        self._plugged = False

    def mount(self) -> None:
        _mount("--bind", str(self._own), str(self.mount_point))
        self._plugged = True

    def unmount(self) -> None:
        """Take it away, in the midst of whatever is done with it."""
        subprocess.run(["umount", "--lazy", str(self.mount_point)], check=True)
        self._plugged = False

    def set_writable(self, yes: bool) -> None:
        _mount("-o", f"remount,bind,{'rw' if yes else 'ro'}", str(self.mount_point))

    def close(self) -> None:
        if self._plugged:
            self.unmount()
        subprocess.run(["umount", "--lazy", str(self._own)], check=True)


def _mount(*words: str) -> None:
    try:
        done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs the `mount` command")
    if done.returncode:
        pytest.skip(f"needs the right to mount: {done.stderr.strip()}")


@contextmanager
def tmpfs_disk(folder: Path, megabytes: int = 32, options: str = "") -> Iterator[Disk]:
    """Make a disk, plugged in; `options` are tmpfs's (man 5 tmpfs)."""
    disk = Disk(folder, megabytes, options)
    try:
        disk.mount()
        yield disk
    finally:
        disk.close()


@contextmanager
def image_disk(folder: Path, kind: str, megabytes: int = 340) -> Iterator[Path]:
    """Mount a new file system of this kind, made in a file with holes; skip where it cannot be made or mounted."""
    folder.mkdir(parents=True)
    image, place = folder / "image", folder / "mnt"
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    try:
        done = subprocess.run([f"mkfs.{kind}", str(image)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"needs mkfs.{kind}")
    if done.returncode:
        pytest.skip(f"mkfs.{kind}: {done.stderr.strip()}")
    _mount("-o", "loop", "-t", kind, str(image), str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)
