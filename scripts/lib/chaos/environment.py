"""The Python that chaos runs in, and the environment of flowhub."""

import contextlib
import importlib.util
import os
import sys
from collections.abc import Iterator

from lib.env import TOP, NoEnvironment, own_python

NEEDED = ("huey", "sqlalchemy", "pydantic", "httpx", "pytest")  # one package of the dev extra
OURS = ("FLOWHUB_", "HF_", "SSL_CERT_")


def enter(script: str) -> None:
    """Restart in a Python with the packages of the tests, with flowhub and the tests' support on its path."""
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        try:
            python = str(own_python(".venv-test", ["--editable", ".[dev]"], [TOP / "pyproject.toml"]))
        except NoEnvironment as error:
            sys.exit(f"scripts/chaos: {error}")
        os.execv(python, [python, script, *sys.argv[1:]])
    sys.path[:0] = [str(TOP), str(TOP / "tests")]


@contextlib.contextmanager
def environment(**wanted: str) -> Iterator[None]:
    """Set only these settings of flowhub while the block runs, without the caller's settings, tokens and proxies."""
    before = dict(os.environ)
    try:
        for name in before:
            if name.startswith(OURS) or name.lower().endswith("_proxy"):
                del os.environ[name]
        os.environ.update(wanted)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
