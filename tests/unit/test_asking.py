"""What is asked for next: how long a range is before a rate is known and after, and whose it is when it is shared."""

from pathlib import Path

import pytest

from flowhub_jobs.net.urls import HUB
from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.transfer.file_state import Task
from flowhub_jobs.transfer.range_scheduler import take, untake
from flowhub_jobs.transfer.resume import reopen
from flowhub_jobs.transfer.state import Board
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile

GIB = 1 << 30


@pytest.fixture
def board(tmp_path: Path):
    model = ArtifactFile("m.gguf", "https://example.org/m.gguf", 4 * GIB, "0" * 64)
    board = Board(Artifact("m@q", "m", "q", None, "m", False, (model,)), tmp_path, HUB)
    log = reopen(board, "job", 3 * GIB)  # what earlier attempts fetched says nothing of this line
    board.files[0].bound = True
    yield board
    log.close()
    board.close()


def fetched_whole(board: Board) -> int:
    """Have the next range fetched; return its bytes."""
    with board.changed:
        task = take(board)
        assert task is not None
        count = task.end - task.start
        task.state.record.kept.add(task.start, task.end)
        board.fetched += count
        board.feed.look_away(task.state)  # as if it were hashed
        board.put_back(task)
    return count


def test_ranges_double_until_a_rate_was_measured(board):
    assert [fetched_whole(board) // MIB for _ in range(7)] == [16, 16, 32, 64, 128, 256, 256]


def test_a_measured_rate_decides(board):
    fetched_whole(board)
    board.rate = 10e6
    assert fetched_whole(board) == 40_000_000


def test_while_more_connections_are_tried_ranges_stay_short(board):
    for _ in range(5):
        fetched_whole(board)
    board.trying = True
    assert fetched_whole(board) == 16 * MIB


def begun(board: Board) -> Task:
    with board.changed:
        task = take(board)
    assert task is not None
    return task


def test_what_another_has_taken_over_is_not_written_by_the_first(board):
    """What it has in hand by then included: written twice, a byte would lie there that nobody hashed."""
    while (first := begun(board)).end < 4 * GIB:
        board.put_back(first)
        fetched_whole(board)
    first.begun, first.came = first.begun - 60, MIB
    assert board.claim(first, MIB) == MIB
    second = begun(board)
    assert first.start + MIB < second.start == first.end
    assert board.claim(first, 4 * GIB) == second.start - (first.start + MIB)
    assert board.claim(first, 1) == 0
    assert board.claim(second, 4 * GIB) == second.end - second.start


def test_what_no_connection_can_be_had_for_is_given_back_to_whom_it_was_taken_from(board):
    while (first := begun(board)).end < 4 * GIB:
        board.put_back(first)
        fetched_whole(board)
    first.begun, first.came, first.answer_end = first.begun - 60, MIB, first.end
    for _ in range(3):
        with board.changed:
            untake(board, begun(board))
    assert (first.end, board.tasks) == (4 * GIB, [first])
