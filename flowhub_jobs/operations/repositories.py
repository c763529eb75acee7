"""Repositories of the Hub that references name: their contents, and the artifact that is chosen.

The Hub's client is imported where it is used: a model of the catalog is shown without it.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowhub_jobs.errors import NotFound
from flowhub_jobs.huggingface.pick import Picked, pick
from flowhub_jobs.huggingface.quants import is_companion
from flowhub_jobs.huggingface.reference_parser import parse_hub_ref
from flowhub_jobs.huggingface.reference_value import HubRef, other_readings
from flowhub_jobs.huggingface.repository_variants import variants_of
from flowhub_jobs.huggingface.responses import RepoFile, RepoInfo
from flowhub_jobs.settings import Settings
from flowhub_jobs.values.artifacts import Artifact

if TYPE_CHECKING:
    from flowhub_jobs.huggingface.hub_client import HubClient


@dataclass(frozen=True, slots=True)
class RepositoryDetails:
    """Information on a repository of the Hub, and its variants, the preferred one first."""

    name: str
    commit: str
    license: str | None
    tags: tuple[str, ...]
    gated: bool
    private: bool
    parameters: int | None
    context_length: int | None
    architecture: str | None
    variants: tuple[Artifact, ...]
    companions: tuple[str, ...] = ()  # their paths: mmproj files, which are taken along with --include
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RepoRead:
    """A repository, the reference to it, and the artifact that was picked."""

    hub_ref: "HubRef"
    info: "RepoInfo"
    files: "Sequence[RepoFile]"
    picked: "Picked"


def read_repo(hub: "HubClient", hub_ref: "HubRef") -> RepoRead:
    """Ask the Hub, and choose. Slashes after `@` may belong to the branch, if no branch and path of these names
    exist."""
    try:
        return _read(hub, hub_ref)
    except NotFound as error:
        for other in other_readings(hub_ref):
            with suppress(NotFound):
                return _read(hub, other)
        raise error


def _read(hub: "HubClient", hub_ref: "HubRef") -> RepoRead:
    info = hub.info(hub_ref.repo, hub_ref.revision, hub_ref.kind)
    files = hub.tree(info.repo, info.commit, hub_ref.kind)
    return RepoRead(hub_ref, info, files, pick(info, files, hub_ref))


def latest_version(settings: Settings, artifact: Artifact) -> Artifact | None:
    """Return the latest artifact for the reference of an artifact from the Hub; None for any other artifact.

    Raises what `artifact_of` raises for a repository.
    """
    source = artifact.hub
    if source is None:
        return None
    hub = _client(settings)
    parts = (source.repo, source.revision, source.quant, source.path, source.include, source.exclude, source.kind)
    return _read(hub, HubRef(*parts)).picked.artifact


def repository_named(settings: Settings, text: str) -> str | None:
    """Return the reference of the repository that a reference or a pasted link names; None if it names none."""
    hub_ref = parse_hub_ref(text, settings.hf_endpoint)
    return hub_ref.text if hub_ref else None


def repository_details(settings: Settings, ref: str) -> RepositoryDetails | None:
    """Return the details of the repository that a reference points to; None if it points elsewhere.

    Raises what `artifact_of` raises for a repository. Of one without a model there are no variants, and a note.
    """
    hub_ref = parse_hub_ref(ref, settings.hf_endpoint)
    if hub_ref is None:
        return None
    hub = _client(settings)
    info = hub.info(hub_ref.repo, hub_ref.revision, hub_ref.kind)
    files = hub.tree(info.repo, info.commit, hub_ref.kind)
    artifacts, notes = variants_of(info, files, hub_ref)
    return RepositoryDetails(
        name=info.repo,
        commit=info.commit,
        license=info.license,
        tags=info.tags,
        gated=info.gated,
        private=info.private,
        parameters=info.parameters,
        context_length=info.context_length,
        architecture=info.architecture,
        variants=tuple(artifacts),
        companions=tuple(file.path for file in files if is_companion(file.path)),
        notes=notes,
    )


def _client(settings: Settings) -> "HubClient":
    from flowhub_jobs.huggingface.hub_client import HubClient

    return HubClient(settings.hf_endpoint, settings.tokens_by_origin)
