"""What is unsynced never exceeds 64 MiB a transfer, and few parts are open: who wants more waits for a commit."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowhub_jobs.errors import StorageFailed
from flowhub_jobs.jobs.run_values import LeaseLost
from flowhub_jobs.net.urls import HUB
from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.transfer.committer import UNSYNCED_MAX, Committer
from flowhub_jobs.transfer.fetchers import FetcherPool
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.http.range_client import RangeClient
from flowhub_jobs.transfer.open_parts import close_verified, open_part, wait_to_open
from flowhub_jobs.transfer.options import CancelToken, TransferOptions
from flowhub_jobs.transfer.partial.journal import Journal
from flowhub_jobs.transfer.partial.part_file import PartFile
from flowhub_jobs.transfer.range_scheduler import next_task
from flowhub_jobs.transfer.rate_limit import TokenBucket
from flowhub_jobs.transfer.receiver import TransferContext, Writer
from flowhub_jobs.transfer.resume import resume_partial
from flowhub_jobs.transfer.state import OPEN_FILES_MAX, TransferState
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile, FileDigest

URL = "https://example.org/m.gguf"


def opened(folder: Path, files: int = 1, cancel: CancelToken | None = None) -> tuple[TransferState, Committer, Journal]:
    wanted = tuple(ArtifactFile(f"m{number}.gguf", URL, 1 << 30, "0" * 64) for number in range(files))
    transfer = TransferState(Artifact("m@q", "m", "q", None, "m", files > 1, wanted), folder, HUB)
    log = resume_partial(transfer, "", 0)
    return transfer, Committer(transfer, log, "", cancel or CancelToken()), log


def begun(transfer: TransferState) -> RangeTask:
    with transfer.changed:
        task = next_task(transfer)
    assert task is not None
    open_part(transfer, task)
    return task


def verified(transfer: TransferState, task: RangeTask) -> None:
    with transfer.changed:
        transfer.mark_verified_locked(task.state, FileDigest(task.state.file.path, 0, "0" * 64, True))


def is_open(task: RangeTask) -> bool:
    assert task.part is not None
    return any(os.path.realpath(f"/proc/self/fd/{fd}") == str(task.part.path) for fd in os.listdir("/proc/self/fd"))


def replaced(task: RangeTask) -> None:
    assert task.part is not None
    task.part.path.rename(task.part.path.with_suffix(".old"))
    task.part.path.write_bytes(b"theirs")


def test_a_part_is_closed_once_it_is_verified_and_synced_and_no_thread_uses_it(tmp_path: Path) -> None:
    transfer, committer, log = opened(tmp_path)
    task = begun(transfer)
    committer.commit()
    assert is_open(task)
    verified(transfer, task)
    committer.commit()
    assert is_open(task), "a range of it is on its way"
    task.state.disk.dirty = True
    transfer.release(task)
    close_verified(transfer)
    assert is_open(task), "not synced"
    committer.commit()
    assert not is_open(task)
    transfer.close()
    log.close()


def test_a_file_that_is_started_over_after_all_stays_open(tmp_path: Path) -> None:
    transfer, committer, log = opened(tmp_path)
    task = begun(transfer)
    verified(transfer, task)
    with transfer.changed:
        transfer.rehash_locked(task.state)
    transfer.release(task)
    committer.commit()
    assert is_open(task)
    transfer.close()
    log.close()


def test_what_was_closed_is_opened_by_its_next_use_if_it_is_the_same_file(tmp_path: Path) -> None:
    transfer, _, log = opened(tmp_path)
    task = begun(transfer)
    assert task.part is not None
    task.part.write(b"ours", 0)
    task.part.close()
    task.part.sync()
    assert not is_open(task), "a sync opens it for itself"
    assert task.part.size == 4
    assert is_open(task)
    task.part.close()
    replaced(task)
    for use in (lambda: task.part.write(b"more", 0), lambda: task.part.size, task.part.sync):
        with pytest.raises(StorageFailed, match="was replaced by another program"):
            use()
    assert task.part.path.read_bytes() == b"theirs"
    transfer.close()
    log.close()


def test_who_opens_one_more_waits_until_a_commit_has_closed_some(tmp_path: Path) -> None:
    transfer, committer, log = opened(tmp_path, OPEN_FILES_MAX)
    for _ in range(OPEN_FILES_MAX):
        wait_to_open(transfer)
        task = begun(transfer)
        verified(transfer, task)
        transfer.incomplete.pop(task.state.number)
        transfer.release(task)
    passed = threading.Event()

    def one_more() -> None:
        wait_to_open(transfer)
        passed.set()

    waiting = threading.Thread(target=one_more)
    waiting.start()
    assert not passed.wait(0.2)
    committer.commit()
    assert passed.wait(30)
    waiting.join()
    transfer.close()
    log.close()


def test_who_waited_to_open_a_part_opens_none_without_the_lease(tmp_path: Path) -> None:
    """It was suspended in that wait; meanwhile its successor has begun the same part."""
    lost: list[bool] = []

    def check() -> None:
        if lost:
            raise LeaseLost(1)

    cancel = CancelToken(check)
    transfer, committer, log = opened(tmp_path, OPEN_FILES_MAX + 1, cancel)
    for _ in range(OPEN_FILES_MAX):
        task = begun(transfer)
        verified(transfer, task)
        transfer.incomplete.pop(task.state.number)
        transfer.release(task)
    with transfer.changed:
        late = next_task(transfer)
    assert late is not None
    client, options, writer = RangeClient(TransferOptions()), TransferOptions(), Writer()
    pool = FetcherPool(
        client, HostLimits(16), TransferContext(transfer, committer, TokenBucket(None), cancel, options, writer)
    )
    with ThreadPoolExecutor(1) as threads:
        fetching = threads.submit(pool.fetch, late)
        lost.append(True)
        successors = PartFile(tmp_path, late.state.record.part, new=True)
        successors.write(b"theirs", 0)
        with pytest.raises(LeaseLost):
            committer.commit()
        transfer.end()
        with pytest.raises(LeaseLost):
            fetching.result(30)
    assert successors.path.read_bytes() == b"theirs"
    assert (successors.path.stat().st_ino,) == successors.mark()
    successors.close()
    writer.close(wait=True)
    client.close()
    transfer.close()
    log.close()


def test_a_writer_waits_until_a_commit_makes_room(tmp_path: Path) -> None:
    transfer, committer, log = opened(tmp_path)
    task = begun(transfer)
    assert task.part is not None
    for _ in range(UNSYNCED_MAX // MIB):
        committer.admit(MIB)
        task.part.write(bytes(MIB), task.at)
        transfer.note_written(task, memoryview(bytes(MIB)), memoryview(b""))
    passed = threading.Event()

    def one_more() -> None:
        committer.admit(1)
        passed.set()

    writer = threading.Thread(target=one_more)
    writer.start()
    assert transfer.unsynced == UNSYNCED_MAX
    assert not passed.wait(0.2)
    committer.commit()
    assert passed.wait(30)
    assert transfer.unsynced == 0
    writer.join()
    task.part.close()
    log.close()
