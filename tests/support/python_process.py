"""Another Python process that runs a few lines, for death and for two processes at one file."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start_python(code: str, *words: object, **environ: str) -> subprocess.Popen[str]:
    """Start `code` with `words` as its arguments. It reads and writes pipes; what it prints is its answer."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environ},
    )


def kill(process: subprocess.Popen[str]) -> None:
    """End it with SIGKILL, and take its pipes down with it."""
    process.kill()
    process.communicate()
