"""What the journal says of a running transfer: never more than what is on the disk; what is not is bounded."""

import threading
from types import SimpleNamespace

import pytest
from support.models import gguf_pattern
from support.origin import TrafficMeter
from support.run_fetch import crash_after, journaled_bytes, pinned_artifact, quick, run_transfer

from flowhub_jobs.transfer import committer
from flowhub_jobs.transfer.file_state import BUFFER_DIRECT, UNDERWAY_MAX
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


def test_a_journal_that_was_rewritten_in_mid_run_has_the_same_content(origin, model, tmp_path, monkeypatch):
    monkeypatch.setattr(journal, "COMPACT_BYTES", 1000)
    origin.limit(total_bps=20e6)
    partial = crash_after(HALF, model, tmp_path / "p", origin)
    since = TrafficMeter(origin)
    got = run_transfer(model, partial)
    assert got.content() == MODEL.read()
    assert since.bytes == MODEL.size - HALF
    assert got.notes == []


# What is on the disk -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("anew", [False, True], ids=["appended", "written anew"])
def test_the_journal_never_says_more_than_what_was_synced_before(origin, model, tmp_path, monkeypatch, anew):
    """While a sync runs, more comes; the journal must not speak of that yet. One connection writes in order."""
    synced, told = [0], []
    sync, commit, rewrite = PartFile.sync, Journal.commit, Journal.rewrite

    def slow_sync(part):
        size = part.size
        sync(part)
        origin.wait_for(lambda: part.size > size or size == MODEL.size)
        synced.append(size)

    def then_compare(write):
        def written(log, said):
            write(log, said)
            told.append((journaled_bytes(tmp_path), synced[-1]))

        return written

    monkeypatch.setattr(PartFile, "sync", slow_sync)
    monkeypatch.setattr(Journal, "commit", then_compare(commit))
    monkeypatch.setattr(Journal, "rewrite", then_compare(rewrite))
    monkeypatch.setattr(Journal, "is_long", anew)
    origin.limit(total_bps=10e6)
    run_transfer(model, tmp_path, options=quick(connections_per_host=1))
    assert len(told) > 3
    assert all(said <= there for said, there in told)
    assert told[-1] == (MODEL.size, MODEL.size)


def test_no_more_than_64_mib_wait_to_be_synced():
    class Room(threading.Condition):
        """Whoever waits for room gets it; that it was waited for is counted."""

        waits = 0

        def wait(self, timeout=None):
            self.waits += 1
            full.unsynced = 0
            return True

    passed = (16 + UNDERWAY_MAX) * BUFFER_DIRECT
    assert committer.UNSYNCED_MAX + passed <= 64 * MIB, "sixteen at once may pass the line, and the writer"
    full = SimpleNamespace(changed=Room(), files=[], ended=False, unsynced=committer.UNSYNCED_MAX - 9)
    gate = committer.Committer(full, None, "job", CancelToken())
    gate.admit(9)
    assert full.changed.waits == 0
    gate.admit(10)
    assert full.changed.waits == 1
