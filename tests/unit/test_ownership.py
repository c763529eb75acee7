"""What a run does with a partial whose last owner is dead, suspended, unknown, or another home's."""

import errno
import os

import pytest

from flowhub_jobs.errors import DiskFull, OutOfMemory, StorageFailed, StoreOffline, TooManyFiles
from flowhub_jobs.file_systems import CLUSTER, COARSE, EXACT, UNKNOWN, same_time, traits_of
from flowhub_jobs.fs.disk_errors import disk_error
from flowhub_jobs.system import process_lives, process_name
from flowhub_jobs.transfer.partial.ownership import LockStatus, Owner, PartialUse, decide_use

ME = Owner("host", "boot-2/pid/20/9", "/home/me", "run-2")
MINE = Owner("host", "boot-2/pid/10/5", "/home/me", "run-1")  # an earlier run of the job
TWIN = Owner("host", "boot-2/pid/11/5", "/home/twin", "run-1")  # a home that was copied, with its jobs
REBOOTED = Owner("host", "boot-1/pid/10/5", "/home/me", "run-1")
STRANGER = Owner("other", "boot-9/pid/10/5", "/home/me", "run-1")


def verdict(held, before, traits=EXACT, *, lives=None, silent=False):
    return decide_use(
        held, before, ME, traits, own_runs={"run-1", "run-2"}, is_alive=lambda process: lives, is_silent=lambda: silent
    )


@pytest.mark.parametrize("traits", [EXACT, CLUSTER, COARSE, UNKNOWN])
@pytest.mark.parametrize("held", [LockStatus.FREE, LockStatus.UNKNOWN])
def test_what_its_owner_left_in_order_is_continued(traits, held):
    assert verdict(held, None, traits) is PartialUse.CONTINUE


@pytest.mark.parametrize("traits", [EXACT, CLUSTER, COARSE, UNKNOWN])
def test_what_a_living_process_has_is_never_written_into(traits):
    assert verdict(LockStatus.LOCKED, MINE, traits) is PartialUse.COPY
    assert verdict(LockStatus.LOCKED, TWIN, traits) is PartialUse.SEPARATE
    assert verdict(LockStatus.LOCKED, STRANGER, traits) is PartialUse.SEPARATE
    assert verdict(LockStatus.LOCKED, None, traits) is PartialUse.SEPARATE
    assert verdict(LockStatus.UNKNOWN, MINE, traits, lives=True) is PartialUse.COPY
    assert verdict(LockStatus.UNKNOWN, TWIN, traits, lives=True) is PartialUse.SEPARATE


@pytest.mark.parametrize("before", [MINE, TWIN, REBOOTED, STRANGER])
def test_a_lock_that_is_free_proves_its_owner_dead_on_a_disk_of_this_machine(before):
    assert verdict(LockStatus.FREE, before, EXACT) is PartialUse.CONTINUE
    assert verdict(LockStatus.FREE, before, COARSE) is PartialUse.CONTINUE


@pytest.mark.parametrize("traits", [CLUSTER, UNKNOWN])
@pytest.mark.parametrize("held", [LockStatus.FREE, LockStatus.UNKNOWN])
def test_where_other_machines_may_be_at_work_a_free_lock_proves_nothing_of_them(traits, held):
    assert verdict(held, REBOOTED, traits) is PartialUse.COPY, "this machine's own, before a power cut"
    assert verdict(held, STRANGER, traits) is PartialUse.SEPARATE
    assert verdict(held, STRANGER, traits, silent=True) is PartialUse.COPY


def test_without_locks_a_dead_process_of_this_machine_is_known_as_dead():
    assert verdict(LockStatus.UNKNOWN, MINE, UNKNOWN, lives=False) is PartialUse.CONTINUE
    assert verdict(LockStatus.UNKNOWN, TWIN, UNKNOWN, lives=False) is PartialUse.CONTINUE


def test_this_process_lives_and_another_boots_is_not_known_of():
    name = process_name()
    boot, namespace, pid, started = name.split("/")
    assert process_lives(name) is True
    assert process_lives("/".join([boot, namespace, pid, "1"])) is False
    assert process_lives("/".join(["another", namespace, pid, started])) is None
    assert process_lives("/".join([boot, "another", pid, started])) is None
    assert process_lives("") is None


# What a file system tells --------------------------------------------------------------------------------------------

NS = 1_000_000_000
AT = 1_796_000_123_456_789_123


@pytest.mark.parametrize("traits", [COARSE, UNKNOWN, CLUSTER])
@pytest.mark.parametrize(
    "now",
    [
        AT,
        AT // 100 * 100,  # SMB
        AT // NS * NS,
        AT // (2 * NS) * 2 * NS,  # FAT
        AT + 3600 * NS,  # daylight saving
        AT - 3600 * NS,
        (AT + 3600 * NS) // (2 * NS) * 2 * NS,
    ],
)
def test_a_time_that_only_its_file_system_changed_is_the_same(traits, now):
    assert same_time(AT, now, traits)
    assert same_time(now, AT, traits)
    assert same_time(AT, now, EXACT) is (now == AT)


@pytest.mark.parametrize("now", [AT + 1, AT + NS, AT + 5 * NS, AT + 3599 * NS, AT + 40 * 3600 * NS])
def test_any_other_time_is_another(now):
    for traits in (EXACT, CLUSTER, COARSE, UNKNOWN):
        assert not same_time(AT, now, traits)


def test_the_disk_of_a_test_is_one_that_tells(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert traits_of(fd) == traits_of(tmp_path)
    finally:
        os.close(fd)
    assert traits_of(tmp_path / "none") == UNKNOWN


# What a disk refuses -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "says"),
    [
        ("ENOSPC", DiskFull, "is full"),
        ("EDQUOT", DiskFull, "quota"),
        ("ENOENT", StoreOffline, "is gone"),
        ("ESTALE", StoreOffline, "is gone"),
        ("ENOTCONN", StoreOffline, "is gone"),
        ("EHOSTDOWN", StoreOffline, "is gone"),
        ("EROFS", StoreOffline, "read-only"),
        ("EBUSY", StoreOffline, "is busy"),
        ("ETXTBSY", StoreOffline, "is busy"),
        ("EMFILE", TooManyFiles, "too many files"),
        ("ENOMEM", OutOfMemory, "no memory left"),
        ("EFBIG", StorageFailed, "no file that large"),
        ("ENAMETOOLONG", StorageFailed, "no name that long"),
        ("EIO", StorageFailed, "refused"),
        ("EACCES", StorageFailed, "refused"),
    ],
)
def test_an_error_of_a_disk_keeps_its_own_kind(tmp_path, code, kind, says):
    number = getattr(errno, code)
    error = disk_error(tmp_path / "m.gguf", OSError(number, os.strerror(number)))
    assert type(error) is kind
    assert says in error.message
    assert error.hint


def test_a_disk_without_inodes_is_not_called_full(tmp_path, monkeypatch):
    there = os.statvfs(tmp_path)
    used_up = os.statvfs_result((*there[:5], 1000, 0, 0, *there[8:]))
    monkeypatch.setattr(os, "statvfs", lambda place: used_up)
    error = disk_error(tmp_path / "m.gguf", OSError(errno.ENOSPC, "No space left on device"))
    assert "no inodes left: 1,000 of 1,000" in error.message
    assert "are free" in error.message
    assert "inode" in str(error.hint)
