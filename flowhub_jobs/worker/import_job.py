"""Imports a model: copies it from the folder of an export into the partial.

<folder> ─► partial ─► digest ─► fsync ─► installed as a fetched artifact is (pipeline)
"""

from collections.abc import Callable
from pathlib import Path

from flowhub_jobs.errors import NotFound
from flowhub_jobs.store.export_manifest import read_manifest
from flowhub_jobs.store.install import ArtifactParts
from flowhub_jobs.worker.context import Run
from flowhub_jobs.worker.copy_into_partial import FileToCopy, copy_into_partial
from flowhub_jobs.worker.progress import ProgressWriter

AGAIN = "Export it to that folder again."
DAMAGED = "The copy in that folder is damaged. Copy it there again, or export it again on the machine that has it."


def import_into_partial(
    run: Run, partial: Path, progress: ProgressWriter, may_begin: Callable[[int], None]
) -> ArtifactParts:
    """Copy the job's artifact from the folder that its task names into the partial; return its verified parts.

    `may_begin(bytes)` raises where there is no room. Raises ManifestUnusable, NotFound, DigestMismatch, StorageFailed.
    """
    task, artifact = run.claimed.task, run.claimed.artifact
    assert task is not None, "a job that imports has a task"
    folder = Path(task.place)
    entry = next((one for one in read_manifest(folder).values() if one.artifact.key == artifact.key), None)
    if entry is None:
        raise NotFound(f"{folder} does not hold {artifact.ref} any more.", hint=AGAIN)
    may_begin(entry.bytes)
    files = [
        FileToCopy(
            file.path,
            folder / entry.name / file.path if artifact.folder else folder / entry.name,
            *entry.files[file.path],
            "the manifest says",
        )
        for file in artifact.files
    ]
    return copy_into_partial(run, partial, progress, files, missing=AGAIN, damaged=DAMAGED)
