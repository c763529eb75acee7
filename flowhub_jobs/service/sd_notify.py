"""Notifies systemd of the state of the service: sd_notify(3), a datagram to the socket in NOTIFY_SOCKET.

Without that socket nothing is sent. Nothing here raises: a missing listener must not end a worker.
"""

import contextlib
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from flowhub_jobs.units import format_rate
from flowhub_jobs.values.enums import Stage
from flowhub_jobs.values.jobs import Job

SEND_S = 1.0  # a listener that does not read is not waited for longer
STATUS_S = 5.0
STATUS_MAX = 300
NAMED = 3  # jobs named in the status line


class Notifier:
    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        """`environ` is that of this process, as the service manager made it."""
        self._address = environ.get("NOTIFY_SOCKET", "")
        self.interval_s = _watchdog_interval(environ) if self.wanted else None
        self._last_status = ""

    @property
    def wanted(self) -> bool:
        """Whether a service manager of the kind that listens has started this process."""
        return self._address.startswith(("/", "@")) and len(self._address) > 1

    def ready(self) -> None:
        """Report that the start is complete: the program that started the service waits until then."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Send the status line, if it has changed since the last call."""
        line = _one_line(text)
        if line != self._last_status:
            self._last_status = line
            self._send(f"STATUS={line}")

    def alive(self) -> None:
        """Report that this process still works; due every `interval_s`, more often does no harm."""
        if self.interval_s is not None:
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        self._send("STOPPING=1\nSTATUS=Stopping: every job is handed back.")

    def _send(self, message: str) -> None:
        if not self.wanted:
            return
        # A leading @ means the abstract name space of Linux, whose names begin with a zero byte (unix(7)).
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(SEND_S)
            sock.sendto(message.encode(errors="replace"), os.fsencode(address))


class Pulse:
    """Reports for a thread with a loop: each round that it lives, and every few seconds its status."""

    def __init__(self, notifier: Notifier, read_status: Callable[[], str], awake: Callable[[], float]) -> None:
        """`read_status` is called only if a socket listens; `awake` is a clock in seconds."""
        self._notifier, self._read_status, self._awake = notifier, read_status, awake
        self._due = float("-inf")

    def alive(self) -> None:
        """Report that the process lives, and nothing else."""
        self._notifier.alive()

    def beat(self) -> None:
        """Report both. An error of `read_status` is raised, after the sign of life."""
        self._notifier.alive()
        if self._notifier.wanted and self._awake() >= self._due:
            self._due = self._awake() + STATUS_S
            self._notifier.status(self._read_status())


def status_line(running: Sequence[Job], queued: int) -> str:
    """Return the status line: "2 jobs, 45.0 MB/s, 3 queued; qwen3-14b 64 %, phi-4 7 %"."""
    waiting = f"{queued} queued" if queued else "nothing else queued" if running else "the queue is empty"
    if not running:
        return f"Idle; {waiting}"
    rate = sum(job.rate_bps or 0 for job in running)
    parts = [f"{len(running)} job{'' if len(running) == 1 else 's'}", *([format_rate(rate)] if rate else []), waiting]
    return f"{', '.join(parts)}; {', '.join(_job_names(running))}"


def _job_names(running: Sequence[Job]) -> list[str]:
    names = [f"{job.model or Path(job.target).name} {_share(job)}" for job in running[:NAMED]]
    return names if len(running) <= NAMED else [*names, f"and {len(running) - NAMED} more"]


def _share(job: Job) -> str:
    if job.stage is Stage.DOWNLOAD and job.bytes_total:
        return f"{100 * job.bytes_done // job.bytes_total} %"
    return str(job.stage or Stage.RESOLVE)


def _one_line(text: str) -> str:
    """Return the text as one line: a line break in it would begin another message to the service manager."""
    line = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(line.split())[:STATUS_MAX]


def _watchdog_interval(environ: Mapping[str, str]) -> float | None:
    """Return half of the time in which a sign of life is due, in seconds (sd_watchdog_enabled(3)); None if none is."""
    try:
        micros, pid = int(environ.get("WATCHDOG_USEC", "0")), int(environ.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return micros / 2e6 if micros > 0 and pid == os.getpid() else None
