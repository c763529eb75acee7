"""A run whose lease is lost writes nothing more: no byte and no journal record, also when it is stopped."""

import pytest
from support.faults import Stall
from support.models import gguf_pattern
from support.run_fetch import BackgroundRun, hold_after, journaled_bytes, pinned_artifact

from flowhub_jobs.jobs.run_values import LeaseLost
from flowhub_jobs.transfer import committer
from flowhub_jobs.transfer import fetch as fetch_module
from flowhub_jobs.transfer.options import CancelToken
from flowhub_jobs.transfer.partial import journal

MIB = 1 << 20
MODEL = gguf_pattern(4 * MIB + 12345, seed=1)
HALF = 2 * MIB + 500_000

pytestmark = pytest.mark.usefixtures("quick_commits")


@pytest.fixture
def model(origin):
    return pinned_artifact(origin.serve("m.gguf", MODEL), MODEL)


class Lease:
    """Says whether the run may write; `lose` ends that."""

    def __init__(self):
        self.lost = False

    def check(self):
        if self.lost:
            raise LeaseLost(7)


def contents_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_whose_lease_is_lost_writes_nothing_more(origin, model, tmp_path):
    lease = Lease()
    with hold_after(HALF, model, tmp_path, origin, cancel=CancelToken(lease.check)) as running:
        lease.lost = True
        before = contents_of(tmp_path)
        running.hold.set()
        with pytest.raises(LeaseLost):
            running.result()
    assert contents_of(tmp_path) == before


def test_a_run_whose_lease_is_lost_writes_no_last_record_when_it_is_stopped(origin, model, tmp_path):
    lease = Lease()
    with hold_after(HALF, model, tmp_path, origin, cancel=CancelToken(lease.check)) as running:
        lease.lost = True
        before = contents_of(tmp_path)
        running.stop()
    assert contents_of(tmp_path) == before
    assert not journal.load(tmp_path).clean


def test_a_run_whose_lease_is_lost_does_not_commit_what_it_had_written(origin, model, tmp_path, monkeypatch):
    monkeypatch.setattr(committer, "PERIOD_S", 3600)
    monkeypatch.setattr(fetch_module, "WATCH_S", 0.01)
    lease = Lease()
    origin.break_with(Stall(after=HALF), path="/m.gguf")
    with BackgroundRun(model, tmp_path, cancel=CancelToken(lease.check)) as running:
        part = tmp_path / "files" / "m.gguf"
        origin.wait_for(lambda: part.exists() and part.stat().st_size == HALF)
        running.run.wait_for_progress(2)
        lease.lost = True
        running.stop()
    assert journaled_bytes(tmp_path) == 0
