"""What is asked for next: how long a range is before a rate is known and after, and whose it is when it is shared."""

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
    log = resume_partial(transfer, "job", 3 * GIB)  # what earlier attempts fetched says nothing of this line
    transfer.files[0].identity.identified = True
    yield transfer
    log.close()
    transfer.close()


def fetched_whole(transfer: TransferState) -> int:
    """Have the next range fetched; return its bytes."""
    with transfer.changed:
        task = next_task(transfer)
        assert task is not None
        count = task.end - task.start
        task.state.record.kept.add(task.start, task.end)
        transfer.fetched += count
        transfer.hash_queue.mark_idle(task.state)  # as if it were hashed
        transfer.withdraw(task)
    return count


def test_ranges_double_until_a_rate_was_measured(transfer):
    assert [fetched_whole(transfer) // MIB for _ in range(7)] == [16, 16, 32, 64, 128, 256, 256]


def test_a_measured_rate_decides(transfer):
    fetched_whole(transfer)
    transfer.rate = 10e6
    assert fetched_whole(transfer) == 40_000_000


def test_while_more_connections_are_tried_ranges_stay_short(transfer):
    for _ in range(5):
        fetched_whole(transfer)
    transfer.probing = True
    assert fetched_whole(transfer) == 16 * MIB


def begun(transfer: TransferState) -> RangeTask:
    with transfer.changed:
        task = next_task(transfer)
    assert task is not None
    return task


def test_what_another_has_taken_over_is_not_written_by_the_first(transfer):
    """What it has in hand by then included: written twice, a byte would lie there that nobody hashed."""
    while (first := begun(transfer)).end < 4 * GIB:
        transfer.withdraw(first)
        fetched_whole(transfer)
    first.started_at, first.received = first.started_at - 60, MIB
    assert transfer.claim(first, MIB) == MIB
    second = begun(transfer)
    assert first.start + MIB < second.start == first.end
    assert transfer.claim(first, 4 * GIB) == second.start - (first.start + MIB)
    assert transfer.claim(first, 1) == 0
    assert transfer.claim(second, 4 * GIB) == second.end - second.start


def test_what_no_connection_can_be_had_for_is_given_back_to_whom_it_was_taken_from(transfer):
    while (first := begun(transfer)).end < 4 * GIB:
        transfer.withdraw(first)
        fetched_whole(transfer)
    first.started_at, first.received, first.response_end = first.started_at - 60, MIB, first.end
    for _ in range(3):
        with transfer.changed:
            return_task(transfer, begun(transfer))
    assert (first.end, transfer.tasks) == (4 * GIB, [first])
