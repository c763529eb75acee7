"""Resolves references: into the catalog, to a repository of the Hub, or the URL of a file."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from flowhub_jobs.errors import Gated, NotFound, SourceError, TokenMissing, TokenRefused, UsageInvalid
from flowhub_jobs.settings import Settings
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.digests import sha256_in_fragment
from flowhub_jobs.values.user_text import token_note

if TYPE_CHECKING:
    from flowhub_jobs.catalogs.schema import HubCatalog
    from flowhub_jobs.huggingface.hub_client import HubClient
    from flowhub_jobs.huggingface.hub_ref import HubRef
    from flowhub_jobs.huggingface.pick import Picked
    from flowhub_jobs.huggingface.responses import RepoFile, RepoInfo


@dataclass(frozen=True, slots=True)
class RepoCard:
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


@dataclass(slots=True)
class References:
    """Resolver of references. `catalog` is called only for references into the catalog.

    `notes` tell the user of choices that were made for them, in order; `tell` gets a sentence when it takes long.
    """

    settings: Settings
    catalog: "Callable[[], HubCatalog]"
    notes: list[str] = field(default_factory=list)
    tell: Callable[[str], None] = field(default=lambda text: None)
    may_lack_name: bool = False  # a file whose URL has no name gets one from its server later
    _hub: "HubClient | None" = None

    def artifact_of(
        self,
        ref: str,
        sha256: str | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        name: str | None = None,
    ) -> Artifact:
        """Return the artifact of a reference. `name` is a file's, in place of the one that its URL ends in.

        Raises NotFound, UsageInvalid, AddressRefused; of a repository also TokenMissing, TokenRefused, Gated and
        SourceError: the Hub is hub_ref now, so that the job is bound to the commit that it answers.
        """
        from flowhub_jobs.huggingface.reference import parse_hub_ref
        from flowhub_jobs.net.urls import check_source

        hub_ref = parse_hub_ref(ref, self.settings.hf_endpoint)
        if hub_ref is not None:
            _refuse_options(hub_ref.text, sha256 or sha256_in_fragment(ref.partition("#")[2]), name)
            artifact = self._of_repo(_with_globs(hub_ref, include, exclude))
        else:
            artifact = self._of_file_or_catalog(ref, sha256, [*include, *exclude], name)
        for file in artifact.files:
            check_source(file.url, self.settings.hf_endpoint, pinned=file.sha256 is not None)
        return artifact

    def _of_repo(self, hub_ref: "HubRef") -> Artifact:
        try:
            read = read_repo(self.hub, hub_ref)
        except (TokenMissing, TokenRefused, Gated, SourceError) as error:
            # A token that was copied with something around it is a likely cause.
            error.hint = " ".join(text for text in (error.hint, token_note(os.environ)) if text) or None
            raise
        moved = (
            f"{hub_ref.repo} is called {read.info.repo} now."
            if read.info.repo.lower() != hub_ref.repo.lower()
            else None
        )
        self.notes += [f"{read.info.repo}: {note}" for note in (moved, *read.picked.notes) if note]
        return read.picked.artifact

    def _of_file_or_catalog(self, ref: str, sha256: str | None, globs: Sequence[str], name: str | None) -> Artifact:
        from flowhub_jobs.catalogs.resolve import artifact_for, artifact_for_url, is_address
        from flowhub_jobs.huggingface.reference import hub_file_url

        if globs:
            hint = "They choose among the files of a repository: flowhub enqueue hf:owner/repo --include 'mmproj*'."
            raise UsageInvalid("--include and --exclude go with a repository of the Hub.", hint=hint)
        if is_address(ref):
            return artifact_for_url(hub_file_url(_as_address(ref)), sha256, name, may_lack_name=self.may_lack_name)
        if name is not None:
            raise UsageInvalid(f"--name goes with the URL of a file, not with the model {ref!r}.")
        return artifact_for(self.catalog(), ref)

    @property
    def hub(self) -> "HubClient":
        """The Hub's client; it asks for each repository once."""
        if self._hub is None:
            from flowhub_jobs.huggingface.hub_client import HubClient

            self._hub = HubClient(
                self.settings.hf_endpoint, self.settings.tokens_by_origin, tell=lambda text: self.tell(text)
            )
        return self._hub


@dataclass(frozen=True, slots=True)
class RepoRead:
    """A repository, the reference to it, and the artifact that was picked."""

    hub_ref: "HubRef"
    info: "RepoInfo"
    files: "Sequence[RepoFile]"
    picked: "Picked"


def read_repo(hub: "HubClient", hub_ref: "HubRef") -> RepoRead:
    """Ask the Hub, and choose. Slashes behind `@` that no branch and path of these names fit may be a branch's own."""
    from flowhub_jobs.huggingface.hub_ref import other_readings

    try:
        return _read(hub, hub_ref)
    except NotFound as error:
        for other in other_readings(hub_ref):
            with suppress(NotFound):
                return _read(hub, other)
        raise error


def _read(hub: "HubClient", hub_ref: "HubRef") -> RepoRead:
    from flowhub_jobs.huggingface.pick import pick

    info = hub.info(hub_ref.repo, hub_ref.revision, hub_ref.kind)
    files = hub.tree(info.repo, info.commit, hub_ref.kind)
    return RepoRead(hub_ref, info, files, pick(info, files, hub_ref))


def latest_version(settings: Settings, artifact: Artifact) -> Artifact | None:
    """Return the latest artifact for the reference of an artifact from the Hub; None for any other artifact.

    Raises what `artifact_of` raises for a repository.
    """
    from flowhub_jobs.huggingface.hub_client import HubClient
    from flowhub_jobs.huggingface.hub_ref import HubRef

    source = artifact.hub
    if source is None:
        return None
    hub = HubClient(settings.hf_endpoint, settings.tokens_by_origin)
    parts = (source.repo, source.revision, source.quant, source.path, source.include, source.exclude, source.kind)
    return _read(hub, HubRef(*parts)).picked.artifact


def repository_named(settings: Settings, text: str) -> str | None:
    """Return the reference of the repository that a reference or a pasted link names; None if it names none."""
    from flowhub_jobs.huggingface.reference import parse_hub_ref

    hub_ref = parse_hub_ref(text, settings.hf_endpoint)
    return hub_ref.text if hub_ref else None


def is_file_address(text: str) -> bool:
    """Return whether a text is the URL of a file."""
    from flowhub_jobs.catalogs.resolve import is_address

    return is_address(text)


def repo_card(settings: Settings, ref: str) -> RepoCard | None:
    """Return the card of the repository that a reference points to; None if it points elsewhere.

    Raises what `artifact_of` raises for a repository. Of one without a model there are no variants, and a note.
    """
    from flowhub_jobs.huggingface.reference import parse_hub_ref

    hub_ref = parse_hub_ref(ref, settings.hf_endpoint)
    if hub_ref is None:
        return None
    from flowhub_jobs.huggingface.hub_client import HubClient  # which a model of the catalog does without
    from flowhub_jobs.huggingface.quants import is_companion
    from flowhub_jobs.huggingface.repository_options import variants_of

    hub = HubClient(settings.hf_endpoint, settings.tokens_by_origin)
    info = hub.info(hub_ref.repo, hub_ref.revision, hub_ref.kind)
    files = hub.tree(info.repo, info.commit, hub_ref.kind)
    found, notes = variants_of(info, files, hub_ref)
    return RepoCard(
        name=info.repo,
        commit=info.commit,
        license=info.license,
        tags=info.tags,
        gated=info.gated,
        private=info.private,
        parameters=info.parameters,
        context_length=info.context_length,
        architecture=info.architecture,
        variants=tuple(found),
        companions=tuple(file.path for file in files if is_companion(file.path)),
        notes=notes,
    )


def _as_address(ref: str) -> str:
    """Return a pasted URL as a browser would ask it: a space of a file's name is %20."""
    return ref.strip().replace(" ", "%20")


def _refuse_options(ref: str, sha256: str | None, name: str | None) -> None:
    """Raise UsageInvalid for options of a single URL that are used with a repository."""
    if sha256 is not None:
        hint = "The Hub has the digests of its files; they are checked anyway."
        raise UsageInvalid(f"A sha256 goes with the address of a file, not with {ref}.", hint=hint)
    if name is not None:
        raise UsageInvalid(f"--name goes with the URL of a file, not with {ref}.")


def _with_globs(hub_ref: "HubRef", include: Sequence[str], exclude: Sequence[str]) -> "HubRef":
    return replace(hub_ref, include=(*hub_ref.include, *include), exclude=(*hub_ref.exclude, *exclude))
