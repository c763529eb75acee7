"""Room on the disk: the free bytes less a reserve, compared with all bytes that jobs still need."""

import shutil
from pathlib import Path

import pytest

from flowhub_jobs.errors import DiskFull
from flowhub_jobs.store.space import Room, check_room, reserved_bytes, room_at

WHERE = Path("/models")


def test_the_room_is_that_of_the_nearest_folder_that_exists(tmp_path):
    total = shutil.disk_usage(tmp_path).total
    room = room_at(tmp_path / "not" / "there" / "yet", reserve=1000)
    assert 0 < room.free <= total
    assert room.reserve == 1000


def test_a_small_disk_keeps_a_twentieth_back_and_no_more(tmp_path):
    total = shutil.disk_usage(tmp_path).total
    assert room_at(tmp_path, reserve=2 * total).reserve == total // 20


@pytest.mark.parametrize(
    ("free", "reserve", "need", "others"), [(100, 0, 100, 0), (100, 10, 50, 40), (0, 10, 0, 0), (5, 10, 0, 999)]
)
def test_a_job_that_fits_with_the_others_may_start(free, reserve, need, others):
    check_room(Room(free, reserve), need, others, WHERE)


@pytest.mark.parametrize(("free", "reserve", "need", "others"), [(100, 0, 101, 0), (100, 10, 50, 41), (5, 10, 1, 0)])
def test_one_byte_too_many_is_refused(free, reserve, need, others):
    with pytest.raises(DiskFull):
        check_room(Room(free, reserve), need, others, WHERE)


def test_the_error_names_every_figure_and_the_folder():
    with pytest.raises(DiskFull) as raised:
        check_room(Room(5_000_000, 1_000_000), 4_500_000, 700_000, WHERE)
    for part in ("/models", "5.0 MB", "1.0 MB", "4.5 MB", "700.0 KB"):
        assert part in raised.value.message
    with pytest.raises(DiskFull) as raised:
        check_room(Room(1, 0), 2, 0, WHERE)
    assert "jobs that go first" not in raised.value.message


@pytest.mark.parametrize(
    ("running", "ahead", "reserved"),
    [(0, [], 0), (10, [], 10), (10, [20, 30], 60), (10, [95, 30], 40), (10, [60, 40, 20], 90), (95, [5], 95)],
)
def test_jobs_that_go_first_reserve_room_unless_they_have_none_themselves(running, ahead, reserved):
    assert reserved_bytes(Room(100, 10), running, ahead) == reserved
