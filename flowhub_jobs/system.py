"""What differs between Linux and macOS, in one place: clocks, syncing, renaming without replacing, locks.

Each function has both forms; a test runs the one that the machine can and checks the other by its calls.
"""

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

MACOS = sys.platform == "darwin"

_NAMES_LOST = 5  # a disk that numbers its files anew at each look would have us try for ever
_OPEN_FILES = 10_240  # macOS sys/syslimits.h, OPEN_MAX: its setrlimit may refuse more
_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2  # linux/fs.h
_RENAME_SWAP, _RENAME_EXCL = 2, 4  # macOS sys/stdio.h
_FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
_CLONE_NOFOLLOW = 1  # macOS sys/clonefile.h
_STRETCH = 16 << 20  # bytes; of less at a time, the system lets nothing go: what it read ahead lies in large folios
_GOOD_AT_DIRECT = frozenset({0xEF53, 0x58465342})  # linux/magic.h: ext4, XFS
# What a kernel answers where blocks cannot be shared: no such call, another disk, a file system without, not allowed.
_CANNOT_CLONE = frozenset(
    {errno.ENOTTY, errno.ENOSYS, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.EBADF}
)


def awake_clock() -> float:
    """Return seconds on a clock that nobody sets and that runs through the machine's sleep.

    On Linux CLOCK_MONOTONIC stands still while suspended, CLOCK_BOOTTIME does not; on macOS CLOCK_MONOTONIC runs on.
    """
    return time.clock_gettime(time.CLOCK_MONOTONIC if MACOS else time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where time comes from: the calendar's microseconds since 1970 UTC, and `awake_clock`. Tests turn their own."""

    now_us: Callable[[], int] = lambda: time.time_ns() // 1000
    awake: Callable[[], float] = awake_clock


@functools.cache
def boot_id() -> str:
    """Return a name of this boot: times of `awake_clock` mean nothing under another."""
    if MACOS:
        answer = subprocess.run(["sysctl", "-n", "kern.bootsessionuuid"], capture_output=True, text=True, check=False)
        return answer.stdout.strip() or "unknown"
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return "unknown"


def allow_open_files() -> None:
    """Raise this process's limit of open files, as far as it may: macOS begins with 256, and a model may have 200."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def sync_data(fd: int) -> None:
    """Put what was written to `fd` on the medium itself. macOS's fsync stops at the drive's cache (man 2 fcntl)."""
    if MACOS:
        full = getattr(fcntl, "F_FULLFSYNC", 51)
        try:
            fcntl.fcntl(fd, full)
        except OSError:  # a network disk does not know F_FULLFSYNC
            os.fsync(fd)
    else:
        os.fdatasync(fd)


def direct_twin(fd: int) -> int | None:
    """Return another descriptor of the open file `fd`, whose writes go past the system's cache (open(2), O_DIRECT).

    None where that is not known to be quick and right: on Linux it is on ext4 and XFS. What is written must be whole
    pages, in memory and in the file; EINVAL says that the disk wants larger ones.
    """
    if MACOS or _file_system(fd) not in _GOOD_AT_DIRECT:
        return None
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return None


def _file_system(fd: int) -> int | None:
    """Return the magic number of the file system that holds an open file: the first word of Linux's struct statfs."""
    words = (ctypes.c_long * 32)()
    return words[0] if _libc().fstatfs(fd, words) == 0 else None


def let_go_of_cache(fd: int, start: int, end: int) -> None:
    """Have the system forget what it keeps of this part of a file: the next read asks the disk. A hint, no more."""
    if not MACOS:
        os.posix_fadvise(fd, start, end - start, os.POSIX_FADV_DONTNEED)


def read_once(fd: int, buffer: memoryview, offset: int) -> int:
    """Fill `buffer` from `offset` of a file that is read from front to back; return how much there was.

    What lies behind goes from the cache, a stretch at a time: nobody reads it again, and a model of many gigabytes
    would push all else out. Where memory is lent page by page, as to a small virtual machine, it comes faster, too.
    """
    count = os.preadv(fd, [buffer], offset)
    if (stretch := (offset + count) // _STRETCH) > offset // _STRETCH:
        let_go_of_cache(fd, (stretch - 1) * _STRETCH, stretch * _STRETCH)
    return count


def read_tick(sock: socket.socket, seconds: float) -> None:
    """Have a blocking read of `sock` come back after `seconds` (below 1) with what there is, EAGAIN if nothing."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, int(seconds * 1e6)))  # a timeval


def system_proxy(scheme: str, host: str) -> tuple[str, str] | None:
    """Return where the proxy of macOS' network settings is named, and its address; elsewhere there are none."""
    if not MACOS:
        return None
    from urllib.request import getproxies, proxy_bypass

    value = getproxies().get(scheme)
    return ("the system's network settings", value) if value and not proxy_bypass(host) else None


def sync_path(path: Path) -> None:
    """Put a file, or a folder's entries, on the medium."""
    fd = os.open(path, os.O_RDONLY)
    try:
        if MACOS:
            sync_data(fd)
        else:
            os.fsync(fd)
    except OSError as error:
        # Some network disks refuse to sync a folder; their server orders renames itself.
        if not path.is_dir() or error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(fd)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _rename_flags(source: Path, target: Path, *, linux: int, macos: int) -> bool:
    """Rename with flags; return False where the kernel or the file system has no such call."""
    src, dst = os.fsencode(source), os.fsencode(target)
    try:
        call = _libc().renamex_np if MACOS else _libc().renameat2
    except AttributeError:
        return False
    result = call(src, dst, macos) if MACOS else call(_AT_FDCWD, src, _AT_FDCWD, dst, linux)
    if result == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))


def rename_new(source: Path, target: Path) -> None:
    """Give `source` the name `target`; raise FileExistsError, and change nothing, if that name is taken."""
    if _rename_flags(source, target, linux=_RENAME_NOREPLACE, macos=_RENAME_EXCL):
        return
    if source.is_dir():
        # rename(2) replaces an empty folder only, and mkdir is the one atomic way to claim a folder's name.
        target.mkdir()
        source.rename(target)
    else:
        _link_new(source, target)


def _link_new(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
            raise
        # No hard links either, as on exFAT: an empty file claims the name, and is replaced in one step.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        source.replace(target)
    else:
        source.unlink()


def swap(one: Path, other: Path) -> None:
    """Exchange two names in one step where the system can; else by way of a third name beside `one`."""
    if _rename_flags(one, other, linux=_RENAME_EXCHANGE, macos=_RENAME_SWAP):
        return
    aside = one.with_name(one.name + ".swap")
    other.rename(aside)
    one.rename(other)
    aside.rename(one)


def reflink(source: Path, target: Path) -> bool:
    """Make `target`, a new file that shares the bytes of `source` on the disk until either is written to.

    Returns False, and leaves nothing, where the system or the file system cannot. Raises FileExistsError, and whatever
    keeps `source` from being read. A link is not followed.
    """
    code = _clonefile(source, target) if MACOS else _ficlone(source, target)
    if code == 0:
        return True
    if code in _CANNOT_CLONE:
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))


def _clonefile(source: Path, target: Path) -> int:
    call = getattr(_libc(), "clonefile", None)
    if call is None:
        return errno.ENOSYS
    return 0 if call(os.fsencode(source), os.fsencode(target), _CLONE_NOFOLLOW) == 0 else ctypes.get_errno()


def _ficlone(source: Path, target: Path) -> int:
    # Not blocking: a pipe that has come to bear this name must not hold us.
    fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        new = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            fcntl.ioctl(new, _FICLONE, fd)
        except OSError as error:
            target.unlink()
            return error.errno or errno.EIO
        finally:
            os.close(new)
    finally:
        os.close(fd)
    return 0


class LockFile:
    """A file locked for as long as this process lives: the proof of life of its owner. The kernel lets go, not we."""

    def __init__(self, path: Path) -> None:
        """Raises BlockingIOError while another has it, and the disk's own errors."""
        self.path = path
        self._fd = self._locked()
        for _ in range(_NAMES_LOST):
            if self._has_the_name():
                return
            os.close(self._fd)  # who held it took the name away between our opening and our lock
            self._fd = self._locked()

    def _locked(self) -> int:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            raise
        return fd

    def _has_the_name(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), os.stat(self.path))
        except OSError:
            return False

    def release(self) -> None:
        """Remove the file, then the lock, so that nobody finds an unlocked file of a worker that left well."""
        if self._has_the_name():  # else it is another's by now
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(self._fd)


@contextlib.contextmanager
def held_lock(path: Path, *, may_go_on: Callable[[], None], at_most_s: float) -> Iterator[None]:
    """Hold a lock among the processes and threads of this machine; its file stays.

    While another has it, `may_go_on` is called and may raise. After `at_most_s` it is gone on without: its holder
    was suspended, and what it does late has to be fenced otherwise.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        patience = time.monotonic() + at_most_s
        while not _locked(fd) and time.monotonic() < patience:
            may_go_on()
            time.sleep(0.05)
        yield
    finally:
        os.close(fd)


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def lock_is_free(path: Path) -> bool | None:
    """Return True if the lock's owner is gone, False if it lives, None if there is no such file: nothing is known."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
