"""The hasher, and the fetchers that wait for it."""

from support.models import gguf_pattern
from support.run_fetch import pinned_artifact

from flowhub_jobs.settings import HUB
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.hasher import Hasher
from flowhub_jobs.transfer.open_file_limit import open_part
from flowhub_jobs.transfer.resume import resume_partial
from flowhub_jobs.transfer.state import TransferState

MODEL = gguf_pattern(3 << 20)


def test_a_fetcher_that_waits_for_the_hasher_is_woken_when_it_catches_up(tmp_path):
    """Without the wake-up, no fetcher continues until another event wakes it."""
    transfer = TransferState(pinned_artifact("http://127.0.0.1/m.gguf", MODEL), tmp_path, HUB)
    log = resume_partial(transfer, "job", 0)
    state, data = transfer.files[0], memoryview(bytearray(MODEL.read()))
    task = transfer.start_locked(RangeTask(state, 0, MODEL.size))
    open_part(transfer, task)
    assert task.part is not None
    task.part.write(data, 0)
    transfer.note_written(task, data, data)
    transfer.hash_bound = True
    hasher = Hasher(transfer)
    try:
        with transfer.changed:
            hasher.start()
            assert transfer.changed.wait(30)
            assert not state.unhashed
    finally:
        transfer.end()
        hasher.join()
        log.close()
        transfer.close()
