"""How often the progress of a run is written: at each call, or, in a shared database, less often."""

import pytest

from flowhub_jobs.jobs.run_values import Lease
from flowhub_jobs.transfer.fetch import TransferProgress
from flowhub_jobs.values.enums import EventKind, Stage
from flowhub_jobs.values.jobs import Note
from flowhub_jobs.worker.progress import ProgressWriter

NOTE = Note(EventKind.CONNECTION, "It was slow.")


class Leases:
    """Counts what is written."""

    def __init__(self) -> None:
        self.kept: list[int] = []
        self.events: list[Note] = []

    def progress(self, lease, seen):
        self.kept.append(seen.done)

    def record_event(self, lease, note):
        self.events.append(note)


class Claimed:
    lease, sources, fetched = Lease(1, 1, "token", 1e9, lambda: 0.0), {}, 0


def seen(kept, stage=Stage.DOWNLOAD, **more):
    return TransferProgress(stage, 100, kept, kept, 1, 1, (), **more)


@pytest.fixture
def leases():
    return Leases()


def test_each_call_is_written(leases):
    writer = ProgressWriter(leases, Claimed())
    for kept in (1, 2, 3):
        writer.show(seen(kept))
    assert leases.kept == [1, 2, 3]


def test_in_a_shared_database_only_a_new_stage_an_event_and_the_end_are_written_at_once(leases):
    writer = ProgressWriter(leases, Claimed(), every_s=3600.0)
    writer.show(seen(1, Stage.RESOLVE))
    writer.show(seen(2, Stage.RESOLVE))
    writer.show(seen(3))
    writer.show(seen(4))
    writer.show(seen(5, notes=(NOTE,)))
    writer.show(seen(6))
    writer.show(seen(7, last=True))
    assert (leases.kept, leases.events) == ([1, 3, 5, 7], [NOTE])
