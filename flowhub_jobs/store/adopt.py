"""A file that lies where ours would go and is not ours: of the right digest it is taken as it is, else it stays."""

from collections.abc import Callable
from pathlib import Path

from flowhub_jobs.store.file_hash import Unreadable, hashed
from flowhub_jobs.store.install import InstallResult
from flowhub_jobs.store.inventory import Entry, as_installed
from flowhub_jobs.store.layout import files_in
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile, FileDigest


def adoptable(artifact: Artifact, there: Path, may_go_on: Callable[[], None]) -> InstallResult | None:
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
    return InstallResult(there.name, there, tuple(found))


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
    if not same:
        return None
    return FileDigest(file.path, found.stamp.size, found.sha256, pinned=True, mtime_ns=found.stamp.mtime_ns)


def is_lost(entry: Entry, top: Path) -> bool:
    """Return whether what an entry of ours lacks are dead links: nothing in it that a person could have changed."""
    places = {top / path if top.is_dir() else top: file for path, file in entry.files.items()}
    left = {place: file for place, file in places.items() if not _is_dead_link(place)}
    return len(left) < len(places) and all(
        as_installed(place, file.bytes, file.mtime_ns) for place, file in left.items()
    )


def _is_dead_link(path: Path) -> bool:
    return path.is_symlink() and not path.exists()
