"""Small files, written whole or not at all."""

import os
from pathlib import Path

from flowhub_jobs.system import sync_path

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def write_whole(path: Path, content: bytes, *, mode: int = 0o600, scratch: Path | None = None) -> None:
    """Write by a rename, durably: a reader sees the old file or the new one, also after a power cut.

    By default nobody but its owner may read it, and two writers do not share a scratch file. Who holds a lock may name
    one: then what a killed writer left is not left for ever.
    """
    scratch = scratch or path.with_name(f".{path.name}.{os.urandom(4).hex()}")
    try:
        scratch.unlink(missing_ok=True)
        with os.fdopen(os.open(scratch, _NEW, mode), "wb") as file:
            file.write(content)
        sync_path(scratch)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise
    sync_path(path.parent)
