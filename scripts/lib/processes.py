"""Stops the processes that a script started."""

import contextlib
import subprocess
from collections.abc import Iterator

GRACE_S = 10  # a worker stops within five


@contextlib.contextmanager
def stopped_after(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Stop the process after the block, if it still runs: with SIGTERM, then with SIGKILL."""
    try:
        yield
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()
