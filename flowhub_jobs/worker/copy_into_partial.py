"""Copies the files of an artifact into its partial, and compares each with its digest."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.errors import DigestMismatch
from flowhub_jobs.file_systems import mark_of, traits_of
from flowhub_jobs.fs.disk_errors import refuse_links
from flowhub_jobs.store.install import ArtifactParts
from flowhub_jobs.values.artifacts import FileDigest, Pieces
from flowhub_jobs.worker.context import Run
from flowhub_jobs.worker.copier import Copier
from flowhub_jobs.worker.progress import ProgressWriter

COPIED = "brought"  # the folder of the copies: the journal describes the files of an earlier fetch, which stay


@dataclass(frozen=True, slots=True)
class FileToCopy:
    """A file to copy; `path` is the artifact's own, `known_by` names the origin of the digest."""

    path: str
    source: Path
    bytes: int
    sha256: str
    known_by: str
    pieces: Pieces | None = None


def copy_into_partial(
    run: Run, partial: Path, progress: ProgressWriter, files: Sequence[FileToCopy], *, missing: str, damaged: str
) -> ArtifactParts:
    """Copy the files into the partial; return its verified parts. `missing` and `damaged` are hints of errors.

    Raises NotFound, SizeMismatch, DigestMismatch, StorageFailed, and the errors of the target's disk.
    """
    total = sum(file.bytes for file in files)
    refuse_links(partial.parent, partial)
    progress.reads(total, 0, [])
    copier, parts, digests = Copier(total, run, progress, missing), [], []
    for file in files:
        part = partial / COPIED / file.path
        digest = copier.copy(file.source, file.bytes, part)
        if digest != file.sha256:
            raise DigestMismatch(
                f"{file.source} is damaged: its sha256 is {digest}, and {file.known_by} {file.sha256}.", hint=damaged
            )
        parts.append(part)
        digests.append(FileDigest(file.path, file.bytes, digest, pinned=True, pieces=file.pieces))
    traits = traits_of(partial)
    marks = tuple(mark_of(part.lstat(), traits) for part in parts)
    return ArtifactParts(tuple(digests), tuple(parts), marks, COPIED)
