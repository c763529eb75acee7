"""Asks the Hub for the commit of an installed model whose address names a branch, where the library has none.

That is so for a file from a mirror, one that was linked from another program, and one that an older version installed.
"""

from pathlib import Path

from flowhub_jobs.errors import FlowhubError, ServerBusy, WaitTooLong
from flowhub_jobs.huggingface.responses import RepoFile
from flowhub_jobs.placement.context import PlacementContext
from flowhub_jobs.store.hub_origin import HubOrigin, hub_origin
from flowhub_jobs.store.library_check import LibraryEntry
from flowhub_jobs.values.artifacts import Artifact, git_sha1

SMALL_MAX = 16 << 20  # bytes of a file that the Hub publishes no sha256 of


def learn_commit(context: PlacementContext, name: str, patience_s: float) -> FlowhubError | None:
    """Record the commit of a model, if its branch at the Hub has these very bytes now; return the Hub's error.

    Nothing is asked where the commit is known, or the model is not of the Hub. Without an error and without the commit,
    the branch has other bytes, and the layouts that need a commit say so. A busy Hub is waited for `patience_s`.
    """
    library = context.library
    entry, artifact = library.entry(name), library.artifact(name)
    if entry is None or artifact is None:
        return None
    origin = hub_origin(artifact, artifact.files)
    if origin is None or origin.commit is not None:
        return None
    from flowhub_jobs.huggingface.hub_client import HubClient

    hub = HubClient(context.hub_endpoint, context.tokens, wait_max_s=patience_s)
    try:
        commit = hub.info(origin.repo, origin.revision, origin.kind).commit
        published = {file.path: file for file in hub.tree(origin.repo, commit, origin.kind)}
        if _has_all_files(published, entry, artifact, origin, context.store.root / entry.name):
            library.record_commit(name, commit)
    except FlowhubError as fault:
        # A worker asks again later, so that a longer wait than the patience is no fault that stays.
        cause = fault.__cause__
        error = cause if isinstance(fault, WaitTooLong) and isinstance(cause, ServerBusy) else fault
        error.text = f"The Hub does not tell the commit that {name} is from. {error.text}"
        return error
    except OSError:  # a file of the model went away; the layout says so
        pass
    return None


def _has_all_files(
    published: dict[str, RepoFile], entry: LibraryEntry, artifact: Artifact, origin: HubOrigin, place: Path
) -> bool:
    """Return whether the commit has every file of the model, byte for byte."""
    for file, path in zip(artifact.files, origin.paths, strict=True):
        inside = file.path if artifact.folder else entry.name
        remote, local = published.get(path), entry.files.get(inside)
        if remote is None or local is None:
            return False
        if remote.sha256 is None and remote.git_sha1 is not None and local.bytes <= SMALL_MAX:
            if remote.git_sha1 != _git_sha1(place / inside if artifact.folder else place):
                return False
        elif remote.sha256 != local.sha256:
            return False
    return True


def _git_sha1(path: Path) -> str:
    content = path.read_bytes()
    running = git_sha1(len(content))
    running.update(content)
    return running.hexdigest()
