"""Imports a model: copies it from the folder of an export into the partial.

<folder> ─► partial ─► digest ─► fsync ─► installed as a fetched artifact is (pipeline)
"""

from collections.abc import Callable
from pathlib import Path

from flowhub_jobs.errors import DigestMismatch, NotFound
from flowhub_jobs.file_systems import mark_of, traits_of
from flowhub_jobs.fs.disk_errors import refuse_links
from flowhub_jobs.store.export_manifest import read_manifest
from flowhub_jobs.store.install import ArtifactParts
from flowhub_jobs.values.artifacts import FileDigest
from flowhub_jobs.worker.context import Run
from flowhub_jobs.worker.copier import Copier
from flowhub_jobs.worker.progress import ProgressWriter

BROUGHT = "brought"
AGAIN = "Export it to that folder again."
DAMAGED = "The copy in that folder is damaged. Copy it there again, or export it again on the machine that has it."


def import_into_partial(
    run: Run, partial: Path, progress: ProgressWriter, may_begin: Callable[[int], None]
) -> ArtifactParts:
    """Copy the job's artifact from the folder that its task names into the partial; return its verified parts.

    The copy goes into a folder of its own: the journal describes the files of an earlier fetch, which stay as they are.

    `may_begin(bytes)` raises where there is no room. Raises ManifestUnusable, NotFound, DigestMismatch, StorageFailed.
    """
    task, artifact = run.claimed.task, run.claimed.artifact
    assert task is not None, "a job that imports has a task"
    folder = Path(task.place)
    carried = next((one for one in read_manifest(folder).values() if one.artifact.key == artifact.key), None)
    if carried is None:
        raise NotFound(f"{folder} does not hold {artifact.ref} any more.", hint=AGAIN)
    may_begin(carried.bytes)
    refuse_links(partial.parent, partial)
    progress.reads(carried.bytes, 0, [])
    copier, parts, digests = Copier(carried.bytes, run, progress, AGAIN), [], []
    for file in artifact.files:
        source = folder / carried.name / file.path if artifact.folder else folder / carried.name
        part = partial / BROUGHT / file.path
        size, expected = carried.files[file.path]
        digest = copier.copy(source, size, part)
        if digest != expected:
            raise DigestMismatch(
                f"{source} is damaged: its sha256 is {digest}, and the manifest says {expected}.",
                hint=DAMAGED,
            )
        parts.append(part)
        digests.append(FileDigest(file.path, size, digest, pinned=True))
    traits = traits_of(partial)
    marks = tuple(mark_of(part.lstat(), traits) for part in parts)
    return ArtifactParts(tuple(digests), tuple(parts), marks, BROUGHT)
