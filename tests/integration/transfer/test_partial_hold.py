"""Holding a partial on a disk that refuses a write: the run that fails leaves neither a lock nor a folder."""

import errno
import os
from pathlib import Path

import pytest

from flowhub_jobs.errors import DiskFull, StorageFailed
from flowhub_jobs.fs.locks import LockFile
from flowhub_jobs.transfer.partial.hold import hold_partial
from flowhub_jobs.transfer.partial.owner_lock import LOCK, this_run

FIRST, SECOND = this_run("/home/me", "run-1"), this_run("/home/me", "run-2")


def full_disk(lock: LockFile, content: bytes) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def existing(tmp_path: Path) -> Path:
    """A partial with a byte of a run that is dead."""
    folder = tmp_path / "m+1"
    folder.mkdir()
    (folder / "files").write_bytes(b"x")
    return folder


@pytest.fixture
def fail_to_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(partials: list[Path]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(LockFile, "write", full_disk)
            with pytest.raises(DiskFull), hold_partial(partials, tmp_path / "m+2", FIRST):
                pytest.fail("the disk is full")

    return fail


def test_a_new_partial_that_cannot_be_locked_is_removed(tmp_path, fail_to_hold):
    fail_to_hold([])
    assert list(tmp_path.iterdir()) == []


def test_a_partial_whose_owner_cannot_be_written_is_free_for_the_next_run(existing, tmp_path, fail_to_hold):
    """A descriptor left open would keep it locked for as long as the process lives."""
    fail_to_hold([existing])
    with hold_partial([existing], tmp_path / "m+3", SECOND) as hold:
        assert (hold.folder, hold.other_owners) == (existing, ())
        assert (existing / LOCK).exists()
    assert (existing / "files").read_bytes() == b"x"


def test_a_partial_that_cannot_be_read_is_not_kept_locked(existing, tmp_path, monkeypatch):
    def broken(lock: LockFile) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(LockFile, "content", broken)
        with pytest.raises(StorageFailed), hold_partial([existing], tmp_path / "m+2", FIRST):
            pytest.fail("the lock cannot be read")
    with hold_partial([existing], tmp_path / "m+3", SECOND) as hold:
        assert hold.folder == existing
