"""Limits of a transfer: 64 MiB of unsynced bytes and a few open parts; a thread that needs more waits for a commit."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flowhub_jobs.errors import StorageFailed
from flowhub_jobs.jobs.run_values import LeaseLost
from flowhub_jobs.net.urls import HUB
from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.transfer.committer import Committer, unsynced_limit
from flowhub_jobs.transfer.fetchers import FetcherPool
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.http.range_client import RangeClient
from flowhub_jobs.transfer.open_file_limit import close_verified, open_part, wait_to_open
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


def open_partial(
    folder: Path, files: int = 1, cancel: CancelToken | None = None
) -> tuple[TransferState, Committer, Journal]:
    files_of_artifact = tuple(ArtifactFile(f"m{number}.gguf", URL, 1 << 30, "0" * 64) for number in range(files))
    transfer = TransferState(Artifact("m@q", "m", "q", None, "m", files > 1, files_of_artifact), folder, HUB)
    journal = resume_partial(transfer, "", 0)
    return transfer, Committer(transfer, journal, "", cancel or CancelToken()), journal


def start_task(transfer: TransferState) -> RangeTask:
    with transfer.changed:
        task = next_task(transfer)
    assert task is not None
    open_part(transfer, task)
    return task


def mark_verified(transfer: TransferState, task: RangeTask) -> None:
    with transfer.changed:
        transfer.mark_verified_locked(task.state, FileDigest(task.state.file.path, 0, "0" * 64, True))


def is_open(task: RangeTask) -> bool:
    assert task.part is not None
    return any(os.path.realpath(f"/proc/self/fd/{fd}") == str(task.part.path) for fd in os.listdir("/proc/self/fd"))


def replace_part(task: RangeTask) -> None:
    assert task.part is not None
    task.part.path.rename(task.part.path.with_suffix(".old"))
    task.part.path.write_bytes(b"other")


def test_a_part_is_closed_once_it_is_verified_and_synced_and_no_thread_uses_it(tmp_path: Path) -> None:
    transfer, committer, journal = open_partial(tmp_path)
    task = start_task(transfer)
    committer.commit()
    assert is_open(task)
    mark_verified(transfer, task)
    committer.commit()
    assert is_open(task), "a range of it is being fetched"
    task.state.disk.dirty = True
    transfer.release(task)
    close_verified(transfer)
    assert is_open(task), "not synced"
    committer.commit()
    assert not is_open(task)
    transfer.close()
    journal.close()


def test_a_file_that_is_hashed_again_stays_open(tmp_path: Path) -> None:
    transfer, committer, journal = open_partial(tmp_path)
    task = start_task(transfer)
    mark_verified(transfer, task)
    with transfer.changed:
        transfer.rehash_locked(task.state)
    transfer.release(task)
    committer.commit()
    assert is_open(task)
    transfer.close()
    journal.close()


def test_a_closed_part_is_opened_by_its_next_use_if_it_is_the_same_file(tmp_path: Path) -> None:
    transfer, _, journal = open_partial(tmp_path)
    task = start_task(transfer)
    assert task.part is not None
    task.part.write(b"mine", 0)
    task.part.close()
    task.part.sync()
    assert not is_open(task), "a sync opens it for itself"
    assert task.part.size == 4
    assert is_open(task)
    task.part.close()
    replace_part(task)
    for use in (lambda: task.part.write(b"more", 0), lambda: task.part.size, task.part.sync):
        with pytest.raises(StorageFailed, match="was replaced by another program"):
            use()
    assert task.part.path.read_bytes() == b"other"
    transfer.close()
    journal.close()


def test_a_thread_that_opens_one_more_part_waits_until_a_commit_has_closed_some(tmp_path: Path) -> None:
    transfer, committer, journal = open_partial(tmp_path, OPEN_FILES_MAX)
    for _ in range(OPEN_FILES_MAX):
        wait_to_open(transfer)
        task = start_task(transfer)
        mark_verified(transfer, task)
        transfer.incomplete.pop(task.state.number)
        transfer.release(task)
    admitted = threading.Event()

    def one_more() -> None:
        wait_to_open(transfer)
        admitted.set()

    waiting = threading.Thread(target=one_more)
    waiting.start()
    assert not admitted.wait(0.2)
    committer.commit()
    assert admitted.wait(30)
    waiting.join()
    transfer.close()
    journal.close()


def test_a_thread_that_waited_to_open_a_part_opens_none_without_the_lease(tmp_path: Path) -> None:
    """The worker was suspended in that wait, and its successor began the same part."""
    lost: list[bool] = []

    def check() -> None:
        if lost:
            raise LeaseLost(1)

    cancel = CancelToken(check)
    transfer, committer, journal = open_partial(tmp_path, OPEN_FILES_MAX + 1, cancel)
    for _ in range(OPEN_FILES_MAX):
        task = start_task(transfer)
        mark_verified(transfer, task)
        transfer.incomplete.pop(task.state.number)
        transfer.release(task)
    with transfer.changed:
        late_task = next_task(transfer)
    assert late_task is not None
    client, options, writer = RangeClient(TransferOptions()), TransferOptions(), Writer()
    pool = FetcherPool(
        client, HostLimits(16), TransferContext(transfer, committer, TokenBucket(None), cancel, options, writer)
    )
    with ThreadPoolExecutor(1) as threads:
        fetch = threads.submit(pool.fetch, late_task)
        lost.append(True)
        successor_part = PartFile(tmp_path, late_task.state.record.part, new=True)
        successor_part.write(b"other", 0)
        with pytest.raises(LeaseLost):
            committer.commit()
        transfer.end()
        with pytest.raises(LeaseLost):
            fetch.result(30)
    assert successor_part.path.read_bytes() == b"other"
    assert (successor_part.path.stat().st_ino,) == successor_part.mark()
    successor_part.close()
    writer.close(wait=True)
    client.close()
    transfer.close()
    journal.close()


def test_a_writer_waits_until_a_commit_makes_room(tmp_path: Path) -> None:
    transfer, committer, journal = open_partial(tmp_path)
    task = start_task(transfer)
    assert task.part is not None
    limit = unsynced_limit(len(transfer.tasks))
    for _ in range(limit // MIB):
        committer.admit(MIB)
        task.part.write(bytes(MIB), task.written_to)
        transfer.note_written(task, memoryview(bytes(MIB)), memoryview(b""))
    admitted = threading.Event()

    def one_more() -> None:
        committer.admit(1)
        admitted.set()

    writer = threading.Thread(target=one_more)
    writer.start()
    assert transfer.unsynced == limit
    assert not admitted.wait(0.2)
    committer.commit()
    assert admitted.wait(30)
    assert transfer.unsynced == 0
    writer.join()
    task.part.close()
    journal.close()
