"""A file that lies where ours would go and is not ours: of the right digest it is taken as it is, else it stays."""

from collections.abc import Callable
from pathlib import Path

from flowhub_jobs.records import Artifact, ArtifactFile, FileDigest
from flowhub_jobs.store.hashed import Unreadable, hashed
from flowhub_jobs.store.install import Placed
from flowhub_jobs.store.layout import files_in


def adoptable(artifact: Artifact, there: Path, may_go_on: Callable[[], None]) -> Placed | None:
    """Return the artifact as it lies at `there`; None unless each file has its pinned digest, and no other is there."""
    if artifact.folder != there.is_dir() or there.is_symlink():
        return None
    wanted = {file.path for file in artifact.files}
    if artifact.folder and {str(path.relative_to(there)) for path in files_in(there)} != wanted:
        return None
    found = []
    for file in artifact.files:
        digest = _digest(there / file.path if artifact.folder else there, file, may_go_on)
        if digest is None:
            return None
        found.append(digest)
    return Placed(there.name, there, tuple(found))


def _digest(path: Path, file: ArtifactFile, may_go_on: Callable[[], None]) -> FileDigest | None:
    if path.is_symlink() or not path.is_file():
        return None  # a link, a pipe: nothing to read from
    if file.size is not None and file.size != path.stat().st_size:
        return None
    if file.sha256 is None and file.git_sha1 is None:
        return None  # nothing tells whether it is the one
    try:
        found = hashed(path, may_go_on, git=file.sha256 is None)
    except Unreadable:
        return None
    same = found.sha256 == file.sha256 if file.sha256 else found.git_sha1 == file.git_sha1
    return FileDigest(file.path, found.stamp.size, found.sha256, pinned=True) if same else None
