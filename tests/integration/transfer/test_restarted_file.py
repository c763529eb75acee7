"""Restarted files: threads with the old file do no harm, its room is freed, and its fault budget is reset."""

import os
import threading
from pathlib import Path

import pytest
from support.faults import FlipByte, Reset
from support.models import gguf_pattern
from support.run_fetch import (
    folder_artifact,
    one_file_artifact,
    pinned_artifact,
    quick,
    run_transfer,
    unpinned_artifact,
)
from support.stepped_transfer import Fetcher, SteppedTransfer, WireAnswer

from flowhub_jobs.errors import DigestMismatch, StorageFailed
from flowhub_jobs.net.urls import HUB
from flowhub_jobs.transfer import hasher
from flowhub_jobs.transfer.committer import Committer
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.hasher import Hasher
from flowhub_jobs.transfer.open_file_limit import open_part
from flowhub_jobs.transfer.options import CancelToken
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.resume import resume_partial
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile

MIB = 1 << 20
MODEL = gguf_pattern(4 * MIB, seed=1)


class HalfFetched:
    """A transfer of one file: its first half is in the partial, and is not hashed."""

    def __init__(self, folder: Path) -> None:
        url = "http://127.0.0.1/m.gguf"
        self.transfer = TransferState(one_file_artifact(ArtifactFile("m.gguf", url, MODEL.size)), folder, HUB)
        self.log = resume_partial(self.transfer, "job", 0)
        self.state = self.transfer.files[0]
        self.state.identity.identified, self.state.record.identity = True, 'etag:"1"'
        self.task = self.transfer.start_locked(RangeTask(self.state, 0, MODEL.size))
        open_part(self.transfer, self.task)
        assert self.task.part is not None
        self.task.part.write(MODEL.read(0, MODEL.size // 2), 0)
        self.state.record.kept.add(0, MODEL.size // 2)

    def close(self) -> None:
        self.transfer.end()
        self.log.close()
        self.transfer.close()


@pytest.fixture
def half(tmp_path):
    half_fetched = HalfFetched(tmp_path)
    yield half_fetched
    half_fetched.close()


def test_a_file_that_is_started_over_while_it_is_hashed_is_another_one(half, monkeypatch):
    """The answer of another connection may restart the file at any moment: the hasher keeps to the file that it has."""
    real, restarted = hasher._read_full, threading.Event()

    def read_full(part, view, offset):
        real(part, view, offset)
        if not restarted.is_set():
            with half.transfer.changed:
                half.transfer.restart_locked(half.state)
            restarted.set()

    monkeypatch.setattr(hasher, "_read_full", read_full)
    digest = Hasher(half.transfer)
    digest.start()
    assert restarted.wait(30)
    half.transfer.end()
    digest.join()
    assert half.transfer.error is None
    assert half.state.record.frontier == 0


def test_the_room_of_a_file_that_was_started_over_is_free_at_once_though_a_thread_still_uses_it(half):
    part = half.task.part
    committer = Committer(half.transfer, half.log, "job", CancelToken())
    committer.commit()
    with half.transfer.changed:
        half.transfer.restart_locked(half.state)
    committer.commit()
    assert not part.path.exists()
    assert os.fstat(part.descriptor).st_blocks == 0
    part.write(b"late", 0)  # ignored: the state has no range for it


def test_a_failed_commit_is_the_last_one(half):
    """The next commit would build on one that was not written: on the restarted file, without the restart."""
    committer = Committer(half.transfer, half.log, "job", CancelToken())
    committer.commit()
    before = journal.load(half.transfer.folder)
    with half.transfer.changed:
        half.transfer.restart_locked(half.state)

    def raise_disk_full(entry):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(half.log, "commit", raise_disk_full)
        with pytest.raises(Exception, match="is full"):
            committer.commit()
    half.state.disk.dirty = True
    with pytest.raises(Exception, match="is full"):
        committer.commit_clean()
    assert journal.load(half.transfer.folder) == before


def test_after_a_mismatch_each_new_byte_resets_the_fault_budget(origin, tmp_path):
    """Otherwise a large file that was wrong once would have ten drops for its whole second transfer."""
    drops = [Reset(after=MODEL.size // 8).nth(number) for number in range(2, 8)]
    artifact = pinned_artifact(origin.serve("m.gguf", MODEL, faults=[FlipByte(at=100).once(), *drops]), MODEL)
    run = run_transfer(artifact, tmp_path, options=quick(faults_max=3, connections_per_host=1))
    assert run.content() == MODEL.read()
    assert run.note_kinds[:4] == ["file_again", "fault", "fault", "fault"]


def test_an_empty_file_in_the_place_of_another_is_an_error_at_once(origin, tmp_path):
    folder = folder_artifact({"config.json": origin.serve("config.json", MODEL)})
    empty = ArtifactFile("empty.txt", "http://127.0.0.1/empty.txt", 0, "a" * 64)
    artifact = Artifact(**{**vars_of(folder), "files": (*folder.files, empty)})
    with pytest.raises(DigestMismatch, match=r"empty.txt: the content is wrong"):
        run_transfer(artifact, tmp_path)


def vars_of(artifact: Artifact) -> dict:
    return {name: getattr(artifact, name) for name in artifact.__slots__}


def test_a_linked_folder_of_a_partial_is_refused_and_nothing_behind_it_is_removed(origin, tmp_path):
    """A user may have moved the partial to a larger disk."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    foreign_file = outside / "deep" / "other.gguf"
    foreign_file.write_bytes(b"other")
    partial = tmp_path / "partial"
    partial.mkdir()
    (partial / "files").symlink_to(outside)
    with pytest.raises(StorageFailed, match="is a symbolic link"):
        run_transfer(pinned_artifact(origin.serve("m.gguf", MODEL), MODEL), partial)
    assert foreign_file.read_bytes() == b"other"


def test_a_partial_that_cannot_be_read_now_is_not_fetched_again(origin, tmp_path, monkeypatch):
    artifact = pinned_artifact(origin.serve("m.gguf", MODEL, faults=[Reset(after=MODEL.size // 2).once()]), MODEL)
    with pytest.raises(Exception, match="dropped"):
        run_transfer(artifact, tmp_path, options=quick(faults_max=1, connections_per_host=1))
    kept, real_open = journal.load(tmp_path).files["m.gguf"].kept.total, os.open

    def refuse_to_open(path, flags, *rest, **options):
        if str(path).endswith("/m.gguf"):
            raise PermissionError(13, "Permission denied")
        return real_open(path, flags, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse_to_open)
        with pytest.raises(StorageFailed, match="Permission denied"):
            run_transfer(artifact, tmp_path)
    assert kept
    assert journal.load(tmp_path).files["m.gguf"].kept.total == kept
    assert run_transfer(artifact, tmp_path).content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size


def test_an_answer_of_another_version_is_refused_before_its_first_byte_is_kept(tmp_path):
    """Otherwise one file would contain bytes of two versions."""
    stepped = SteppedTransfer(unpinned_artifact("https://h.example/m.gguf"), tmp_path)

    def accept_with_etag(fetcher: Fetcher, etag: str) -> None:
        start, end = fetcher.requested
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{MODEL.size}", "Content-Length": str(end - start)}
        body = memoryview(MODEL.read(start, end))
        fetcher.answer = WireAnswer(206, {**headers, "ETag": etag}, start, body)
        stepped.accept_answer(fetcher)

    first = stepped.start_fetcher()
    assert first is not None
    accept_with_etag(first, '"1"')
    second = stepped.start_fetcher()
    assert second is not None
    accept_with_etag(second, '"2"')
    assert (first.accepted, second.accepted) == (True, False)
    assert stepped.transfer.files[0].restarts == 1
    stepped.stop()


def test_the_next_attempt_counts_no_byte_as_progress_that_came_before_the_file_started_over(half):
    """Otherwise a source with another version for each attempt would be downloaded without end."""
    committer = Committer(half.transfer, half.log, "job", CancelToken())
    half.state.disk.most_kept = half.state.record.most_kept = MODEL.size // 2
    with half.transfer.changed:
        half.state.current_address.no_validator = True
        half.transfer.restart_locked(half.state)
    committer.commit()
    half.log.close()
    resumed = TransferState(one_file_artifact(half.state.file), half.transfer.folder, HUB)
    log = resume_partial(resumed, "job", 0)
    try:
        state = resumed.files[0]
        assert (state.restarts, state.disk.most_kept) == (1, MODEL.size // 2)
    finally:
        resumed.end()
        log.close()
        resumed.close()
