"""A file that is begun anew: whoever was at the old one is not confused, its room is free, and its tries count anew."""

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
from flowhub_jobs.transfer.open_parts import open_part
from flowhub_jobs.transfer.options import CancelToken
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.resume import resume_partial
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile

MIB = 1 << 20
MODEL = gguf_pattern(4 * MIB, seed=1)


class ByItself:
    """A transfer over a partial with one file of which the first half has come and nobody has hashed it."""

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
    made = ByItself(tmp_path)
    yield made
    made.close()


def test_a_file_that_is_started_over_while_it_is_read_is_another_one(half, monkeypatch):
    """Another connection's answer may say so at any moment: the digest has to do with what it was handed."""
    real, begun_anew = hasher._read_full, threading.Event()

    def read_full(part, view, offset):
        real(part, view, offset)
        if not begun_anew.is_set():
            with half.transfer.changed:
                half.transfer.restart_locked(half.state)
            begun_anew.set()

    monkeypatch.setattr(hasher, "_read_full", read_full)
    digest = Hasher(half.transfer)
    digest.start()
    assert begun_anew.wait(30)
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


def test_a_commit_that_failed_is_followed_by_none(half):
    """The next one would speak as if it had been written: of a file that was begun anew, and not of its beginning."""
    committer = Committer(half.transfer, half.log, "job", CancelToken())
    committer.commit()
    before = journal.load(half.transfer.folder)
    with half.transfer.changed:
        half.transfer.restart_locked(half.state)

    def full(entry):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(half.log, "commit", full)
        with pytest.raises(Exception, match="is full"):
            committer.commit()
    half.state.disk.dirty = True
    with pytest.raises(Exception, match="is full"):
        committer.commit_clean()
    assert journal.load(half.transfer.folder) == before


def test_after_a_mismatch_each_new_byte_makes_the_budget_fresh_again(origin, tmp_path):
    """Else a large file that came wrong once would have ten drops for all of its second way."""
    drops = [Reset(after=MODEL.size // 8).nth(number) for number in range(2, 8)]
    artifact = pinned_artifact(origin.serve("m.gguf", MODEL, faults=[FlipByte(at=100).once(), *drops]), MODEL)
    got = run_transfer(artifact, tmp_path, options=quick(faults_max=3, connections_per_host=1))
    assert got.content() == MODEL.read()
    assert got.note_kinds[:4] == ["file_again", "fault", "fault", "fault"]


def test_an_empty_file_in_the_place_of_another_is_an_error_at_once(origin, tmp_path):
    folder = folder_artifact({"config.json": origin.serve("config.json", MODEL)})
    empty = ArtifactFile("empty.txt", "http://127.0.0.1/empty.txt", 0, "a" * 64)
    artifact = Artifact(**{**vars_of(folder), "files": (*folder.files, empty)})
    with pytest.raises(DigestMismatch, match=r"empty.txt: the content is wrong"):
        run_transfer(artifact, tmp_path)


def vars_of(artifact: Artifact) -> dict:
    return {name: getattr(artifact, name) for name in artifact.__slots__}


def test_a_linked_folder_of_a_partial_is_refused_and_nothing_behind_it_is_tidied_away(origin, tmp_path):
    """As somebody does who moves a partial to a larger disk."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    theirs = elsewhere / "deep" / "theirs.gguf"
    theirs.write_bytes(b"theirs")
    partial = tmp_path / "partial"
    partial.mkdir()
    (partial / "files").symlink_to(elsewhere)
    with pytest.raises(StorageFailed, match="is a symbolic link"):
        run_transfer(pinned_artifact(origin.serve("m.gguf", MODEL), MODEL), partial)
    assert theirs.read_bytes() == b"theirs"


def test_a_partial_that_cannot_be_read_now_is_not_fetched_again(origin, tmp_path, monkeypatch):
    artifact = pinned_artifact(origin.serve("m.gguf", MODEL, faults=[Reset(after=MODEL.size // 2).once()]), MODEL)
    with pytest.raises(Exception, match="dropped"):
        run_transfer(artifact, tmp_path, options=quick(faults_max=1, connections_per_host=1))
    kept, real = journal.load(tmp_path).files["m.gguf"].kept.total, os.open

    def may_not(path, flags, *rest, **named):
        if str(path).endswith("/m.gguf"):
            raise PermissionError(13, "Permission denied")
        return real(path, flags, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", may_not)
        with pytest.raises(StorageFailed, match="Permission denied"):
            run_transfer(artifact, tmp_path)
    assert kept
    assert journal.load(tmp_path).files["m.gguf"].kept.total == kept
    assert run_transfer(artifact, tmp_path).content() == MODEL.read()
    assert origin.sent("m.gguf") == MODEL.size


def test_an_answer_of_another_version_is_met_before_the_first_byte_is_kept(tmp_path):
    """What an earlier answer promised is about to be written: two versions would lie in one file."""
    by_hand = SteppedTransfer(unpinned_artifact("https://h.example/m.gguf"), tmp_path)

    def answered(fetcher: Fetcher, etag: str) -> None:
        start, end = fetcher.requested
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{MODEL.size}", "Content-Length": str(end - start)}
        body = memoryview(MODEL.read(start, end))
        fetcher.answer = WireAnswer(206, {**headers, "ETag": etag}, start, body)
        by_hand.accept_answer(fetcher)

    first = by_hand.start_fetcher()
    assert first is not None
    answered(first, '"1"')
    second = by_hand.start_fetcher()
    assert second is not None
    answered(second, '"2"')
    assert (first.accepted, second.accepted) == (True, False)
    assert by_hand.transfer.files[0].restarts == 1
    by_hand.stop()


def test_the_next_attempt_counts_no_byte_as_progress_that_came_before_the_file_started_over(half):
    """Else a source with another version for each attempt would be downloaded without end."""
    committer = Committer(half.transfer, half.log, "job", CancelToken())
    half.state.disk.most_kept = half.state.record.most_kept = MODEL.size // 2
    with half.transfer.changed:
        half.state.source.no_validator = True
        half.transfer.restart_locked(half.state)
    committer.commit()
    half.log.close()
    again = TransferState(one_file_artifact(half.state.file), half.transfer.folder, HUB)
    log = resume_partial(again, "job", 0)
    try:
        state = again.files[0]
        assert (state.restarts, state.disk.most_kept) == (1, MODEL.size // 2)
    finally:
        again.end()
        log.close()
        again.close()
