"""ProgressWriter: it writes at each call, or less often in a shared database."""

import pytest

from flowhub_jobs.jobs.run_values import Lease
from flowhub_jobs.transfer.fetch import TransferProgress
from flowhub_jobs.values.enums import EventKind, Stage
from flowhub_jobs.values.jobs import NewEvent
from flowhub_jobs.worker.progress import ProgressWriter

NOTE = NewEvent(EventKind.CONNECTION, "It was slow.")


class Leases:
    """Leases that record each write."""

    def __init__(self) -> None:
        self.written: list[int] = []
        self.events: list[NewEvent] = []

    def progress(self, lease, progress):
        self.written.append(progress.done)

    def record_event(self, lease, note):
        self.events.append(note)


class ClaimedJob:
    lease, sources, fetched = Lease(1, 1, "token", 1e9, lambda: 0.0), {}, 0


def snapshot(done, stage=Stage.DOWNLOAD, **fields):
    return TransferProgress(stage, 100, done, done, 1, 1, (), **fields)


@pytest.fixture
def leases():
    return Leases()


def test_each_call_is_written(leases):
    writer = ProgressWriter(leases, ClaimedJob())
    for done in (1, 2, 3):
        writer.show(snapshot(done))
    assert leases.written == [1, 2, 3]


def test_in_a_shared_database_only_a_new_stage_an_event_and_the_end_are_written_at_once(leases):
    writer = ProgressWriter(leases, ClaimedJob(), every_s=3600.0)
    writer.show(snapshot(1, Stage.RESOLVE))
    writer.show(snapshot(2, Stage.RESOLVE))
    writer.show(snapshot(3))
    writer.show(snapshot(4))
    writer.show(snapshot(5, notes=(NOTE,)))
    writer.show(snapshot(6))
    writer.show(snapshot(7, last=True))
    assert (leases.written, leases.events) == ([1, 3, 5, 7], [NOTE])
