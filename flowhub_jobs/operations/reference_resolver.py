"""Resolves references: into the catalog, to a repository of the Hub, or the URL of a file."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from flowhub_jobs.catalogs.resolve import artifact_for, artifact_for_url, is_address
from flowhub_jobs.catalogs.schema import HubCatalog
from flowhub_jobs.errors import Gated, SourceError, TokenMissing, TokenRefused, UsageInvalid
from flowhub_jobs.huggingface.hub_client import HubClient
from flowhub_jobs.huggingface.reference_parser import hub_file_url, parse_hub_ref
from flowhub_jobs.huggingface.reference_value import HubRef
from flowhub_jobs.net.urls import check_source
from flowhub_jobs.operations.repositories import read_repo
from flowhub_jobs.settings import Settings
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.pasted_text import token_note
from flowhub_jobs.values.sha256_text import sha256_in_fragment


@dataclass(slots=True)
class References:
    """Resolver of references. `catalog` is called only for references into the catalog.

    `notes` tell the user of choices that were made for them, in order; `on_wait` gets a sentence when it takes long.
    """

    settings: Settings
    catalog: "Callable[[], HubCatalog]"
    notes: list[str] = field(default_factory=list)
    on_wait: Callable[[str], None] = field(default=lambda text: None)
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
        SourceError: the Hub is asked now, so that the job is bound to the commit that it answers.
        """
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
        if globs:
            hint = "They choose among the files of a repository: flowhub enqueue hf:owner/repo --include 'mmproj*'."
            raise UsageInvalid("--include and --exclude apply only to a repository of the Hub.", hint=hint)
        if is_address(ref):
            return artifact_for_url(hub_file_url(_as_address(ref)), sha256, name, may_lack_name=self.may_lack_name)
        if name is not None:
            raise UsageInvalid(f"--name applies only to the URL of a file; {ref!r} is a model.")
        return artifact_for(self.catalog(), ref)

    @property
    def hub(self) -> "HubClient":
        """The Hub's client; it asks for each repository once."""
        if self._hub is None:
            self._hub = HubClient(
                self.settings.hf_endpoint, self.settings.tokens_by_origin, on_wait=lambda text: self.on_wait(text)
            )
        return self._hub


def is_file_address(text: str) -> bool:
    """Return whether a text is the URL of a file."""
    return is_address(text)


def _as_address(ref: str) -> str:
    """Return a pasted URL as a browser would ask it: a space of a file's name is %20."""
    return ref.strip().replace(" ", "%20")


def _refuse_options(ref: str, sha256: str | None, name: str | None) -> None:
    """Raise UsageInvalid for options of a single URL that are used with a repository."""
    if sha256 is not None:
        hint = "The Hub has the digests of its files; they are checked anyway."
        raise UsageInvalid(f"A sha256 applies only to the URL of a file, not to {ref}.", hint=hint)
    if name is not None:
        raise UsageInvalid(f"--name applies only to the URL of a file, not to {ref}.")


def _with_globs(hub_ref: "HubRef", include: Sequence[str], exclude: Sequence[str]) -> "HubRef":
    return replace(hub_ref, include=(*hub_ref.include, *include), exclude=(*hub_ref.exclude, *exclude))
