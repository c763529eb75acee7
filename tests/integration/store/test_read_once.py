"""What is read from front to back, once: every byte comes, and the system's cache is left to others."""

import itertools
import os
import random
from pathlib import Path

import pytest
from support.disk_files import cached_bytes, skip_without_direct_io

from flowhub_jobs.store.file_hash import hash_file
from flowhub_jobs.system import let_go_of_cache, read_once

MIB = 1 << 20
SIZE = 64 * MIB + 12_345


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    block = random.Random(1).randbytes(MIB)
    with path.open("wb") as file:
        for _ in range(SIZE // MIB):
            file.write(block)
        file.write(block[: SIZE % MIB])
        file.flush()
        os.fsync(file.fileno())
        let_go_of_cache(file.fileno(), 0, SIZE)
    return path


def test_what_was_read_once_is_gone_from_the_cache(large):
    skip_without_direct_io(large.parent)  # of other disks, as one in memory, nothing is known
    buffer = memoryview(bytearray(MIB))
    with large.open("rb", buffering=0) as file:
        counts = [read_once(file.fileno(), buffer, at) for at in range(0, SIZE, MIB)]
    assert sum(counts) == SIZE
    assert cached_bytes(large) < SIZE // 2


def test_a_file_that_is_known_by_its_digest_leaves_the_cache_to_others(large):
    skip_without_direct_io(large.parent)
    assert hash_file(large, lambda: None).stamp.size == SIZE
    assert cached_bytes(large) < SIZE // 2


def test_every_byte_comes_whatever_the_steps(large):
    """Steps that end beside a stretch's end: what is let go was read, and what was not is asked of the disk."""
    wanted, got = large.read_bytes(), bytearray()
    steps = itertools.cycle([MIB, 3 * MIB + 1, 17 * MIB, 5])
    with large.open("rb", buffering=0) as file:
        while count := read_once(file.fileno(), buffer := memoryview(bytearray(next(steps))), len(got)):
            got += buffer[:count]
    assert got == wanted
