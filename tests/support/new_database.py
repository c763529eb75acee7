"""Copies of one migrated database: a migration for each test would take most of the tests' time."""

import functools
import os
import tempfile
from pathlib import Path

from flowhub_jobs.database.engine import open_database


def put_new_database(folder: Path) -> None:
    """Put an empty `flowhub.db` of this version's schema into a home that has none."""
    path = folder / "flowhub.db"
    if not os.path.lexists(path):
        path.touch(0o600)
        path.write_bytes(_migrated())


@functools.cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        open_database(f"sqlite:///{folder}/flowhub.db", lock_folder=Path(folder)).dispose()
        return (Path(folder) / "flowhub.db").read_bytes()
