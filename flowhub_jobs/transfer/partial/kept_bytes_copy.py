"""Copies the kept bytes of a partial into new files, because a late run may still have the old ones open."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from flowhub_jobs.fs.disk_errors import sync_tree
from flowhub_jobs.fs.safe_read import is_regular
from flowhub_jobs.pieces.ranges import Range
from flowhub_jobs.system import reflink, sync_path
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.transfer.partial.part_file import part_path

_COPY_BYTES = 1 << 20


def copy_kept(late: Path, staged: Path, check_continue: Callable[[], None]) -> None:
    """Fill the folder `staged` with the bytes that the journal of `late` records, and with a journal of them.

    The journal is written last: a copy without one keeps nothing. Bytes that the late run writes after its journal was
    read are not in the copy. `check_continue` is called before each MiB and may raise. Raises OSError.
    """
    record = journal.load(late)
    for path, file in list(record.files.items()):
        # A late installation may have moved it next to the others already (store/install.py, `stage`).
        paths = [late / file.part, late / part_path(path, 0)]
        source = next((candidate for candidate in paths if is_regular(candidate)), None)
        if source is None:
            del record.files[path]
            continue
        file.part = part_path(path, 0)
        target = staged / file.part
        target.parent.mkdir(parents=True, exist_ok=True)
        if not reflink(source, target):
            _copy_ranges(source, target, file.kept, check_continue)
        sync_path(target)
    sync_tree(staged)
    journal.Journal(staged, record).close()


def _copy_ranges(source: Path, target: Path, kept: Iterable[Range], check_continue: Callable[[], None]) -> None:
    with source.open("rb") as old, target.open("xb") as new:
        for start, end in kept:
            for at in range(start, end, _COPY_BYTES):
                check_continue()
                data = os.pread(old.fileno(), min(_COPY_BYTES, end - at), at)
                new.seek(at)
                new.write(data)
