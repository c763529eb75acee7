"""Writes past the system's cache (O_DIRECT): which bytes, and what happens where the disk refuses them."""

import errno
import fcntl
import os
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
from support.disk_files import cached_bytes, skip_without_direct_io
from support.faults import Hold
from support.models import gguf_pattern
from support.origin import TrafficMeter
from support.run_fetch import (
    BackgroundRun,
    hold_after,
    journaled_bytes,
    pinned_artifact,
    quick,
    run_transfer,
    stop_after,
)

from flowhub_jobs.errors import DiskFull, StorageFailed
from flowhub_jobs.transfer import fetch, hasher
from flowhub_jobs.transfer.concurrency import ConcurrencyPlan
from flowhub_jobs.transfer.file_state import BUFFER_DIRECT
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.partial.part_file import PAGE

PWRITE = os.pwrite  # the real one
MIB = 1 << 20
MODEL = gguf_pattern(24 * MIB + 12_345, seed=1)
ONE_CONNECTION = quick(connections_per_host=1)


@pytest.fixture(autouse=True)
def _disk(tmp_path):
    skip_without_direct_io(tmp_path)


@pytest.fixture
def model(origin):
    return pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)


@dataclass
class Writes:
    """The writes of this process, each as (offset, bytes): `cached`, and `direct`, which `at_direct` carries out."""

    cached: list[tuple[int, int]] = field(default_factory=list)
    direct: list[tuple[int, int]] = field(default_factory=list)
    at_direct: Any = PWRITE

    @property
    def direct_in_whole_pages(self) -> bool:
        return all(offset % PAGE == 0 and count % PAGE == 0 for offset, count in self.direct)

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        past_cache = fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT
        (self.direct if past_cache else self.cached).append((offset, len(data)))
        return (self.at_direct if past_cache else PWRITE)(fd, data, offset)


@pytest.fixture
def writes(monkeypatch):
    recorded = Writes()
    monkeypatch.setattr(os, "pwrite", recorded.pwrite)
    return recorded


def test_bytes_in_order_go_past_the_cache_in_whole_pages(model, tmp_path, writes):
    run = run_transfer(model, tmp_path, options=ONE_CONNECTION)
    assert sum(count for _, count in writes.direct) > MODEL.size // 2
    assert writes.direct_in_whole_pages
    assert max(count for _, count in writes.direct) == BUFFER_DIRECT
    assert run.content() == MODEL.read()


def test_a_fetch_leaves_the_cache_to_others(model, tmp_path):
    assert (
        cached_bytes(run_transfer(model, tmp_path / "direct", options=ONE_CONNECTION).fetched.parts[0])
        < MODEL.size // 2
    )
    assert (
        cached_bytes(run_transfer(model, tmp_path / "cached", options=quick(direct_io=False)).fetched.parts[0])
        > MODEL.size // 2
    )


def test_direct_io_can_be_turned_off(model, tmp_path, writes):
    run = run_transfer(model, tmp_path, options=quick(direct_io=False))
    assert not writes.direct
    assert run.content() == MODEL.read()


def test_a_small_file_is_written_through_the_cache(origin, tmp_path, writes):
    small = gguf_pattern(MIB - 1)
    assert run_transfer(pinned_artifact(origin.serve("m.gguf", small), small), tmp_path).content() == small.read()
    assert not writes.direct


def test_a_disk_that_refuses_a_direct_write_gets_no_more_of_them(model, tmp_path, writes):
    def refuse(fd, data, offset):
        raise OSError(errno.EINVAL, "Invalid argument")

    writes.at_direct = refuse
    assert run_transfer(model, tmp_path, options=ONE_CONNECTION).content() == MODEL.read()
    assert 1 <= len(writes.direct) <= 3, "writes that were under way already"


def test_a_short_write_past_the_cache_is_continued(model, tmp_path, writes):
    writes.at_direct = lambda fd, data, offset: PWRITE(fd, data[:PAGE], offset)
    assert run_transfer(model, tmp_path, options=ONE_CONNECTION).content() == MODEL.read()
    assert len(writes.direct) > 3


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EIO, StorageFailed), (errno.ENOSPC, DiskFull)], ids=["EIO", "ENOSPC"]
)
def test_a_write_that_fails_ends_the_run_and_no_byte_behind_it_is_kept(origin, model, tmp_path, writes, number, kind):
    """Neither are the bytes behind it that the writer already had and wrote without an error."""
    failed_at = []

    def fail_once(fd, data, offset):
        if offset >= 8 * MIB and not failed_at:
            failed_at.append(offset)
            raise OSError(number, os.strerror(number))
        return PWRITE(fd, data, offset)

    writes.at_direct = fail_once
    with pytest.raises(kind, match=r"m\.gguf"):
        run_transfer(model, tmp_path, options=ONE_CONNECTION)
    kept = journal.load(tmp_path).files["m.gguf"].kept
    assert all(end <= failed_at[0] for _, end in kept)
    since, count = TrafficMeter(origin), journaled_bytes(tmp_path)
    assert run_transfer(model, tmp_path).content() == MODEL.read()
    assert since.bytes == MODEL.size - count


def test_a_write_that_fails_ends_the_run_though_no_more_bytes_arrive(origin, model, tmp_path, writes):
    def fail_last_write(fd, data, offset):
        if offset + len(data) == 8 * MIB:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return PWRITE(fd, data, offset)

    writes.at_direct = fail_last_write
    origin.break_with(Hold(after=8 * MIB).once(), path="/m.gguf")
    options = quick(connections_per_host=1, stall_s=600)
    with BackgroundRun(model, tmp_path, options=options) as running, pytest.raises(StorageFailed):
        running.result()


def test_a_connection_that_pauses_in_the_middle_of_a_page_returns_to_whole_pages(origin, model, tmp_path, writes):
    pause = 3 * MIB + 300_001
    with hold_after(pause, model, tmp_path, origin, options=ONE_CONNECTION) as running:
        running.hold.set()
        assert running.result().content() == MODEL.read()
    assert any(offset > pause for offset, _ in writes.direct)
    assert writes.direct_in_whole_pages


def test_bytes_that_went_past_the_cache_are_never_read_again(origin, model, tmp_path, writes, monkeypatch):
    """Bytes that arrive out of order go through the cache, because the hasher reads them later."""
    reads = []

    def record_reads(part, view, offset):
        reads.append((offset, offset + len(view)))
        real(part, view, offset)

    real = hasher._read_full
    monkeypatch.setattr(hasher, "_read_full", record_reads)
    monkeypatch.setattr(fetch, "ConcurrencyPlan", partial(ConcurrencyPlan, count=4, baseline=4))
    front = Hold(after=MIB)
    origin.break_with(front.once(), path="/m.gguf")
    with BackgroundRun(model, tmp_path) as running:
        origin.wait_for(lambda: journaled_bytes(tmp_path) > 8 * MIB)
        front.event.set()
        assert running.result().content() == MODEL.read()
    assert reads
    for start, end in reads:
        assert not any(offset < end and start < offset + count for offset, count in writes.direct)


def test_a_resume_in_the_middle_of_a_page_returns_to_whole_pages(origin, model, tmp_path, writes):
    stop_after(5 * MIB + 4321, model, tmp_path, origin)
    since, kept, before = TrafficMeter(origin), journaled_bytes(tmp_path), len(writes.direct)
    assert run_transfer(model, tmp_path, options=ONE_CONNECTION).content() == MODEL.read()
    assert since.bytes == MODEL.size - kept
    assert len(writes.direct) > before
    assert writes.direct_in_whole_pages


def test_every_byte_is_written_once(model, tmp_path, writes):
    run_transfer(model, tmp_path, options=ONE_CONNECTION)
    spans = sorted((offset, offset + count) for offset, count in writes.cached + writes.direct)
    assert all(previous[1] == following[0] for previous, following in pairwise(spans))
    assert (spans[0][0], spans[-1][1]) == (0, MODEL.size)
