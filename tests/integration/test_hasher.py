"""The digest beside the transfer, and those who wait for it."""

from support.engine import pinned
from support.models import gguf_pattern

from flowhub_jobs.settings import HUB
from flowhub_jobs.transfer.file_state import Task
from flowhub_jobs.transfer.hasher import Hasher
from flowhub_jobs.transfer.resume import reopen
from flowhub_jobs.transfer.state import Board

MODEL = gguf_pattern(3 << 20)


def test_who_begins_nothing_new_until_the_digest_has_come_up_is_woken_as_it_does(tmp_path):
    """Else nobody fetches until somebody looks by chance."""
    board = Board(pinned("http://127.0.0.1/m.gguf", MODEL), tmp_path, HUB)
    log = reopen(board, "job", 0)
    state, data = board.files[0], memoryview(bytearray(MODEL.read()))
    task = board.begin(Task(state, 0, MODEL.size))
    board.open_part(task)
    assert task.part is not None
    task.part.write(data, 0)
    board.arrived(task, data, data)
    board.outrun = True
    hasher = Hasher(board)
    try:
        with board.changed:
            hasher.start()
            assert board.changed.wait(10)
            assert not state.unhashed
    finally:
        board.end()
        hasher.join()
        log.close()
        board.close()
