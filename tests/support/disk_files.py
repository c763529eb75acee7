"""Reads and changes files on disk: the files of a folder, one byte, and pages in the page cache."""

import os
from pathlib import Path

import pytest

from flowhub_jobs.system import direct_twin


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the content of each file at or below a folder, by its path in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def flip_byte(path: Path, at: int) -> None:
    """Flip one bit of a byte of a file, as a bad cell would: its size and mtime stay the same."""
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def cached_bytes(path: Path) -> int:
    """Return how many bytes of a file are in the page cache, in steps of 64 KiB."""
    step, cached = 1 << 16, 0
    with path.open("rb", buffering=0) as file:
        for at in range(0, path.stat().st_size, step):
            try:
                cached += os.preadv(file.fileno(), [bytearray(step)], at, os.RWF_NOWAIT)
            except BlockingIOError:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)  # no read-ahead
    return cached


def skip_without_direct_io(folder: Path) -> None:
    """Skip the test unless flowhub writes to the disk of a folder with direct I/O."""
    probe = folder / "probe"
    with probe.open("wb") as file:
        direct_fd = direct_twin(file.fileno())
    probe.unlink()
    if direct_fd is None:
        pytest.skip("the disk of the temporary folder does not support direct I/O")
    os.close(direct_fd)
