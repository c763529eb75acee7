"""The queue of wakeups: JSON on the disk, deaf to garbage, and open anew when its file is another or damaged."""

import contextlib
import json
import os
import pickletools
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowhub_jobs.errors import DatabaseUnusable
from flowhub_jobs.worker.huey_consumer import WorkerConsumer
from flowhub_jobs.worker.wakeup_queue import WakeupQueue


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def wakeups(path: Path) -> Iterator[WakeupQueue]:
    wakeups = WakeupQueue(path)
    yield wakeups
    wakeups.close()


def messages(path: Path) -> list[bytes]:
    with contextlib.closing(sqlite3.connect(path)) as other:
        return [bytes(data) for (data,) in other.execute("SELECT data FROM task ORDER BY id")]


def throw_in(path: Path, *garbage: bytes) -> None:
    """Write into the queue what no bell of ours would be."""
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.executemany("INSERT INTO task (queue, data, priority) VALUES ('flowhub', ?, 9)", [(g,) for g in garbage])
        other.commit()


def hear(wakeups: WakeupQueue) -> int:
    """Take all the wakeups that wait, as a consumer does, and return how many were wakeups."""
    heard = 0
    while wakeups.waiting():
        with contextlib.suppress(Exception):
            heard += wakeups.huey.dequeue() is not None
    return heard


# What a bell is ------------------------------------------------------------------------------------------------------


def test_a_wake_up_is_json_and_no_pickle(wakeups, path):
    wakeups.wake()
    [message] = messages(path)
    assert set(json.loads(message)) == {"id", "task"}
    with pytest.raises(ValueError, match="opcode"):
        list(pickletools.genops(message))


def test_each_wake_up_is_received_once_by_any_process(wakeups, path):
    wakeups.wake(3)
    other = WakeupQueue(path)
    assert (wakeups.waiting(), other.waiting()) == (3, 3)
    assert other.huey.dequeue() is not None
    assert hear(wakeups) == 2
    other.close()


GARBAGE = [b"", b"{", b"\x80\x04K\x01.", b"null", b"[]", b'{"id": 1}', b'{"id": "1", "task": "no.such"}', b"\xff" * 99]


def test_garbage_is_discarded_and_the_wake_up_behind_it_is_received(wakeups, path):
    wakeups.wake()
    throw_in(path, *GARBAGE)
    assert wakeups.waiting() == len(GARBAGE) + 1
    assert hear(wakeups) == 1


def test_a_pickle_in_the_queue_is_never_loaded(wakeups, path, tmp_path):
    trap = tmp_path / "trap"
    throw_in(path, f"cbuiltins\nopen\n(S'{trap}'\nS'w'\ntR.".encode())
    hear(wakeups)
    assert not trap.exists()


def test_a_consumer_lives_on_through_garbage(path):
    heard = threading.Event()
    wakeups = WakeupQueue(path, heard.set)
    throw_in(path, *GARBAGE)
    wakeups.wake()
    consumer = WorkerConsumer(wakeups.huey, 1, lambda: None)
    consumer.start()
    try:
        assert heard.wait(60)
    finally:
        consumer.stop()
        wakeups.close()


# Open anew -----------------------------------------------------------------------------------------------------------


def test_a_whole_queue_needs_no_mending(wakeups):
    wakeups.wake()
    assert not wakeups.reopen_if_damaged()
    assert wakeups.waiting() == 1


def test_a_queue_without_new_writes_is_not_read_again(wakeups, path):
    wakeups.wake()
    assert not wakeups.reopen_if_damaged()
    there = path.stat()
    with path.open("r+b") as file:
        file.write(b"Dear diary, ")
    os.utime(path, ns=(there.st_atime_ns, there.st_mtime_ns))
    assert not wakeups.reopen_if_damaged()
    os.utime(path)
    assert wakeups.reopen_if_damaged()


def damaged(path: Path) -> None:
    path.write_text("Dear diary, " * 1000)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def replaced(path: Path) -> None:
    WakeupQueue(path.with_name("other.db")).close()
    path.with_name("other.db").replace(path)


def replaced_by_text(path: Path) -> None:
    path.with_name("other.txt").write_text("Dear diary, " * 1000)
    path.with_name("other.txt").replace(path)


def moved_with_all_its_files(path: Path) -> None:
    for file in list(path.parent.glob("queue.db*")):
        file.replace(file.with_name("aside-" + file.name))


EACH_FATE = pytest.mark.parametrize(
    "fate", [Path.unlink, replaced, moved_with_all_its_files, damaged, emptied, replaced_by_text]
)


@EACH_FATE
def test_a_lost_queue_is_repaired_once_and_wake_ups_reach_other_processes(wakeups, path, fate):
    wakeups.wake()
    fate(path)
    assert wakeups.reopen_if_damaged()
    assert not wakeups.reopen_if_damaged()
    wakeups.wake()
    other = WakeupQueue(path)
    assert hear(other) >= 1  # the one from before may have been saved
    assert hear(wakeups) == 0
    other.close()


@EACH_FATE
def test_a_wake_up_into_a_lost_file_is_no_error(wakeups, path, fate):
    fate(path)
    wakeups.wake()
    wakeups.reopen_if_damaged()


def test_what_was_damaged_is_put_aside_and_not_thrown_away(wakeups, path):
    damaged(path)
    wakeups.reopen_if_damaged()
    assert path.with_name("queue.db.damaged").read_text().startswith("Dear diary")


def test_a_queue_that_is_damaged_at_the_start_is_put_aside(path):
    damaged(path)
    wakeups = WakeupQueue(path)
    wakeups.wake()
    assert hear(wakeups) == 1
    assert path.with_name("queue.db.damaged").exists()
    wakeups.close()


def test_a_queue_that_is_a_folder_is_named_and_the_hint_is_to_remove_it(path):
    path.mkdir()
    with pytest.raises(DatabaseUnusable, match=rf"{path} cannot be opened: it is a folder") as refused:
        WakeupQueue(path)
    assert "Remove queue.db" in (refused.value.hint or "")


@pytest.mark.parametrize("how", ["BEGIN EXCLUSIVE", "PRAGMA locking_mode = EXCLUSIVE"])
def test_a_locked_queue_is_not_taken_for_damaged(path, monkeypatch, how):
    monkeypatch.setattr("flowhub_jobs.worker.wakeup_queue.BUSY_TIMEOUT_S", 0)
    wakeups = WakeupQueue(path)
    wakeups.wake()
    wakeups.huey.storage.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other:
        other.execute(how)
        other.execute("DELETE FROM schedule")
        assert not wakeups.reopen_if_damaged()
        wakeups.wake()
    assert not path.with_name("queue.db.damaged").exists()
    assert wakeups.waiting() == 1
    wakeups.close()


def test_a_consumer_receives_wake_ups_in_the_repaired_queue(path):
    heard = threading.Event()
    wakeups = WakeupQueue(path, heard.set)
    consumer = WorkerConsumer(wakeups.huey, 2, lambda: None)
    consumer.start()
    try:
        path.unlink()
        assert wakeups.reopen_if_damaged()
        other = WakeupQueue(path)
        other.wake()
        other.close()
        assert heard.wait(60)
    finally:
        consumer.stop()
        wakeups.close()
