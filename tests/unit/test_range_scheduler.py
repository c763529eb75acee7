"""The range scheduler: the length of the next range, and ranges that two connections share."""

from pathlib import Path

import pytest

from flowhub_jobs.net.urls import HUB
from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.range_scheduler import next_task, return_task
from flowhub_jobs.transfer.resume import resume_partial
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile

GIB = 1 << 30


@pytest.fixture
def transfer(tmp_path: Path):
    model = ArtifactFile("m.gguf", "https://example.org/m.gguf", 4 * GIB, "0" * 64)
    transfer = TransferState(Artifact("m@q", "m", "q", None, "m", False, (model,)), tmp_path, HUB)
    log = resume_partial(transfer, "job", 3 * GIB)  # bytes of earlier attempts say nothing about this connection
    transfer.files[0].identity.identified = True
    yield transfer
    log.close()
    transfer.close()


def fetch_next(transfer: TransferState) -> int:
    """Take the next range and keep all of it; return its number of bytes."""
    with transfer.changed:
        task = next_task(transfer)
        assert task is not None
        count = task.end - task.start
        task.state.record.kept.add(task.start, task.end)
        transfer.fetched += count
        transfer.hash_queue.mark_idle(task.state)  # as if all of it had been hashed
        transfer.withdraw(task)
    return count


def test_ranges_double_until_a_rate_was_measured(transfer):
    assert [fetch_next(transfer) // MIB for _ in range(7)] == [16, 16, 32, 64, 128, 256, 256]


def test_a_measured_rate_decides(transfer):
    fetch_next(transfer)
    transfer.rate_bps = 10e6
    assert fetch_next(transfer) == 40_000_000


def test_while_more_connections_are_tried_ranges_stay_short(transfer):
    for _ in range(5):
        fetch_next(transfer)
    transfer.probing = True
    assert fetch_next(transfer) == 16 * MIB


def take_next(transfer: TransferState) -> RangeTask:
    with transfer.changed:
        task = next_task(transfer)
    assert task is not None
    return task


def test_a_range_that_another_connection_took_over_is_not_written_by_the_first(transfer):
    """Nor the bytes that it has received by then: if a byte were written twice, the second copy would not be hashed."""
    while (first := take_next(transfer)).end < 4 * GIB:
        transfer.withdraw(first)
        fetch_next(transfer)
    first.started_at, first.bytes_received = first.started_at - 60, MIB
    assert transfer.reserve(first, MIB) == MIB
    second = take_next(transfer)
    assert first.start + MIB < second.start == first.end
    assert transfer.reserve(first, 4 * GIB) == second.start - (first.start + MIB)
    assert transfer.reserve(first, 1) == 0
    assert transfer.reserve(second, 4 * GIB) == second.end - second.start


def test_a_shared_range_without_a_connection_is_returned_to_its_first_task(transfer):
    while (first := take_next(transfer)).end < 4 * GIB:
        transfer.withdraw(first)
        fetch_next(transfer)
    first.started_at, first.bytes_received, first.response_end = first.started_at - 60, MIB, first.end
    for _ in range(3):
        with transfer.changed:
            return_task(transfer, take_next(transfer))
    assert (first.end, transfer.tasks) == (4 * GIB, [first])
