"""The use of a partial whose last owner is dead, suspended, unknown, or a process of another home."""

import errno
import os

import pytest

from flowhub_jobs.errors import DiskFull, OutOfMemory, StorageFailed, StoreOffline, TooManyFiles
from flowhub_jobs.file_systems import CLUSTER, COARSE, EXACT, UNKNOWN, same_time, traits_of
from flowhub_jobs.fs.disk_errors import disk_error
from flowhub_jobs.system import is_process_alive, process_name
from flowhub_jobs.transfer.partial.ownership_decision import LockStatus, Owner, PartialUse, decide_use

THIS_RUN = Owner("host", "boot-2/pid/20/9", "/home/me", "run-2")
EARLIER_RUN = Owner("host", "boot-2/pid/10/5", "/home/me", "run-1")  # an earlier run of this job
COPIED_HOME = Owner("host", "boot-2/pid/11/5", "/home/twin", "run-1")  # a home that was copied with its jobs
BEFORE_REBOOT = Owner("host", "boot-1/pid/10/5", "/home/me", "run-1")
OTHER_MACHINE = Owner("other", "boot-9/pid/10/5", "/home/me", "run-1")


def decide(lock, last_owner, traits=EXACT, *, lives=None, silent=False):
    return decide_use(
        lock,
        last_owner,
        THIS_RUN,
        traits,
        own_runs={"run-1", "run-2"},
        is_alive=lambda process: lives,
        is_silent=lambda: silent,
    )


@pytest.mark.parametrize("traits", [EXACT, CLUSTER, COARSE, UNKNOWN])
@pytest.mark.parametrize("lock", [LockStatus.FREE, LockStatus.UNKNOWN])
def test_a_partial_that_its_owner_released_is_continued(traits, lock):
    assert decide(lock, None, traits) is PartialUse.CONTINUE


@pytest.mark.parametrize("traits", [EXACT, CLUSTER, COARSE, UNKNOWN])
def test_a_partial_of_a_living_process_is_never_written_to(traits):
    assert decide(LockStatus.LOCKED, EARLIER_RUN, traits) is PartialUse.COPY
    assert decide(LockStatus.LOCKED, COPIED_HOME, traits) is PartialUse.SEPARATE
    assert decide(LockStatus.LOCKED, OTHER_MACHINE, traits) is PartialUse.SEPARATE
    assert decide(LockStatus.LOCKED, None, traits) is PartialUse.SEPARATE
    assert decide(LockStatus.UNKNOWN, EARLIER_RUN, traits, lives=True) is PartialUse.COPY
    assert decide(LockStatus.UNKNOWN, COPIED_HOME, traits, lives=True) is PartialUse.SEPARATE


@pytest.mark.parametrize("last_owner", [EARLIER_RUN, COPIED_HOME, BEFORE_REBOOT, OTHER_MACHINE])
def test_a_lock_that_is_free_proves_its_owner_dead_on_a_disk_of_this_machine(last_owner):
    assert decide(LockStatus.FREE, last_owner, EXACT) is PartialUse.CONTINUE
    assert decide(LockStatus.FREE, last_owner, COARSE) is PartialUse.CONTINUE


@pytest.mark.parametrize("traits", [CLUSTER, UNKNOWN])
@pytest.mark.parametrize("lock", [LockStatus.FREE, LockStatus.UNKNOWN])
def test_where_other_machines_may_write_a_free_lock_proves_nothing_about_them(traits, lock):
    assert decide(lock, BEFORE_REBOOT, traits) is PartialUse.COPY, "this machine's own, before a power cut"
    assert decide(lock, OTHER_MACHINE, traits) is PartialUse.SEPARATE
    assert decide(lock, OTHER_MACHINE, traits, silent=True) is PartialUse.COPY


def test_without_locks_a_dead_process_of_this_machine_is_recognized():
    assert decide(LockStatus.UNKNOWN, EARLIER_RUN, UNKNOWN, lives=False) is PartialUse.CONTINUE
    assert decide(LockStatus.UNKNOWN, COPIED_HOME, UNKNOWN, lives=False) is PartialUse.CONTINUE


def test_this_process_is_alive_and_one_of_another_boot_is_unknown():
    name = process_name()
    boot, namespace, pid, started = name.split("/")
    assert is_process_alive(name) is True
    assert is_process_alive("/".join([boot, namespace, pid, "1"])) is False
    assert is_process_alive("/".join(["another", namespace, pid, started])) is None
    assert is_process_alive("/".join([boot, "another", pid, started])) is None
    assert is_process_alive("") is None


# File times ----------------------------------------------------------------------------------------------------------

SECOND_NS = 1_000_000_000
MODIFIED_NS = 1_796_000_123_456_789_123


@pytest.mark.parametrize("traits", [COARSE, UNKNOWN, CLUSTER])
@pytest.mark.parametrize(
    "reported",
    [
        MODIFIED_NS,
        MODIFIED_NS // 100 * 100,  # SMB
        MODIFIED_NS // SECOND_NS * SECOND_NS,
        MODIFIED_NS // (2 * SECOND_NS) * 2 * SECOND_NS,  # FAT
        MODIFIED_NS + 3600 * SECOND_NS,  # daylight saving
        MODIFIED_NS - 3600 * SECOND_NS,
        (MODIFIED_NS + 3600 * SECOND_NS) // (2 * SECOND_NS) * 2 * SECOND_NS,
    ],
)
def test_a_time_that_only_the_file_system_changed_is_the_same(traits, reported):
    assert same_time(MODIFIED_NS, reported, traits)
    assert same_time(reported, MODIFIED_NS, traits)
    assert same_time(MODIFIED_NS, reported, EXACT) is (reported == MODIFIED_NS)


@pytest.mark.parametrize(
    "reported",
    [
        MODIFIED_NS + 1,
        MODIFIED_NS + SECOND_NS,
        MODIFIED_NS + 5 * SECOND_NS,
        MODIFIED_NS + 3599 * SECOND_NS,
        MODIFIED_NS + 40 * 3600 * SECOND_NS,
    ],
)
def test_any_other_time_differs(reported):
    for traits in (EXACT, CLUSTER, COARSE, UNKNOWN):
        assert not same_time(MODIFIED_NS, reported, traits)


def test_a_folder_has_the_same_traits_by_descriptor_and_by_path(tmp_path):
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        assert traits_of(fd) == traits_of(tmp_path)
    finally:
        os.close(fd)
    assert traits_of(tmp_path / "none") == UNKNOWN


# Disk errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind", "words"),
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
def test_a_disk_error_keeps_its_own_kind(tmp_path, code, kind, words):
    number = getattr(errno, code)
    error = disk_error(tmp_path / "m.gguf", OSError(number, os.strerror(number)))
    assert type(error) is kind
    assert words in error.message
    assert error.hint


def test_a_disk_without_inodes_is_not_called_full(tmp_path, monkeypatch):
    stats = os.statvfs(tmp_path)
    used_up = os.statvfs_result((*stats[:5], 1000, 0, 0, *stats[8:]))
    monkeypatch.setattr(os, "statvfs", lambda path: used_up)
    error = disk_error(tmp_path / "m.gguf", OSError(errno.ENOSPC, "No space left on device"))
    assert "no inodes left: 1,000 of 1,000" in error.message
    assert "are free" in error.message
    assert "inode" in str(error.hint)
