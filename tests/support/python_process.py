"""Another Python process that runs a few lines, to be killed or to share a file with the test."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start_python(code: str, *arguments: object, **environ: str) -> subprocess.Popen[str]:
    """Start `code` with `arguments` as its arguments, with pipes as its standard streams."""
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environ},
    )


def kill(process: subprocess.Popen[str]) -> None:
    """End it with SIGKILL, and close its pipes."""
    process.kill()
    process.communicate()
