"""Files that are read once, from front to back: every byte is read, and they do not stay in the system's cache."""

import itertools
import os
import random
from pathlib import Path

import pytest
from support.disk_files import cached_bytes, skip_without_direct_io

from flowhub_jobs.store.file_hash import UnreadableFile, hash_file
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


def test_bytes_that_were_read_once_are_gone_from_the_cache(large):
    skip_without_direct_io(large.parent)  # a disk in memory, for one, says nothing of its cache
    buffer = memoryview(bytearray(MIB))
    with large.open("rb", buffering=0) as file:
        counts = [read_once(file.fileno(), buffer, at) for at in range(0, SIZE, MIB)]
    assert sum(counts) == SIZE
    assert cached_bytes(large) < SIZE // 2


def test_a_file_that_was_hashed_is_gone_from_the_cache(large):
    skip_without_direct_io(large.parent)
    assert hash_file(large, lambda: None).stamp.size == SIZE
    assert cached_bytes(large) < SIZE // 2


def test_every_byte_is_read_whatever_the_steps(large):
    """The steps end elsewhere than the stretches that leave the cache: only bytes that were read leave it."""
    expected, content = large.read_bytes(), bytearray()
    steps = itertools.cycle([MIB, 3 * MIB + 1, 17 * MIB, 5])
    with large.open("rb", buffering=0) as file:
        while count := read_once(file.fileno(), buffer := memoryview(bytearray(next(steps))), len(content)):
            content += buffer[:count]
    assert content == expected


def test_a_file_that_is_gone_is_named_as_gone(tmp_path):
    with pytest.raises(UnreadableFile, match="no longer exists"):
        hash_file(tmp_path / "gone.gguf", lambda: None)
