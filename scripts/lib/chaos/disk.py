"""The disk of the home and the store: a small real one where it can be mounted, else refused writes."""

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
    """A folder on a disk that can be filled. `failpoints` are those that its workers need (support/failpoints.py)."""

    def __init__(self, place: Path, filler: Path, failpoints: str) -> None:
        self.place, self.failpoints, self._filler = place, failpoints, filler
        self.full = False

    @property
    def is_real(self) -> bool:
        return not self.failpoints

    def fill(self, leave: int) -> None:
        """Leave so many bytes free, or, of a pretended disk, none for what is fetched."""
        self.full = True
        with self._filler.open("wb") as file:
            while self.is_real and (free := shutil.disk_usage(self.place).free - leave) > 0:
                # All or nothing; others write at the same time.
                with contextlib.suppress(OSError):
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free)

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)
        self.full = False


@contextlib.contextmanager
def disk(folder: Path, *, keep: bool = False) -> Iterator[Disk]:
    """Make a disk in `folder`. Without the right to mount, workers are refused what they write to a partial instead.

    `keep`: its content at the end is copied to `folder`/kept.
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
    except pytest.skip.Exception:  # what a test says that may not mount
        return None


@contextlib.contextmanager
def working_folder(*, keep: bool) -> Iterator[Path]:
    """Make a folder, and remove it at the end unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix="flowhub-chaos-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder)
