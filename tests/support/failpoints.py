"""Failpoints: kill, suspend or starve a worker (started by fork_server) at a named call. Space-separated words:

    kill=CALL:WHEN[:N]     SIGKILL to itself at the N-th such call (from 1)
    suspend=CALL:WHEN[:N]  the same with SIGSTOP: it continues there when the test sends SIGCONT
    disk=NAME:ERRNO:PART:N[:FILE]
                           the N-th `os.NAME` on a path that contains PART fails with ERRNO, once; or, with FILE, that
                           call and all later ones fail while FILE exists
    clock=FILE             the clocks are those of support.fake_clock.ClockFile
    lease=SECONDS          length of a lease
    lock=SECONDS           longest wait for another installation on this machine
    journal_period=SECONDS period of the journal's commits; with a long one there is only the last commit
    no_rename_flags        a disk that cannot rename without replacing, nor exchange two names, as over NFS
    no_hard_links[=ERRNO]  the same, and without hard links, as exFAT
    no_flock=FOLDER:ERRNO  no flock on the files below FOLDER, as on Lustre and FUSE
    no_folder_sync=ERRNO   no fsync of folders
    dns=FILE               every name resolves to this machine; while FILE exists, the names in it do not resolve, or
                           none if it is empty. Each look-up is a line in FILE.log
    power_loss=SEED:N[:NAME]
                           the power fails at the N-th call, or `os.NAME`, that changes the store (power_loss_disk.py)
    fast_maintenance       maintenance twenty times a second, so that a test does not wait for it

CALL is MODULE:NAME, in the packages under test. WHEN is `before`, `after`, or `amid`: once the call has removed its
first file.
"""

import errno
import fcntl
import importlib
import os
import signal
import socket
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

Failpoint = Callable[..., None]


def set_failpoints(words: str) -> None:
    for word in words.split():
        name, _, details = word.partition("=")
        FAILPOINTS[name](*details.split(":")) if details else FAILPOINTS[name]()


def _at_call(act: Callable[[], None]) -> Failpoint:
    """Return the failpoint that calls `act` at a call."""

    def failpoint(module: str, name: str, when: str, number: str = "1") -> None:
        holder, last, real = _resolve_attribute(module, name)
        calls = iter(range(1, 1 << 30))

        def replacement(*arguments: Any, **options: Any) -> Any:
            if next(calls) != int(number):
                return real(*arguments, **options)
            if when == "before":
                act()
            elif when == "amid":
                _act_after_first_removal(act)
            result = real(*arguments, **options)
            if when == "after":
                act()
            return result

        setattr(holder, last, replacement)

    return failpoint


def _kill() -> None:
    # To this thread: after a signal to the process, this thread would still run for a while.
    signal.pthread_kill(threading.get_ident(), signal.SIGKILL)


def _suspend() -> None:
    """Stop this process, but not while it has a database locked: other processes would wait as long."""
    home = Path(os.environ["FLOWHUB_HOME"])
    databases = [sqlite3.connect(home / name, timeout=30, isolation_level=None) for name in ("flowhub.db", "queue.db")]
    for database in databases:
        database.execute("BEGIN IMMEDIATE")
    for database in databases:
        database.rollback()
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
    for database in databases:
        database.close()


def _resolve_attribute(module: str, name: str) -> tuple[Any, str, Any]:
    """Return the object that has an attribute, the name of the attribute, and its value."""
    holder: Any = importlib.import_module(module)
    *path, last = name.split(".")
    for part in path:
        holder = getattr(holder, part)
    return holder, last, getattr(holder, last)


def _act_after_first_removal(act: Callable[[], None]) -> None:
    real: Any = os.unlink

    def unlink(*arguments: Any, **options: Any) -> None:
        real(*arguments, **options)
        act()

    os.unlink = unlink


def _disk(name: str, code: str, part: str, number: str, file: str = "") -> None:
    real, calls = getattr(os, name), iter(range(1, 1 << 30))

    def failing(fd: int, *rest: Any) -> Any:
        if part in os.readlink(f"/proc/self/fd/{fd}") + "$":
            call = next(calls)
            fails = call >= int(number) and Path(file).exists() if file else call == int(number)
            if fails:
                raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))
        return real(fd, *rest)

    setattr(os, name, failing)


def _clock(file: str) -> None:
    from flowhub_jobs import system
    from support.fake_clock import ClockFile

    system.time = ClockFile(Path(file))  # type: ignore[assignment]


def _lease(seconds: str) -> None:
    from flowhub_jobs.jobs import lease_store
    from flowhub_jobs.worker import heartbeat

    lease_store.LEASE_S, heartbeat.RENEW_S = float(seconds), float(seconds) / 3
    _lock(str(2 * float(seconds)))


def _lock(seconds: str) -> None:
    from flowhub_jobs.worker import pipeline

    pipeline.LEASE_S = float(seconds) / 2


def _journal_period(seconds: str) -> None:
    from flowhub_jobs.transfer import committer

    committer.PERIOD_S = float(seconds)


def _no_rename_flags() -> None:
    from flowhub_jobs import system

    system._rename_flags = lambda *arguments, **options: False


def _no_hard_links(code: str = "EPERM") -> None:
    def link(*arguments: Any, **options: Any) -> None:
        raise _os_error(code)

    _no_rename_flags()
    os.link = link


def _no_flock(folder: str, code: str) -> None:
    real = fcntl.flock

    def flock(fd: int, operation: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").startswith(folder):
            raise _os_error(code)
        real(fd, operation)

    fcntl.flock = flock


def _no_folder_sync(code: str) -> None:
    real = os.fsync

    def fsync(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise _os_error(code)
        real(fd)

    os.fsync = fsync  # type: ignore[assignment]


def _os_error(code: str) -> OSError:
    number = getattr(errno, code)
    return OSError(number, os.strerror(number))


def _dns(file: str) -> None:
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **options: Any) -> Any:
        with open(f"{file}.log", "a") as log:
            log.write(f"{host}\n")
        unresolvable = Path(file).read_text().split() if Path(file).exists() else [""]
        if host in (unresolvable or [host]):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real("127.0.0.1", *rest, **options)

    socket.getaddrinfo = getaddrinfo


def _power_loss(*words: str) -> None:
    from support.power_loss_disk import fail_power

    fail_power(*words)


def _fast_maintenance() -> None:
    from flowhub_jobs.worker import maintenance

    maintenance.PERIOD_S = 0.05


FAILPOINTS: dict[str, Failpoint] = {
    "kill": _at_call(_kill),
    "suspend": _at_call(_suspend),
    "disk": _disk,
    "clock": _clock,
    "lease": _lease,
    "lock": _lock,
    "journal_period": _journal_period,
    "dns": _dns,
    "no_rename_flags": _no_rename_flags,
    "no_hard_links": _no_hard_links,
    "no_flock": _no_flock,
    "no_folder_sync": _no_folder_sync,
    "power_loss": _power_loss,
    "fast_maintenance": _fast_maintenance,
}
