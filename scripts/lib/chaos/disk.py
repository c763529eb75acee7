"""The disk of the home and the store: a small real one if it can be mounted, else one with failing writes."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.disks import tmpfs_disk

MEGABYTES = 400


class Disk:
    """A folder on a disk that can be filled. Its workers need `failpoints` (support/failpoints.py)."""

    def __init__(self, place: Path, filler: Path, failpoints: str) -> None:
        self.place, self.failpoints, self._filler = place, failpoints, filler
        self.full = False

    @property
    def is_real(self) -> bool:
        return not self.failpoints

    def fill(self, leave: int) -> None:
        """Leave this many bytes free; on a simulated disk, make writes to partials fail."""
        self.full = True
        with self._filler.open("wb") as file:
            while self.is_real and (free := shutil.disk_usage(self.place).free - leave) > 0:
                # All or nothing, since other processes write at the same time.
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)
        self.full = False


@contextlib.contextmanager
def disk(folder: Path, *, keep: bool = False) -> Iterator[Disk]:
    """Make a disk in `folder`. Without the right to mount, writes to partials fail while it is full.

    `keep`: copy its content to `folder`/kept at the end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        place = _own_place(stack, folder / "disk")
        if place is None:
            filler = folder / "full"
            yield Disk(folder, filler, f"disk=pwrite:ENOSPC:.partial:1:{filler}")
            return
        try:
            yield Disk(place, place / "filler", "")
        finally:
            if keep:
                shutil.copytree(place, folder / "kept", symlinks=True)


def _own_place(stack: contextlib.ExitStack, folder: Path) -> Path | None:
    try:
        return stack.enter_context(tmpfs_disk(folder, MEGABYTES)).mount_point
    except pytest.skip.Exception:  # raised by a test that has no right to mount
        return None


@contextlib.contextmanager
def working_folder(*, keep: bool) -> Iterator[Path]:
    """Make a folder, and remove it at the end unless `keep` is set."""
    folder = Path(tempfile.mkdtemp(prefix="flowhub-chaos-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder)
