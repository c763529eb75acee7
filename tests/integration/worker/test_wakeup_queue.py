"""Tests of the queue of wake-ups: JSON on the disk, garbage is discarded, a replaced or damaged file is reopened."""

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
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [bytes(data) for (data,) in connection.execute("SELECT data FROM task ORDER BY id")]


def insert_garbage(path: Path, *garbage: bytes) -> None:
    """Insert messages that are no wake-ups."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executemany(
            "INSERT INTO task (queue, data, priority) VALUES ('flowhub', ?, 9)", [(data,) for data in garbage]
        )
        connection.commit()


def receive_all(wakeups: WakeupQueue) -> int:
    """Dequeue all messages, as a consumer does; return how many were wake-ups."""
    count = 0
    while wakeups.waiting():
        with contextlib.suppress(Exception):
            count += wakeups.huey.dequeue() is not None
    return count


# Messages ------------------------------------------------------------------------------------------------------------


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
    assert receive_all(wakeups) == 2
    other.close()


GARBAGE = [b"", b"{", b"\x80\x04K\x01.", b"null", b"[]", b'{"id": 1}', b'{"id": "1", "task": "no.such"}', b"\xff" * 99]


def test_garbage_is_discarded_and_the_wake_up_behind_it_is_received(wakeups, path):
    wakeups.wake()
    insert_garbage(path, *GARBAGE)
    assert wakeups.waiting() == len(GARBAGE) + 1
    assert receive_all(wakeups) == 1


def test_a_pickle_in_the_queue_is_never_loaded(wakeups, path, tmp_path):
    trap = tmp_path / "trap"
    insert_garbage(path, f"cbuiltins\nopen\n(S'{trap}'\nS'w'\ntR.".encode())
    receive_all(wakeups)
    assert not trap.exists()


def test_a_consumer_survives_garbage(path):
    received = threading.Event()
    wakeups = WakeupQueue(path, received.set)
    insert_garbage(path, *GARBAGE)
    wakeups.wake()
    consumer = WorkerConsumer(wakeups.huey, 1, lambda: None)
    consumer.start()
    try:
        assert received.wait(60)
    finally:
        consumer.stop()
        wakeups.close()


# Damaged and lost files ----------------------------------------------------------------------------------------------


def test_an_undamaged_queue_is_not_reopened(wakeups):
    wakeups.wake()
    assert not wakeups.reopen_if_damaged()
    assert wakeups.waiting() == 1


def test_a_queue_without_new_writes_is_not_read_again(wakeups, path):
    wakeups.wake()
    assert not wakeups.reopen_if_damaged()
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"Not a database. ")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert not wakeups.reopen_if_damaged()
    os.utime(path)
    assert wakeups.reopen_if_damaged()


def damage(path: Path) -> None:
    path.write_text("Not a database. " * 1000)


def truncate(path: Path) -> None:
    path.write_bytes(b"")


def replace(path: Path) -> None:
    WakeupQueue(path.with_name("other.db")).close()
    path.with_name("other.db").replace(path)


def replace_by_text(path: Path) -> None:
    path.with_name("other.txt").write_text("Not a database. " * 1000)
    path.with_name("other.txt").replace(path)


def move_all_its_files(path: Path) -> None:
    for file in list(path.parent.glob("queue.db*")):
        file.replace(file.with_name("moved-" + file.name))


EACH_LOSS = pytest.mark.parametrize(
    "lose", [Path.unlink, replace, move_all_its_files, damage, truncate, replace_by_text]
)


@EACH_LOSS
def test_a_lost_queue_is_repaired_once_and_wake_ups_reach_other_processes(wakeups, path, lose):
    wakeups.wake()
    lose(path)
    assert wakeups.reopen_if_damaged()
    assert not wakeups.reopen_if_damaged()
    wakeups.wake()
    other = WakeupQueue(path)
    assert receive_all(other) >= 1  # the wake-up from before may have been saved
    assert receive_all(wakeups) == 0
    other.close()


@EACH_LOSS
def test_a_wake_up_into_a_lost_file_is_no_error(wakeups, path, lose):
    lose(path)
    wakeups.wake()
    wakeups.reopen_if_damaged()


def test_a_damaged_file_is_renamed_and_not_deleted(wakeups, path):
    damage(path)
    wakeups.reopen_if_damaged()
    assert path.with_name("queue.db.damaged").read_text().startswith("Not a database.")


def test_a_queue_that_is_damaged_at_the_start_is_renamed(path):
    damage(path)
    wakeups = WakeupQueue(path)
    wakeups.wake()
    assert receive_all(wakeups) == 1
    assert path.with_name("queue.db.damaged").exists()
    wakeups.close()


def test_a_queue_that_is_a_folder_is_named_and_the_hint_is_to_remove_it(path):
    path.mkdir()
    with pytest.raises(DatabaseUnusable, match=rf"{path} cannot be opened: it is a folder") as raised:
        WakeupQueue(path)
    assert "Remove queue.db" in (raised.value.hint or "")


@pytest.mark.parametrize("lock", ["BEGIN EXCLUSIVE", "PRAGMA locking_mode = EXCLUSIVE"])
def test_a_locked_queue_is_not_taken_for_damaged(path, monkeypatch, lock):
    monkeypatch.setattr("flowhub_jobs.worker.wakeup_queue.BUSY_TIMEOUT_S", 0)
    wakeups = WakeupQueue(path)
    wakeups.wake()
    wakeups.huey.storage.close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        connection.execute(lock)
        connection.execute("DELETE FROM schedule")
        assert not wakeups.reopen_if_damaged()
        wakeups.wake()
    assert not path.with_name("queue.db.damaged").exists()
    assert wakeups.waiting() == 1
    wakeups.close()


def test_a_consumer_receives_wake_ups_in_the_repaired_queue(path):
    received = threading.Event()
    wakeups = WakeupQueue(path, received.set)
    consumer = WorkerConsumer(wakeups.huey, 2, lambda: None)
    consumer.start()
    try:
        path.unlink()
        assert wakeups.reopen_if_damaged()
        other = WakeupQueue(path)
        other.wake()
        other.close()
        assert received.wait(60)
    finally:
        consumer.stop()
        wakeups.close()
