"""The place on the Hub that an installed artifact was taken from: repository, commit, and the path of each file."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from flowhub_jobs.values.artifacts import Artifact, ArtifactFile
from flowhub_jobs.values.enums import RepoKind

MAIN = "main"
_HUB_FILE = re.compile(r"https://huggingface\.co/(datasets/)?([^/?#]+/[^/?#]+)/resolve/([^/?#]+)/([^?#]+)")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubOrigin:
    """`paths` are those of the files in the repository, in the order that was asked for. `commit` may be unknown."""

    kind: RepoKind
    repo: str
    commit: str | None
    revision: str
    paths: tuple[str, ...]


def hub_origin(artifact: Artifact | None, files: Sequence[ArtifactFile | None]) -> HubOrigin | None:
    """Return where these files of an artifact are on the Hub, if all are of one repository and revision there."""
    matches = [_HUB_FILE.fullmatch(file.url) if file else None for file in files]
    revisions = {(match[1], match[2], match[3]) for match in matches if match}
    if artifact is None or None in matches or len(revisions) != 1:
        return None
    [(datasets, repo, revision)] = revisions
    commit = artifact.hub.commit if artifact.hub else _commit(unquote(revision), files)
    kind = RepoKind.DATASET if datasets else RepoKind.MODEL
    branch = MAIN if _COMMIT.fullmatch(revision) else unquote(revision)
    branch = artifact.hub.revision if artifact.hub else branch
    return HubOrigin(kind, repo, commit, branch, tuple(unquote(match[4]) for match in matches if match))


def _commit(revision: str, files: Sequence[ArtifactFile | None]) -> str | None:
    """Return the commit of an address in a catalog: its own, else the one that the Hub said of all files alike.

    None: the files were not downloaded from the Hub, or by an older version, or the branch moved between two of them.
    """
    if _COMMIT.fullmatch(revision):
        return revision
    commits = {file.commit if file else None for file in files}
    return commits.pop() if len(commits) == 1 else None
