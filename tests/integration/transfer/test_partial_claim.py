"""Claims of a partial on a disk that refuses a write: the run that fails leaves neither a lock nor a folder."""

import errno
import os
from pathlib import Path

import pytest

from flowhub_jobs.errors import DiskFull, StorageFailed
from flowhub_jobs.fs.locks import LockFile
from flowhub_jobs.transfer.partial.claim import claimed
from flowhub_jobs.transfer.partial.owner_lock import LOCK
from flowhub_jobs.transfer.partial.ownership import this_run

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
def fail_to_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(partials: list[Path]) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(LockFile, "write", full_disk)
            with pytest.raises(DiskFull), claimed(partials, tmp_path / "m+2", FIRST):
                pytest.fail("the disk is full")

    return fail


def test_a_new_partial_that_cannot_be_locked_is_removed(tmp_path, fail_to_claim):
    fail_to_claim([])
    assert list(tmp_path.iterdir()) == []


def test_a_partial_whose_owner_cannot_be_written_is_free_for_the_next_run(existing, tmp_path, fail_to_claim):
    """A descriptor left open would keep it locked for as long as the process lives."""
    fail_to_claim([existing])
    with claimed([existing], tmp_path / "m+3", SECOND) as claim:
        assert (claim.folder, claim.other_owners) == (existing, ())
        assert (existing / LOCK).exists()
    assert (existing / "files").read_bytes() == b"x"


def test_a_partial_that_cannot_be_read_is_not_kept_locked(existing, tmp_path, monkeypatch):
    def broken(lock: LockFile) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(LockFile, "content", broken)
        with pytest.raises(StorageFailed), claimed([existing], tmp_path / "m+2", FIRST):
            pytest.fail("the lock cannot be read")
    with claimed([existing], tmp_path / "m+3", SECOND) as claim:
        assert claim.folder == existing
