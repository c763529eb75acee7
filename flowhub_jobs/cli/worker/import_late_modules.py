"""Imports the modules that a worker would import later: an upgrade may replace their files while the worker runs.

A job that met a missing or a newer module would fail, after its download, and so would every job after it.
"""

import importlib
import pkgutil
from contextlib import suppress
from types import ModuleType

import flowhub_jobs

AFTER_S = 3.0  # a worker that ends sooner needs none of them; no upgrade is that quick
UNUSED_BY_WORKERS = ("flowhub_jobs.cli", "flowhub_jobs.mcp", "flowhub_jobs.web")


def import_late_modules() -> None:
    """Import every module that a worker may need. One whose optional package is not installed is left out."""
    _import_below(flowhub_jobs)


def _import_below(package: ModuleType) -> None:
    for info in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if info.name in UNUSED_BY_WORKERS:
            continue
        with suppress(ImportError):
            module = importlib.import_module(info.name)
            if info.ispkg:
                _import_below(module)
