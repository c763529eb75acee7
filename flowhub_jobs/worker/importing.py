"""The first half of a job that imports: a model is copied from the folder of an export into the partial.

<folder> ─► the partial ─► digest ─► fsync ─► what a fetch does from there (pipeline)
"""

from collections.abc import Callable
from pathlib import Path

from flowhub_jobs.errors import DigestMismatch, NotFound
from flowhub_jobs.records import FileDigest
from flowhub_jobs.store.manifest import read_manifest
from flowhub_jobs.transfer.fetch import Fetched
from flowhub_jobs.transfer.partial import part_path, refuse_links
from flowhub_jobs.worker.copier import Copier
from flowhub_jobs.worker.floor import Run
from flowhub_jobs.worker.screen import Screen


def bring_in(run: Run, partial: Path, screen: Screen, may_begin: Callable[[int], None]) -> Fetched:
    """Copy the job's artifact from the folder that its task names into the partial; return what a fetch would.

    `may_begin(bytes)` raises where there is no room. Raises ManifestUnusable, NotFound, DigestMismatch, StorageFailed.
    """
    task, artifact = run.claimed.task, run.claimed.artifact
    assert task is not None, "a job that imports has a task"
    folder = Path(task.place)
    carried = next((one for one in read_manifest(folder).values() if one.artifact.key == artifact.key), None)
    if carried is None:
        raise NotFound(f"{folder} does not hold {artifact.ref} any more.", hint="Export it to that folder again.")
    may_begin(carried.bytes)
    refuse_links(partial.parent, partial)
    screen.reads(carried.bytes, 0, [])
    copier, parts, digests = Copier(carried.bytes, run, screen), [], []
    for file in artifact.files:
        source = folder / carried.name / file.path if artifact.folder else folder / carried.name
        part = partial / part_path(file.path, 0)
        size, expected = carried.files[file.path]
        found = copier.copy(source, part)
        if found != expected:
            raise DigestMismatch(
                f"{source} is damaged: its sha256 is {found}, and the manifest says {expected}.",
                hint="Export it to that folder again.",
            )
        parts.append(part)
        digests.append(FileDigest(file.path, size, found, pinned=True))
    return Fetched(tuple(digests), tuple(parts), tuple(part.lstat().st_ino for part in parts), 0)
