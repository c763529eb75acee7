"""Asks the Hub for the commit of an installed model whose address names a branch, where the download did not tell it.

That is so for a file from a mirror, one that was linked from another program, and one that an older version installed.
"""

from pathlib import Path

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.home import Home
from flowhub_jobs.huggingface.responses import RepoFile
from flowhub_jobs.store.hub_origin import HubOrigin, hub_origin
from flowhub_jobs.store.library_check import LibraryEntry
from flowhub_jobs.values.artifacts import Artifact, git_sha1

SMALL_MAX = 16 << 20  # bytes of a file that the Hub publishes no sha256 of


def learn_commit(home: Home, name: str) -> None:
    """Record the commit of a model, if its branch at the Hub has these very bytes now.

    Nothing is asked where the commit is known, or the model is not of the Hub. No error is raised: without the commit,
    the layouts that need it say so.
    """
    entry, artifact = home.library.entry(name), home.library.artifact(name)
    if entry is None or artifact is None:
        return
    origin = hub_origin(artifact, artifact.files)
    if origin is None or origin.commit is not None:
        return
    from flowhub_jobs.huggingface.hub_client import HubClient

    hub = HubClient(home.settings.hf_endpoint, home.settings.tokens_by_origin)
    try:
        commit = hub.info(origin.repo, origin.revision, origin.kind).commit
        published = {file.path: file for file in hub.tree(origin.repo, commit, origin.kind)}
        if _has_these(published, entry, artifact, origin, home.store.root / entry.name):
            home.library.record_commit(name, commit)
    except (FlowhubError, OSError):
        return


def _has_these(
    published: dict[str, RepoFile], entry: LibraryEntry, artifact: Artifact, origin: HubOrigin, place: Path
) -> bool:
    """Return whether the commit has every file of the model, byte for byte."""
    for file, path in zip(artifact.files, origin.paths, strict=True):
        inside = file.path if artifact.folder else entry.name
        there, here = published.get(path), entry.files.get(inside)
        if there is None or here is None:
            return False
        if there.sha256 is None and there.git_sha1 is not None and here.bytes <= SMALL_MAX:
            if there.git_sha1 != _git_sha1(place / inside if artifact.folder else place):
                return False
        elif there.sha256 != here.sha256:
            return False
    return True


def _git_sha1(path: Path) -> str:
    content = path.read_bytes()
    running = git_sha1(len(content))
    running.update(content)
    return running.hexdigest()
