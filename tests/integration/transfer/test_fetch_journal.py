"""The journal of a running transfer: it never claims a byte that is not synced, and unsynced bytes are bounded."""

import threading
from types import SimpleNamespace

import pytest
from support.models import gguf_pattern
from support.origin import TrafficMeter
from support.run_fetch import crash_after, journaled_bytes, pinned_artifact, quick, run_transfer

from flowhub_jobs.transfer import committer
from flowhub_jobs.transfer.file_state import BUFFER_DIRECT, PENDING_WRITES_MAX
from flowhub_jobs.transfer.options import CancelToken
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.partial.journal import Journal
from flowhub_jobs.transfer.partial.part_file import PartFile

MIB = 1 << 20
MODEL = gguf_pattern(4 * MIB + 12345, seed=1)
HALF = 2 * MIB + 500_000

pytestmark = pytest.mark.usefixtures("quick_commits")


@pytest.fixture
def model(origin):
    return pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)


def test_a_journal_that_was_rewritten_during_a_run_has_the_same_content(origin, model, tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "COMPACT_BYTES", 1000)
    origin.limit(total_bps=20e6)
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    since = TrafficMeter(origin)
    run = run_transfer(model, partial)
    assert run.content() == MODEL.read()
    assert since.bytes == MODEL.size - HALF
    assert run.notes == []


# Synced bytes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rewritten", [False, True], ids=["appended", "rewritten"])
def test_the_journal_never_claims_more_than_was_synced_before(origin, model, tmp_path, monkeypatch, rewritten):
    """More bytes arrive while a sync runs; the journal must not claim them yet. One connection writes in order."""
    synced, comparisons = [0], []
    sync, commit, rewrite = PartFile.sync, Journal.commit, Journal.rewrite

    def slow_sync(part):
        size = part.size
        sync(part)
        origin.wait_for(lambda: part.size > size or size == MODEL.size)
        synced.append(size)

    def compare_after(write):
        def write_and_compare(log, record):
            write(log, record)
            comparisons.append((journaled_bytes(tmp_path), synced[-1]))

        return write_and_compare

    monkeypatch.setattr(PartFile, "sync", slow_sync)
    monkeypatch.setattr(Journal, "commit", compare_after(commit))
    monkeypatch.setattr(Journal, "rewrite", compare_after(rewrite))
    monkeypatch.setattr(Journal, "is_long", rewritten)
    origin.limit(total_bps=10e6)
    run_transfer(model, tmp_path, options=quick(connections_per_host=1))
    assert len(comparisons) > 3
    assert all(claimed <= on_disk for claimed, on_disk in comparisons)
    assert comparisons[-1] == (MODEL.size, MODEL.size)


@pytest.mark.parametrize("writers", [1, 16, 49], ids="{} ranges at once".format)
def test_no_more_than_64_mib_wait_to_be_synced(writers):
    """Each range that is being received, and each buffer in the writer's queue, may exceed the limit once."""

    class CountedCondition(threading.Condition):
        """A condition that counts the waits, and gives room to each."""

        waits = 0

        def wait(self, timeout=None):
            self.waits += 1
            state.unsynced = 0
            return True

    limit = committer.unsynced_limit(writers)
    assert limit + (writers + PENDING_WRITES_MAX) * BUFFER_DIRECT <= 64 * MIB
    state = SimpleNamespace(
        changed=CountedCondition(),
        commit_due=threading.Condition(),
        files=[],
        tasks=[None] * writers,
        ended=False,
        unsynced=limit - 9,
    )
    gate = committer.Committer(state, None, "job", CancelToken())
    gate.admit(9)
    assert state.changed.waits == 0
    with state.commit_due:
        gate.admit(10)
    assert state.changed.waits == 1
