"""The disk of a transfer: full during a write, failing, read-only or gone; the source gets no further request."""

import errno
import os

import pytest
from support.fault_files import HALF, MODEL
from support.origin import TrafficMeter
from support.run_fetch import journaled_bytes, pinned_artifact, run_transfer

from flowhub_jobs.errors import DiskFull, StorageFailed, StoreOffline


@pytest.fixture
def model(origin):
    return pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)


def break_writes(monkeypatch, number):
    """Make each write beyond the first half fail. tests/crash has real disks that fill up or go away."""
    write = os.pwrite

    def broken(fd, data, offset):
        if offset + len(data) > HALF:
            raise OSError(number, os.strerror(number))
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", broken)


TROUBLES = {
    "a full disk": (errno.ENOSPC, DiskFull, "is full"),
    "a quota that is used up": (errno.EDQUOT, DiskFull, "quota"),
    "a disk that fails": (errno.EIO, StorageFailed, "refused"),
    "a disk that is read-only now": (errno.EROFS, StoreOffline, "read-only"),
    "a disk that is gone": (errno.ENODEV, StoreOffline, "is gone"),
}


@pytest.mark.parametrize(("number", "kind", "words"), TROUBLES.values(), ids=TROUBLES)
def test_a_disk_in_trouble_ends_the_run_at_once_and_what_is_there_is_not_fetched_again(
    origin, model, tmp_path, monkeypatch, number, kind, words
):
    with monkeypatch.context() as patch:
        break_writes(patch, number)
        with pytest.raises(kind) as raised:
            run_transfer(model, tmp_path)
    assert words in raised.value.message
    assert "m.gguf" in raised.value.message
    assert raised.value.hint
    assert len(origin.requests()) == 1
    traffic, kept = TrafficMeter(origin), journaled_bytes(tmp_path)
    assert kept <= HALF
    assert kept or kind is StorageFailed, "what a failing disk was told last is not believed"
    assert run_transfer(model, tmp_path).content() == MODEL.read()
    assert traffic.bytes == MODEL.size - kept


def test_a_write_that_takes_less_than_it_was_given_is_continued(origin, model, downloader, monkeypatch):
    """As on a disk that fills up, or a network disk."""
    write = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: write(fd, memoryview(data)[:10_000], offset))
    downloader.assert_succeeds_without_refetch(model, MODEL, origin)
