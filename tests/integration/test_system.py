"""Tests of what differs between systems: renames that replace nothing, swaps, syncs, clocks, file locks."""

import fcntl
import os
import time
from pathlib import Path

import pytest
from support.python_process import kill, start_python

from flowhub_jobs import system
from flowhub_jobs.fs.locks import LockFile, lock_is_free
from flowhub_jobs.system import awake_clock, boot_id, rename_new, swap, sync_data, sync_path


@pytest.fixture
def method(request, monkeypatch) -> str:
    """The way to rename: the kernel's call with flags, or the fallback for file systems that lack it."""
    if request.param == "fallback":
        monkeypatch.setattr(system, "_rename_flags", lambda *names, **flags: False)
    return request.param


BOTH_METHODS = pytest.mark.parametrize("method", ["flags", "fallback"], indirect=True)


def make(path: Path, kind: str, content: str) -> Path:
    if kind == "folder":
        path.mkdir()
        (path / "f").write_text(content)
    else:
        path.write_text(content)
    return path


def content(path: Path) -> str:
    return (path / "f" if path.is_dir() else path).read_text()


# Rename and swap -----------------------------------------------------------------------------------------------------


def test_this_system_has_the_rename_call_with_flags(tmp_path):
    """Otherwise the other tests would run the fallback twice."""
    first, second = make(tmp_path / "one", "file", "1"), tmp_path / "other"
    assert system._rename_flags(first, second, linux=system._RENAME_NOREPLACE, macos=system._RENAME_EXCL)
    assert system._rename_flags(
        make(first, "file", "2"), second, linux=system._RENAME_EXCHANGE, macos=system._RENAME_SWAP
    )
    assert (content(first), content(second)) == ("1", "2")


@BOTH_METHODS
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_new_name_is_given(tmp_path, method, kind):
    source = make(tmp_path / "source", kind, "new")
    rename_new(source, tmp_path / "target")
    assert content(tmp_path / "target") == "new"
    assert not source.exists()


@BOTH_METHODS
@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize("existing", ["file", "folder", "empty folder", "dangling link"])
def test_a_name_that_is_taken_stays_as_it_is(tmp_path, method, kind, existing):
    source, target = make(tmp_path / "source", kind, "new"), tmp_path / "target"
    if existing == "dangling link":
        target.symlink_to("nowhere")
    elif existing == "empty folder":
        target.mkdir()
    else:
        make(target, existing, "old")
    inode = target.lstat().st_ino
    with pytest.raises(FileExistsError):
        rename_new(source, target)
    assert target.lstat().st_ino == inode
    assert content(source) == "new"
    assert existing not in ("file", "folder") or content(target) == "old"


@BOTH_METHODS
def test_a_missing_source_cannot_be_renamed(tmp_path, method):
    with pytest.raises(FileNotFoundError):
        rename_new(tmp_path / "none", tmp_path / "target")
    assert not (tmp_path / "target").exists()


@BOTH_METHODS
@pytest.mark.parametrize("kinds", [("file", "file"), ("folder", "folder"), ("file", "folder"), ("folder", "file")])
def test_two_names_are_exchanged(tmp_path, method, kinds):
    first, second = make(tmp_path / "one", kinds[0], "1"), make(tmp_path / "other", kinds[1], "2")
    swap(first, second)
    assert (content(first), content(second)) == ("2", "1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other"]


def test_an_error_of_the_call_names_both_files(tmp_path):
    make(tmp_path / "one", "file", "1")
    with pytest.raises(FileNotFoundError) as raised:
        rename_new(tmp_path / "one", tmp_path / "none" / "other")
    assert (raised.value.filename, raised.value.filename2) == (str(tmp_path / "one"), str(tmp_path / "none" / "other"))


# Sync and clocks -----------------------------------------------------------------------------------------------------


def test_files_and_folders_are_synced(tmp_path):
    path = make(tmp_path / "f", "file", "1")
    fd = os.open(path, os.O_RDWR)
    sync_data(fd)
    os.close(fd)
    sync_path(path)
    sync_path(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync_path(tmp_path / "none")


def test_on_macos_a_sync_goes_through_the_drives_cache(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(system, "MACOS", True)
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(system.fcntl, "fcntl", lambda fd, command: commands.append((fd, command)))
    sync_data(7)
    assert commands == [(7, 51)]


def test_on_macos_a_disk_that_knows_no_full_sync_gets_the_plain_one(tmp_path, monkeypatch):
    def refuse(fd: int, command: int) -> None:
        raise OSError

    synced: list[int] = []
    monkeypatch.setattr(system, "MACOS", True)
    monkeypatch.setattr(system.fcntl, "fcntl", refuse)
    monkeypatch.setattr(system.os, "fsync", synced.append)
    sync_data(7)
    assert synced == [7]


def test_the_awake_clock_advances_and_is_not_the_time_of_day():
    first = awake_clock()
    assert first <= awake_clock()
    assert abs(first - time.time()) > 1e6


def test_this_boot_has_one_name():
    assert boot_id() == boot_id()
    assert boot_id() != "unknown"


# Locks ---------------------------------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from flowhub_jobs.fs.locks import LockFile
held = LockFile(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lock_of_a_process_is_free_the_moment_it_is_killed(tmp_path):
    path = tmp_path / "w.lock"
    holder = start_python(HOLD, path)
    try:
        assert holder.stdout.readline() == "held\n"
        assert lock_is_free(path) is False
        with pytest.raises(OSError, match="unavailable"):
            LockFile(path)
    finally:
        kill(holder)
    assert lock_is_free(path) is True


def test_a_check_of_a_lock_does_not_take_it(tmp_path):
    held = LockFile(tmp_path / "w.lock")
    assert [lock_is_free(held.path) for _ in range(3)] == [False] * 3
    held.release()
    again = LockFile(tmp_path / "w.lock")
    again.release()


def test_a_worker_that_ended_normally_leaves_no_lock_file(tmp_path):
    held = LockFile(tmp_path / "w.lock")
    held.release()
    assert not held.path.exists()
    assert lock_is_free(held.path) is None


def test_a_child_process_does_not_inherit_a_lock(tmp_path):
    """Otherwise a child that outlives its worker would make the worker look alive."""
    held = LockFile(tmp_path / "w.lock")
    assert os.get_inheritable(held._fd) is False
    held.release()


def test_a_lock_is_taken_at_the_new_file_if_the_old_one_is_removed_during_the_wait(tmp_path, monkeypatch):
    """Otherwise a third process would find the name free, and two would hold the lock."""
    path, real = tmp_path / "w.lock", fcntl.flock
    first = LockFile(path)

    def flock(fd, operation):
        monkeypatch.setattr(fcntl, "flock", real)
        first.release()  # after the second open(), before its flock()
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    second = LockFile(path)
    with pytest.raises(BlockingIOError):
        LockFile(path)
    second.release()


def test_a_release_leaves_a_lock_file_that_another_process_has_made_since(tmp_path):
    path = tmp_path / "w.lock"
    first = LockFile(path)
    path.unlink()  # as a cleanup of the whole folder does
    second = LockFile(path)
    first.release()
    assert lock_is_free(path) is False
    second.release()
