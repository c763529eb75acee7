"""Runs and measures programs: elapsed time, and CPU time with all child processes."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lib.bench.figures import Run

AT_MOST_S = 1800  # a program that hangs must not block the bench
KIB = 1024


class BenchFailed(Exception):
    """A program that the bench started failed."""


def measured(command: Sequence[str | Path], folder: Path, environ: Mapping[str, str]) -> Run:
    """Run a command in `folder` to its end; return the measurement. Raises BenchFailed with its output."""
    log = folder / "said"
    with log.open("wb") as said:
        began = time.monotonic()
        # A new session, so that Ctrl-C reaches only the bench, which then ends the whole group.
        process = subprocess.Popen(
            command, cwd=folder, env=environ, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
        with killed_after(process, AT_MOST_S):
            _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        words = log.read_text(errors="replace").strip()[-2000:]
        raise BenchFailed(f"{' '.join(map(str, command))}\nended with {process.returncode} and said:\n{words}")
    log.unlink()
    unit = 1 if sys.platform == "darwin" else KIB  # of ru_maxrss
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * unit)


def added(runs: Sequence[Run]) -> Run:
    """Return one command that runs several, one by one."""
    return Run(sum(run.wall_s for run in runs), sum(run.cpu_s for run in runs), max(run.peak_bytes for run in runs))


@contextlib.contextmanager
def killed_after(process: "subprocess.Popen[bytes]", seconds: float) -> Iterator[None]:
    """Kill the process and its group at the timeout, or when an error leaves the block."""
    timer = threading.Timer(seconds, kill_group, [process])
    timer.start()
    try:
        yield
    except BaseException:
        kill_group(process)
        process.wait()
        raise
    finally:
        timer.cancel()


def kill_group(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
