"""How long a range on its way will still take: by that it is shared with a connection that has nothing to do."""

import math

from flowhub_jobs.transfer.file_state import JUDGED_S, SHARE_MIN, SILENT_S, RangeTask

BEGUN, SIZE = 1000.0, 8 * SHARE_MIN


def task(at=0, claimed_to=None, **known):
    made = RangeTask(None, 0, SIZE, started_at=BEGUN, **known)
    made.at, made.claimed_to = at, at if claimed_to is None else claimed_to
    return made


def test_it_takes_as_long_as_its_speed_so_far_says():
    assert task(at=SIZE // 2, received=SIZE // 2, kept=SIZE // 2).remaining_s(BEGUN + 3) == 3
    assert task(at=SIZE // 2, received=SIZE // 2, kept=SIZE // 2).split_at == SIZE // 2 + SIZE // 4


def test_a_slow_beginning_says_nothing():
    """Half of it would be asked twice: what the first connection was to bring is on its way already."""
    assert task(at=1000, received=1000).remaining_s(BEGUN + JUDGED_S / 2) == 0
    assert task(at=1000, received=1000).remaining_s(BEGUN + JUDGED_S) > 1000


def test_one_without_a_byte_takes_for_ever_after_a_while_and_all_of_it_is_taken_over():
    assert task().remaining_s(BEGUN + SILENT_S / 2) == 0
    assert task().remaining_s(BEGUN + SILENT_S * 2) == math.inf
    assert task().split_at == 0


def test_what_the_writer_has_is_not_taken_over():
    """It would be written twice, the second time by bytes that nobody hashed."""
    half_claimed = task(at=0, claimed_to=SIZE // 2, received=SIZE // 2)
    assert half_claimed.split_at == SIZE // 2 + SIZE // 4
    assert half_claimed.remaining_s(BEGUN + 3) == 3
    assert task(at=0, claimed_to=SIZE // 2).split_at == SIZE // 2


def test_bytes_that_wait_for_the_disk_have_come():
    assert task(received=SIZE // 4).remaining_s(BEGUN + SILENT_S * 2) < math.inf
    assert task(received=SIZE // 4).split_at == SIZE // 2


def test_of_one_that_another_has_taken_over_whole_nothing_is_left_to_share():
    taken_over = task()
    taken_over.end = taken_over.split_at
    assert taken_over.remaining_s(BEGUN + SILENT_S * 2) == 0
