"""Bytes that go to the disk past the system's cache: which do, what happens where the disk does not take them so."""

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
ONE = quick(connections_per_host=1)


@pytest.fixture(autouse=True)
def _disk(tmp_path):
    skip_without_direct_io(tmp_path)


@pytest.fixture
def model(origin):
    return pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)


@dataclass
class Writes:
    """The writes of this process, each as (offset, bytes): through the cache, and past it, which `at_direct` does."""

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
    seen = Writes()
    monkeypatch.setattr(os, "pwrite", seen.pwrite)
    return seen


def test_what_is_next_in_line_goes_past_the_cache_in_whole_pages(model, tmp_path, writes):
    fetched = run_transfer(model, tmp_path, options=ONE)
    assert sum(count for _, count in writes.direct) > MODEL.size // 2
    assert writes.direct_in_whole_pages
    assert max(count for _, count in writes.direct) == BUFFER_DIRECT
    assert fetched.content() == MODEL.read()


def test_a_fetch_leaves_the_cache_to_others(model, tmp_path):
    assert cached_bytes(run_transfer(model, tmp_path / "direct", options=ONE).fetched.parts[0]) < MODEL.size // 2
    assert (
        cached_bytes(run_transfer(model, tmp_path / "cached", options=quick(direct_io=False)).fetched.parts[0])
        > MODEL.size // 2
    )


def test_it_can_be_turned_off(model, tmp_path, writes):
    fetched = run_transfer(model, tmp_path, options=quick(direct_io=False))
    assert not writes.direct
    assert fetched.content() == MODEL.read()


def test_a_small_file_is_copied_and_not_waited_for(origin, tmp_path, writes):
    small = gguf_pattern(MIB - 1)
    assert run_transfer(pinned_artifact(origin.serve("m.gguf", small), small), tmp_path).content() == small.read()
    assert not writes.direct


def test_a_disk_that_wants_larger_pages_is_asked_no_more(model, tmp_path, writes):
    def refuse(fd, data, offset):
        raise OSError(errno.EINVAL, "Invalid argument")

    writes.at_direct = refuse
    assert run_transfer(model, tmp_path, options=ONE).content() == MODEL.read()
    assert 1 <= len(writes.direct) <= 3, "those that were on their way already"


def test_a_write_past_the_cache_that_takes_less_is_gone_on_with(model, tmp_path, writes):
    writes.at_direct = lambda fd, data, offset: PWRITE(fd, data[:PAGE], offset)
    assert run_transfer(model, tmp_path, options=ONE).content() == MODEL.read()
    assert len(writes.direct) > 3


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.EIO, StorageFailed), (errno.ENOSPC, DiskFull)], ids=["EIO", "ENOSPC"]
)
def test_a_write_that_fails_ends_the_run_and_nothing_from_there_on_is_believed(
    origin, model, tmp_path, writes, number, kind
):
    """Also not what the writer had already, behind it, and has written well."""
    failed = []

    def fail_once(fd, data, offset):
        if offset >= 8 * MIB and not failed:
            failed.append(offset)
            raise OSError(number, os.strerror(number))
        return PWRITE(fd, data, offset)

    writes.at_direct = fail_once
    with pytest.raises(kind, match=r"m\.gguf"):
        run_transfer(model, tmp_path, options=ONE)
    kept = journal.load(tmp_path).files["m.gguf"].kept
    assert all(end <= failed[0] for _, end in kept)
    since, count = TrafficMeter(origin), journaled_bytes(tmp_path)
    assert run_transfer(model, tmp_path).content() == MODEL.read()
    assert since.bytes == MODEL.size - count


def test_a_write_that_fails_ends_the_run_though_no_byte_comes_any_more(origin, model, tmp_path, writes):
    def fail_the_last_that_came(fd, data, offset):
        if offset + len(data) == 8 * MIB:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return PWRITE(fd, data, offset)

    writes.at_direct = fail_the_last_that_came
    origin.break_with(Hold(after=8 * MIB).once(), path="/m.gguf")
    options = quick(connections_per_host=1, stall_s=600)
    with BackgroundRun(model, tmp_path, options=options) as running, pytest.raises(StorageFailed):
        running.result()


def test_a_line_that_pauses_in_the_middle_of_a_page_finds_back_to_whole_ones(origin, model, tmp_path, writes):
    pause = 3 * MIB + 300_001
    with hold_after(pause, model, tmp_path, origin, options=ONE) as running:
        running.hold.set()
        assert running.result().content() == MODEL.read()
    assert any(offset > pause for offset, _ in writes.direct)
    assert writes.direct_in_whole_pages


def test_what_went_past_the_cache_is_never_read_again(origin, model, tmp_path, writes, monkeypatch):
    """What comes out of order is what the digest reads later: it goes through the cache."""
    read = []

    def noted(part, view, offset):
        read.append((offset, offset + len(view)))
        real(part, view, offset)

    real = hasher._read_full
    monkeypatch.setattr(hasher, "_read_full", noted)
    monkeypatch.setattr(fetch, "ConcurrencyPlan", partial(ConcurrencyPlan, count=4, baseline=4))
    front = Hold(after=MIB)
    origin.break_with(front.once(), path="/m.gguf")
    with BackgroundRun(model, tmp_path) as running:
        origin.wait_for(lambda: journaled_bytes(tmp_path) > 8 * MIB)
        front.event.set()
        assert running.result().content() == MODEL.read()
    assert read
    for start, end in read:
        assert not any(offset < end and start < offset + count for offset, count in writes.direct)


def test_a_resume_in_the_middle_of_a_page_finds_back_to_whole_ones(origin, model, tmp_path, writes):
    stop_after(5 * MIB + 4321, model, tmp_path, origin)
    since, kept, before = TrafficMeter(origin), journaled_bytes(tmp_path), len(writes.direct)
    assert run_transfer(model, tmp_path, options=ONE).content() == MODEL.read()
    assert since.bytes == MODEL.size - kept
    assert len(writes.direct) > before
    assert writes.direct_in_whole_pages


def test_every_byte_is_written_once(model, tmp_path, writes):
    run_transfer(model, tmp_path, options=ONE)
    spans = sorted((offset, offset + count) for offset, count in writes.cached + writes.direct)
    assert all(one[1] == other[0] for one, other in pairwise(spans))
    assert (spans[0][0], spans[-1][1]) == (0, MODEL.size)
