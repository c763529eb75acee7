"""RangeTask: the time that a range in flight will still take, and the part that an idle connection may take over."""

import math

from flowhub_jobs.transfer.file_state import JUDGED_S, SHARE_MIN, SILENT_S, RangeTask

STARTED_AT, SIZE = 1000.0, 8 * SHARE_MIN


def task(written_to=0, reserved_to=None, **fields):
    new_task = RangeTask(None, 0, SIZE, started_at=STARTED_AT, **fields)
    new_task.written_to, new_task.reserved_to = written_to, written_to if reserved_to is None else reserved_to
    return new_task


def test_the_remaining_time_follows_from_the_speed_so_far():
    assert (
        task(written_to=SIZE // 2, bytes_received=SIZE // 2, bytes_written=SIZE // 2).remaining_s(STARTED_AT + 3) == 3
    )
    assert (
        task(written_to=SIZE // 2, bytes_received=SIZE // 2, bytes_written=SIZE // 2).split_at == SIZE // 2 + SIZE // 4
    )


def test_a_slow_start_is_not_judged():
    """Else half of a range would be requested twice, although the first connection is about to deliver it."""
    assert task(written_to=1000, bytes_received=1000).remaining_s(STARTED_AT + JUDGED_S / 2) == 0
    assert task(written_to=1000, bytes_received=1000).remaining_s(STARTED_AT + JUDGED_S) > 1000


def test_a_range_without_a_byte_takes_forever_after_a_while_and_is_taken_over_whole():
    assert task().remaining_s(STARTED_AT + SILENT_S / 2) == 0
    assert task().remaining_s(STARTED_AT + SILENT_S * 2) == math.inf
    assert task().split_at == 0


def test_bytes_that_the_writer_has_are_not_taken_over():
    """Else they would be written twice, and the second copy would not be hashed."""
    half_reserved = task(written_to=0, reserved_to=SIZE // 2, bytes_received=SIZE // 2)
    assert half_reserved.split_at == SIZE // 2 + SIZE // 4
    assert half_reserved.remaining_s(STARTED_AT + 3) == 3
    assert task(written_to=0, reserved_to=SIZE // 2).split_at == SIZE // 2


def test_bytes_that_wait_for_the_disk_count_as_received():
    assert task(bytes_received=SIZE // 4).remaining_s(STARTED_AT + SILENT_S * 2) < math.inf
    assert task(bytes_received=SIZE // 4).split_at == SIZE // 2


def test_a_range_that_was_taken_over_whole_has_nothing_left_to_share():
    taken_over = task()
    taken_over.end = taken_over.split_at
    assert taken_over.remaining_s(STARTED_AT + SILENT_S * 2) == 0
