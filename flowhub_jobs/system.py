"""Differences between Linux and macOS: clocks, processes, syncing, renaming without replacing.

Each function has both forms; a test runs the one that the machine can and checks the other by its calls. What differs
between file systems is in file_systems.py, locks are in locks.py.
"""

import contextlib
import ctypes
import errno
import fcntl
import functools
import os
import platform
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.file_systems import file_system_of

MACOS = sys.platform == "darwin"

_OPEN_FILES = 10_240  # macOS sys/syslimits.h, OPEN_MAX: its setrlimit may refuse more
_AT_FDCWD = -100  # linux/fcntl.h
_RENAME_NOREPLACE, _RENAME_EXCHANGE = 1, 2  # linux/fs.h
_RENAME_SWAP, _RENAME_EXCL = 2, 4  # macOS sys/stdio.h
_FICLONE = 0x40049409  # linux/fs.h: _IOW(0x94, 9, int)
_CLONE_NOFOLLOW = 1  # macOS sys/clonefile.h
_STRETCH = 16 << 20  # bytes; the system drops nothing from smaller parts: its read-ahead is in large folios
_GOOD_AT_DIRECT = frozenset({0xEF53, 0x58465342})  # linux/magic.h: ext4, XFS
# Error codes of file systems that cannot sync a folder or a file: the server or driver orders writes itself.
_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.ENOTTY})
# The same of hard links: exFAT and vboxsf EPERM, SMB EOPNOTSUPP, Android EACCES (termux-app#837), AFS EXDEV.
_CANNOT_LINK = frozenset(
    {errno.EPERM, errno.EACCES, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}
)
# Error codes where blocks cannot be shared: no such call, another disk, an unsupporting file system, no permission.
_CANNOT_CLONE = frozenset(
    {errno.ENOTTY, errno.ENOSYS, errno.EXDEV, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EPERM, errno.EBADF}
)


def awake_clock() -> float:
    """Return seconds on a clock that no one can set and that runs through the machine's sleep.

    On Linux CLOCK_MONOTONIC stands still while suspended, CLOCK_BOOTTIME does not; on macOS CLOCK_MONOTONIC runs on.
    """
    return time.clock_gettime(time.CLOCK_MONOTONIC if MACOS else time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Clock:
    """Source of time: microseconds since 1970 UTC, and `awake_clock`. Tests replace it."""

    now_us: Callable[[], int] = lambda: time.time_ns() // 1000
    awake: Callable[[], float] = awake_clock


def machine_name() -> str:
    """Return what tells this machine from others: its host name, and on Linux the id that was made at installation."""
    with contextlib.suppress(OSError, ValueError):
        return f"{platform.node()}/{Path('/etc/machine-id').read_text(encoding='ascii').strip()}"
    return platform.node()


def process_name() -> str:
    """Return what tells this process from all others, also in other containers and after a reboot."""
    pid = os.getpid()
    return f"{boot_id()}/{_pid_namespace()}/{pid}/{_start_time(pid) or ''}"


def is_process_alive(name: str) -> bool | None:
    """Return whether the process of a `process_name` lives; None where this one cannot see it: another machine's."""
    try:
        boot, namespace, pid, started = name.split("/")
        number = int(pid)
    except ValueError:
        return None
    if boot != boot_id() or boot == "unknown" or namespace != _pid_namespace():
        return None
    return _start_time(number) == started


def _pid_namespace() -> str:
    with contextlib.suppress(OSError):
        return os.readlink("/proc/self/ns/pid")  # "pid:[4026531836]": the same number may be two processes in two
    return ""


def _start_time(pid: int) -> str | None:
    """Return when a process began, as its system says it; None if there is none."""
    if MACOS:
        answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
        return answer.stdout.strip() or None
    try:
        # Behind the name, which may hold blanks and brackets; field 22 of all (man 5 proc, /proc/pid/stat).
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


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


def open_files_limit() -> int:
    """Return how many files this process may have open."""
    return int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def can_open_files(count: int = 4) -> bool:
    """Return whether so many more files can be opened now. SQLite, which needs four, does not report this cause."""
    opened: list[int] = []
    try:
        while len(opened) < count:
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error.errno not in (errno.EMFILE, errno.ENFILE)
    finally:
        for fd in opened:
            os.close(fd)
    return True


def sync_data(fd: int) -> None:
    """Write `fd`'s data to the medium itself. macOS's fsync stops at the drive's cache (man 2 fcntl)."""
    with _ignore_unsupported():
        if MACOS:
            full = getattr(fcntl, "F_FULLFSYNC", 51)
            try:
                fcntl.fcntl(fd, full)
            except OSError:  # a network disk does not know F_FULLFSYNC
                os.fsync(fd)
        else:
            os.fdatasync(fd)


@contextlib.contextmanager
def _ignore_unsupported() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


def direct_twin(fd: int) -> int | None:
    """Return another descriptor of the open file `fd`, whose writes go past the system's cache (open(2), O_DIRECT).

    None where it is not known to be fast and correct: on Linux it is so on ext4 and XFS. The data must be
    pages, in memory and in the file; EINVAL says that the disk wants larger ones.
    """
    if MACOS or file_system_of(fd) not in _GOOD_AT_DIRECT:
        return None
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_DIRECT | os.O_CLOEXEC)
    except OSError:
        return None


def let_go_of_cache(fd: int, start: int, end: int) -> None:
    """Drop this part of a file from the page cache, so that the next read comes from the disk. Only a hint."""
    if not MACOS:
        os.posix_fadvise(fd, start, end - start, os.POSIX_FADV_DONTNEED)


def read_once(fd: int, buffer: memoryview, offset: int) -> int:
    """Fill `buffer` from `offset` of a file that is read from front to back; return how much there was.

    The bytes already read are dropped from the page cache, a stretch at a time: they are not read again, and a model of
    many gigabytes would evict everything else. On a small virtual machine this is also faster.
    """
    count = os.preadv(fd, [buffer], offset)
    if (stretch := (offset + count) // _STRETCH) > offset // _STRETCH:
        let_go_of_cache(fd, (stretch - 1) * _STRETCH, stretch * _STRETCH)
    return count


def open_unseen(path: Path | str, flags: int) -> int:
    """Open a file so that reads leave its access time alone, by which unused models are found.

    Linux allows it to the owner of the file (O_NOATIME, man 2 open); elsewhere the file is opened as usual.
    """
    try:
        return os.open(path, flags | getattr(os, "O_NOATIME", 0))
    except PermissionError:
        return os.open(path, flags)


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
    """Put a file, or a folder's entries, on the medium. A folder that may be written but not read is left alone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if path.is_dir() and error.errno in (errno.EACCES, errno.EISDIR, *_CANNOT_SYNC):
            return
        raise
    try:
        if MACOS:
            sync_data(fd)
        else:
            with _ignore_unsupported():
                os.fsync(fd)
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
        try:
            source.rename(target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.EACCES, errno.EPERM):
                raise
            target.rmdir()  # SMB replaces no folder at all, not even an empty one
            source.rename(target)
    else:
        _link_new(source, target)


def _link_new(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)  # macOS would link what a symbolic link leads to
    except OSError as error:
        if error.errno not in _CANNOT_LINK:
            raise
        # No hard links either, as on exFAT: an empty file claims the name, and is replaced in one step. Where links
        # were refused for want of permission, so is this.
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        source.replace(target)
    else:
        source.unlink()


def swap(one: Path, other: Path) -> None:
    """Exchange two names in one step where the system can; else through a third name next to `one`."""
    if _rename_flags(one, other, linux=_RENAME_EXCHANGE, macos=_RENAME_SWAP):
        return
    temporary = one.with_name(one.name + ".swap")
    other.rename(temporary)
    one.rename(other)
    temporary.rename(one)


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
    # Without blocking: a pipe may have taken this name since.
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
