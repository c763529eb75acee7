"""Verifies a file or folder that flowhub did not install: with the right digests it is adopted, else left alone."""

from collections.abc import Callable
from pathlib import Path

from flowhub_jobs.store.desktop_files import is_desktop_file
from flowhub_jobs.store.file_hash import UnreadableFile, hash_file
from flowhub_jobs.store.install import InstallResult
from flowhub_jobs.store.layout import files_in
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile, FileDigest


def recognize_existing(artifact: Artifact, path: Path, may_continue: Callable[[], None]) -> InstallResult | None:
    """Return the artifact found at `path`; None unless each file has its pinned digest, and there is no other file.

    What a desktop creates in a folder by itself does not count.
    """
    if artifact.folder != path.is_dir() or path.is_symlink():
        return None
    expected = {file.path for file in artifact.files}
    if artifact.folder:
        existing = [file.relative_to(path) for file in files_in(path)]
        if any(str(file) not in expected and not is_desktop_file(file) for file in existing):
            return None
    digests = []
    for file in artifact.files:
        digest = _digest(path / file.path if artifact.folder else path, file, may_continue)
        if digest is None:
            return None
        digests.append(digest)
    return InstallResult(path.name, path, tuple(digests))


def _digest(path: Path, file: ArtifactFile, may_continue: Callable[[], None]) -> FileDigest | None:
    if path.is_symlink() or not path.is_file():
        return None  # a link, a pipe: nothing to read from
    if file.size is not None and file.size != path.stat().st_size:
        return None
    if file.sha256 is None and file.git_sha1 is None:
        return None  # without a digest the file cannot be identified
    try:
        hashed = hash_file(path, may_continue, git=file.sha256 is None)
    except UnreadableFile:
        return None
    same = hashed.sha256 == file.sha256 if file.sha256 else hashed.git_sha1 == file.git_sha1
    if not same:
        return None
    return FileDigest(file.path, hashed.stamp.size, hashed.sha256, pinned=True, mtime_ns=hashed.stamp.mtime_ns)
