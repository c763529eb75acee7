"""A virtual environment for a script: made with its Python, filled by pip, kept until its sources change."""

import fcntl
import hashlib
import os
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]


class NoEnvironment(Exception):
    """The environment could not be made; the output of venv or pip was printed before."""


def own_python(name: str, install: list[str], made_from: Iterable[Path]) -> Path:
    """Return the Python of `<checkout>/<name>`, with `install` (pip's arguments) in it.

    It is made again when one of the files `made_from`, this Python or the checkout's path changes.
    """
    folder = TOP / name
    python, mark = folder / "bin" / "python", folder / "made-from"
    fingerprint = _fingerprint(install, made_from)
    with locked(TOP):
        if python.exists() and mark.exists() and mark.read_text() == fingerprint:
            return python
        print(f"Making {name}: pip install {' '.join(install)}", flush=True)
        _make(folder)
        run_pip(python, "install", *install)
        mark.write_text(fingerprint)  # last: an interrupted environment has no mark
    return python


def test_python() -> Path:
    """Return the Python of .venv-test/, which has this checkout with its dev extra. Raises NoEnvironment."""
    return own_python(".venv-test", ["--editable", ".[dev]"], [TOP / "pyproject.toml"])


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, so that processes make its content one by one."""
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def run_pip(python: Path, *arguments: str) -> None:
    """Run the environment's pip from the checkout, quietly. Raises NoEnvironment."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check", *arguments, "-qq"]
    if subprocess.run(command, cwd=TOP, check=False).returncode:
        raise NoEnvironment(f"`pip {' '.join(arguments)}` failed; what it said stands above")


def _make(folder: Path) -> None:
    try:
        venv.create(folder, clear=True, with_pip=True, symlinks=True)
    except subprocess.CalledProcessError as error:
        raise NoEnvironment(
            "this Python makes no environment with pip in it (on Debian and Ubuntu: `apt-get install python3-venv`)"
        ) from error


def _fingerprint(install: list[str], made_from: Iterable[Path]) -> str:
    digest = hashlib.sha256(repr((sys.version, sys.executable, str(TOP), install)).encode())
    for path in sorted(made_from):
        digest.update(f"{path}\0".encode() + path.read_bytes())
    return digest.hexdigest()
