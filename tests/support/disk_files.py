"""Reads and changes files on disk: a folder's files, one byte, and pages in the system's cache."""

import os
from pathlib import Path

import pytest

from flowhub_jobs.system import direct_twin


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the content of each file at or below a folder, by its path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip_byte(path: Path, at: int) -> None:
    """Turn a byte on the disk, as a bad cell would: size and time stay."""
    there = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns))


def cached_bytes(path: Path) -> int:
    """Return how many bytes of a file the system could give without asking the disk, in steps of 64 KiB."""
    step, found = 1 << 16, 0
    with path.open("rb", buffering=0) as file:
        for at in range(0, path.stat().st_size, step):
            try:
                found += os.preadv(file.fileno(), [bytearray(step)], at, os.RWF_NOWAIT)
            except BlockingIOError:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # no reading ahead of us
    return found


def skip_without_direct_io(folder: Path) -> None:
    """Skip the test if the disk of a folder is none that flowhub writes past the system's cache."""
    probe = folder / "probe"
    with probe.open("wb") as file:
        twin = direct_twin(file.fileno())
    probe.unlink()
    if twin is None:
        pytest.skip("the disk of the temporary folder is none that is written past the cache")
    os.close(twin)
