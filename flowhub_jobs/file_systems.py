"""Traits of file systems: whether inode numbers and times are stable, and whether other machines use it.

On most local disks a file is known by its inode number and by a time in nanoseconds. Elsewhere both may change without
a write: FUSE and SMB make numbers up at each call (rclone, mergerfs: borgbackup/borg#5770), FAT rounds times to
two seconds and keeps them in local time, so that they shift with daylight saving (man 8 mount, vfat, `tz=UTC`).
"""

import ctypes
import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path

MACOS = sys.platform == "darwin"

# linux/magic.h and each file system's own header: local disks, of which one kernel is the only user.
_EXACT = frozenset(
    {
        *(0xEF53, 0x58465342, 0x9123683E, 0x2FC12FC1, 0xF2F52010, 0xCA451A4E),  # ext4 XFS btrfs ZFS F2FS bcachefs
        *(0x01021994, 0x858458F6, 0x794C7630, 0xF15F),  # tmpfs ramfs overlayfs eCryptfs
        *(0x3153464A, 0x52654973, 0x3434, 0x24051905),  # JFS ReiserFS NILFS UBIFS
    }
)
# NFS, Ceph, Lustre, GPFS, OCFS2, GFS2: shared by machines, with inode numbers that the server or the disk keeps.
_CLUSTER = frozenset({0x6969, 0x00C36400, 0x0BD00BD0, 0x47504653, 0x7461636F, 0x01161970})
_COARSE = frozenset({0x4D44, 0x2011BAB0, 0x7366746E, 0x5346544E, 0x4244, 0x482B})  # FAT exFAT ntfs3 NTFS HFS HFS+

_Statfs = ctypes.c_ulong * 512  # more than `struct statfs` has on any system
_GRAINS_NS = (2_000_000_000, 1_000_000_000, 10_000_000, 1_000_000, 1_000, 100)  # FAT HFS+ exFAT ext3-NFS … SMB
_ZONE_STEP_NS = 1_800 * 1_000_000_000  # half an hour: the smallest step of daylight saving (Lord Howe)
_ZONE_MAX_NS = 26 * 3_600 * 1_000_000_000  # from UTC-12 to UTC+14


@dataclass(frozen=True, slots=True)
class FileSystemTraits:
    """Traits of one file system. `shared`: processes of other machines may work in it."""

    numbers_stay: bool
    times_stay: bool
    shared: bool


EXACT = FileSystemTraits(numbers_stay=True, times_stay=True, shared=False)
CLUSTER = FileSystemTraits(numbers_stay=True, times_stay=False, shared=True)
COARSE = FileSystemTraits(numbers_stay=False, times_stay=False, shared=False)
UNKNOWN = FileSystemTraits(numbers_stay=False, times_stay=False, shared=True)


def traits_of(target: Path | str | int) -> FileSystemTraits:
    """Return the traits of the file system of a path or an open file; UNKNOWN where it does not name itself."""
    kind = file_system_of(target)
    if kind in _EXACT or kind == "apfs":
        return EXACT
    if kind in _CLUSTER or kind == "nfs":
        return CLUSTER
    return COARSE if kind in _COARSE or kind in ("hfs", "msdos", "exfat", "ntfs") else UNKNOWN


def file_system_of(target: Path | str | int) -> int | str | None:
    """Return the magic number of a file system (Linux, the first word of `struct statfs`), or its name (macOS)."""
    buffer = _Statfs()  # called for each part of a transfer, so without a copy of its bytes
    call = _statfs(of_open=isinstance(target, int))
    if call(target if isinstance(target, int) else os.fsencode(target), buffer) != 0:
        return None
    if MACOS:  # struct statfs of 64-bit inodes: f_fstypename begins at byte 72
        return bytes(buffer)[72:88].split(b"\0")[0].decode(errors="replace")
    return buffer[0] & 0xFFFFFFFF


@functools.cache
def _statfs(*, of_open: bool) -> "ctypes._NamedFuncPointer":
    libc, name = ctypes.CDLL(None, use_errno=True), "fstatfs" if of_open else "statfs"
    variant = getattr(libc, f"{name}$INODE64", None) if MACOS else None  # x86: the plain name is the older struct
    call: ctypes._NamedFuncPointer = variant or getattr(libc, name)
    return call


def mark_of(status: os.stat_result, traits: FileSystemTraits) -> tuple[int, ...]:
    """Return the mark of a file, to notice a replacement: its inode number, else its size and time."""
    return (status.st_ino,) if traits.numbers_stay else (status.st_size, status.st_mtime_ns)


def same_time(recorded_ns: int, now_ns: int, traits: FileSystemTraits) -> bool:
    """Return whether a file's time equals the recorded one, within the precision of its file system."""
    return recorded_ns == now_ns or (not traits.times_stay and _same_but_rounded(recorded_ns, now_ns))


def _same_but_rounded(recorded_ns: int, now_ns: int) -> bool:
    """Return whether `now_ns` is the recorded time after a shift of the time zone and a cut to coarser steps. Pure.

    Either of the two may be the rounded one: a system shows its own exact time until it reads the disk's.
    """
    steps = round((now_ns - recorded_ns) / _ZONE_STEP_NS)
    shifted = recorded_ns + steps * _ZONE_STEP_NS
    if abs(steps * _ZONE_STEP_NS) > _ZONE_MAX_NS:
        return False
    return shifted == now_ns or any(
        shifted // grain * grain == now_ns or now_ns // grain * grain == shifted for grain in _GRAINS_NS
    )
