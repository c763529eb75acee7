"""Real file systems for one test, which can fill up, go away and come back. Needs the right to mount."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A tmpfs, visible at `mount_point` while it is mounted. Its files survive an unmount."""

    def __init__(self, folder: Path, megabytes: int, options: str = "") -> None:
        self._backing, self.mount_point = folder / "tmpfs", folder / "mnt"
        self._backing.mkdir(parents=True)
        self.mount_point.mkdir()
        _mount(
            "-t", "tmpfs", "-o", f"size={megabytes}m" + (f",{options}" if options else ""), "tmpfs", str(self._backing)
        )
        self._mounted = False

    def mount(self) -> None:
        _mount("--bind", str(self._backing), str(self.mount_point))
        self._mounted = True

    def unmount(self) -> None:
        """Unmount it at once, even while processes use it."""
        subprocess.run(["umount", "--lazy", str(self.mount_point)], check=True)
        self._mounted = False

    def set_writable(self, writable: bool) -> None:
        _mount("-o", f"remount,bind,{'rw' if writable else 'ro'}", str(self.mount_point))

    def close(self) -> None:
        if self._mounted:
            self.unmount()
        subprocess.run(["umount", "--lazy", str(self._backing)], check=True)


def _mount(*arguments: str) -> None:
    try:
        result = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs the `mount` command")
    if result.returncode:
        pytest.skip(f"needs the right to mount: {result.stderr.strip()}")


@contextmanager
def tmpfs_disk(folder: Path, megabytes: int = 32, options: str = "") -> Iterator[Disk]:
    """Make a disk and mount it; `options` are tmpfs's (man 5 tmpfs)."""
    disk = Disk(folder, megabytes, options)
    try:
        disk.mount()
        yield disk
    finally:
        disk.close()


@contextmanager
def image_disk(folder: Path, kind: str, megabytes: int = 340) -> Iterator[Path]:
    """Mount a new file system of this kind, in a sparse file; skip the test where that is not possible."""
    folder.mkdir(parents=True)
    image, mount_point = folder / "image", folder / "mnt"
    mount_point.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    try:
        result = subprocess.run([f"mkfs.{kind}", str(image)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"needs mkfs.{kind}")
    if result.returncode:
        pytest.skip(f"mkfs.{kind}: {result.stderr.strip()}")
    _mount("-o", "loop", "-t", kind, str(image), str(mount_point))
    try:
        yield mount_point
    finally:
        subprocess.run(["umount", "--lazy", str(mount_point)], check=True)
