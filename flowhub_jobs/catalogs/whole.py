"""Writing a catalog that is kept: whole, or not at all."""

import os
import tempfile
from pathlib import Path

from flowhub_jobs.system import sync_path


def write_whole(path: Path, content: bytes) -> None:
    """Write by a rename, so that a reader sees the old file or the new one, also after a power cut.

    Two writers do not share a scratch file. Nobody but its owner may read it.
    """
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=".")  # of mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        sync_path(Path(scratch))
        Path(scratch).replace(path)
    except OSError:
        Path(scratch).unlink(missing_ok=True)
        raise
