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
    """`paths` are those of the files in the repository, in the order that was asked for."""

    kind: RepoKind
    repo: str
    commit: str
    revision: str
    paths: tuple[str, ...]


def hub_origin(artifact: Artifact | None, files: Sequence[ArtifactFile | None]) -> HubOrigin | None:
    """Return where these files of an artifact are on the Hub, if all are of one known commit there."""
    found = [_HUB_FILE.fullmatch(file.url) if file else None for file in files]
    places = {(one[1], one[2], one[3]) for one in found if one}
    if artifact is None or None in found or len(places) != 1:
        return None
    [(datasets, repo, revision)] = places
    commit = artifact.hub.commit if artifact.hub else unquote(revision)
    if not _COMMIT.fullmatch(commit):
        return None  # a catalog's address of a branch: its commit at the time of the download is not known
    kind = RepoKind.DATASET if datasets else RepoKind.MODEL
    branch = artifact.hub.revision if artifact.hub else MAIN
    return HubOrigin(kind, repo, commit, branch, tuple(unquote(one[4]) for one in found if one))
