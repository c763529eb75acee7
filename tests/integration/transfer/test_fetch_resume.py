"""Resumed transfers: kept bytes are not fetched again, whatever ended the run before."""

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from lib.origin.content import Bytes
from support.faults import CappedRange, EarlyClose, Hold, Stall
from support.models import gguf, gguf_pattern
from support.origin import TrafficMeter
from support.run_fetch import (
    BackgroundRun,
    TransferRun,
    crash_after,
    folder_artifact,
    journaled_bytes,
    pinned_artifact,
    quick,
    run_transfer,
    stop_after,
)

from flowhub_jobs.errors import ConnectionLost
from flowhub_jobs.pieces import resumable_sha256
from flowhub_jobs.transfer import committer, hash_queue, hasher
from flowhub_jobs.transfer import fetch as fetch_module
from flowhub_jobs.transfer.fetch import PriorAttempts
from flowhub_jobs.transfer.options import Cancelled, CancelToken
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.retry import PriorFaults

MIB = 1 << 20
MODEL = gguf_pattern(4 * MIB + 12345, seed=1)
OTHER = gguf_pattern(MODEL.size, seed=2)
SHORTER = gguf_pattern(3 * MIB, seed=3)
HALF = 2 * MIB + 500_000
ROOT = Path(__file__).parents[3]

pytestmark = pytest.mark.usefixtures("quick_commits")


@pytest.fixture
def model(origin):
    return pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)


class RereadBytes:
    """Counts the bytes kept by the run before that the hasher reads from the disk."""

    def __init__(self, monkeypatch):
        self.bytes = 0
        read = hasher._read_full

        def count_and_read(part, view, offset):
            self.bytes += max(0, min(HALF, offset + len(view)) - offset)
            read(part, view, offset)

        monkeypatch.setattr(hasher, "_read_full", count_and_read)


# After a stop --------------------------------------------------------------------------------------------------------


def test_after_a_stop_nothing_is_fetched_or_read_again(origin, model, tmp_path, monkeypatch):
    partial = stop_after(HALF, model, tmp_path, origin)
    since, read = TrafficMeter(origin), RereadBytes(monkeypatch)
    run = run_transfer(model, partial)
    assert run.content() == MODEL.read()
    assert since.bytes == MODEL.size - HALF
    assert origin.range_starts() == [0, HALF]
    assert read.bytes == 0


def test_a_stop_is_distinguished_from_a_crash(origin, model, tmp_path):
    assert not journal.load(crash_after(HALF, model, tmp_path / "a", origin)).clean
    assert journal.load(stop_after(HALF, model, tmp_path / "b", origin)).clean


def test_many_stops_cost_nothing(origin, model, tmp_path):
    for at in (MIB - 7, HALF, 3 * MIB):
        hold = Hold(after=at - journaled_bytes(tmp_path))
        origin.break_with(hold, path="/m.gguf")
        with BackgroundRun(model, tmp_path) as running:
            origin.wait_for(lambda at=at: journaled_bytes(tmp_path) == at)
            running.stop()
    origin.break_with(path="/m.gguf")
    assert run_transfer(model, tmp_path).content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size


def test_a_stop_is_obeyed_while_the_origin_stalls_and_keeps_the_bytes_that_arrived(origin, model, tmp_path):
    """No timeout of the transfer would end this wait within the test."""
    origin.break_with(Stall(after=HALF), path="/m.gguf")
    with BackgroundRun(model, tmp_path, options=quick(stall_s=600)) as running:
        origin.wait_for(lambda: origin.sent("m.gguf") == HALF and journaled_bytes(tmp_path) == HALF)
        running.run.cancel.stop("pause")
        with pytest.raises(Cancelled) as raised:
            running.result()
    assert raised.value.reason == "pause"
    names = {thread.name for thread in threading.enumerate()}
    assert not {"hasher", "committer", "fetcher-0"} & names, "no thread is left"
    assert journaled_bytes(tmp_path) == HALF
    assert journal.load(tmp_path).clean


def test_a_stop_keeps_what_had_not_been_committed_yet(origin, model, tmp_path, monkeypatch):
    monkeypatch.setattr(committer, "PERIOD_S", 3600)
    monkeypatch.setattr(fetch_module, "WATCH_S", 0.01)
    origin.break_with(Stall(after=HALF), path="/m.gguf")
    with BackgroundRun(model, tmp_path) as running:
        part = tmp_path / "files" / "m.gguf"
        origin.wait_for(lambda: part.exists() and part.stat().st_size == HALF)
        running.run.wait_for_progress(2)
        assert journaled_bytes(tmp_path) == 0
        running.stop()
    assert journaled_bytes(tmp_path) == HALF


def test_a_run_that_is_stopped_before_it_begins_sends_no_request(origin, model, tmp_path):
    cancel = CancelToken()
    cancel.stop("cancel")
    with pytest.raises(Cancelled):
        run_transfer(model, tmp_path, cancel=cancel)
    assert origin.requests() == []


# After a crash -------------------------------------------------------------------------------------------------------


def test_after_a_crash_only_what_the_journal_lacks_is_fetched(origin, model, tmp_path, monkeypatch):
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    since, read = TrafficMeter(origin), RereadBytes(monkeypatch)
    run = run_transfer(model, partial)
    assert run.content() == MODEL.read()
    assert since.bytes == MODEL.size - HALF
    assert read.bytes == HALF, "kept bytes are read once, to verify that they are unchanged"
    assert run.notes == []


def test_a_process_that_is_killed_again_and_again_fetches_only_what_was_not_yet_committed(origin, tmp_path):
    """Real processes, SIGKILL, counted at the origin: each run begins where the journal of the last one ends."""
    large = gguf_pattern(16 * MIB, seed=4)
    artifact = pinned_artifact(origin.serve("m.gguf", large), large)
    origin.limit(total_bps=8e6)
    path = os.pathsep.join(str(folder) for folder in (ROOT, ROOT / "tests", ROOT / "scripts"))
    command = [sys.executable, "-m", "support.run_fetch", json.dumps(artifact.as_dict()), str(tmp_path)]
    ends = [0]
    for _ in range(2):
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
        origin.wait_for(lambda: journaled_bytes(tmp_path) >= ends[-1] + MIB)
        process.kill()
        process.wait()
        ends.append(journaled_bytes(tmp_path))
    origin.wait_for(lambda: origin.open_connections == 0)
    origin.limit()
    since = TrafficMeter(origin)
    assert run_transfer(artifact, tmp_path).content() == large.read()
    assert since.bytes == large.size - ends[-1]
    assert origin.range_starts() == ends


def test_bytes_over_the_wire_are_counted_through_a_crash_by_the_job_they_belong_to(origin, model, tmp_path):
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    other = shutil.copytree(partial, tmp_path / "other")
    assert run_transfer(model, partial, prior=PriorAttempts("job", fetched=100)).fetched.bytes_fetched == MODEL.size
    assert run_transfer(model, other, prior=PriorAttempts("another")).fetched.bytes_fetched == MODEL.size - HALF


def test_where_a_digest_cannot_be_saved_the_prefix_is_hashed_again_and_not_fetched(
    origin, model, tmp_path, monkeypatch
):
    monkeypatch.setattr(resumable_sha256, "_library", lambda: None)
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    since = TrafficMeter(origin)
    assert run_transfer(model, partial).content() == MODEL.read()
    assert since.bytes == MODEL.size - HALF


# A folder ------------------------------------------------------------------------------------------------------------


def test_files_of_a_folder_that_are_there_are_not_fetched_again(origin, tmp_path):
    contents = {f"sub/{number}.gguf": Bytes(gguf(50_000, seed=number)) for number in range(5)}
    urls = {path: origin.serve(path, content) for path, content in contents.items()}
    last = "sub/4.gguf"
    origin.break_with(Stall(after=20_000), path=f"/{last}")
    artifact = folder_artifact(urls, contents)
    with BackgroundRun(artifact, tmp_path) as running:
        origin.wait_for(lambda: journaled_bytes(tmp_path) == 220_000)
        running.stop()
    origin.break_with(path=f"/{last}")
    run = run_transfer(artifact, tmp_path)
    assert [run.content(number) for number in range(5)] == [content.data for content in contents.values()]
    assert origin.sent() == 250_000


# Errors --------------------------------------------------------------------------------------------------------------


def test_bytes_that_arrived_before_an_error_are_kept_for_a_retry(origin, model, tmp_path):
    origin.break_with(EarlyClose(after=HALF).once(), EarlyClose().from_byte(1), path="/m.gguf")
    with pytest.raises(ConnectionLost):
        run_transfer(model, tmp_path, options=quick(faults_max=3))
    assert journaled_bytes(tmp_path) == HALF
    origin.break_with(path="/m.gguf")
    assert run_transfer(model, tmp_path).content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size


def test_faults_of_earlier_attempts_count(origin, model, tmp_path):
    origin.break_with(EarlyClose(), path="/m.gguf")
    with pytest.raises(ConnectionLost):
        run_transfer(model, tmp_path, prior=PriorAttempts("job", faults=PriorFaults(9)))
    assert len(origin.requests()) == 1


def test_small_answers_leave_no_more_in_memory_than_they_should(origin, model, tmp_path, monkeypatch):
    """Bytes that the hasher has no room for in memory are read from the disk, to which they were written already."""
    monkeypatch.setattr(hash_queue, "QUEUED_MAX", 100_000)
    origin.break_with(CappedRange(most=300_000), path="/m.gguf")
    assert TransferRun(model, tmp_path).fetch().content() == MODEL.read()
