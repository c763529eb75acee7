"""Identifies files by their digests: as an option of the catalog in force, else as themselves. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from flowhub_jobs.catalogs.schema import HubCatalog
from flowhub_jobs.catalogs.schema import artifact as artifact_of
from flowhub_jobs.huggingface.reference_value import HubRef
from flowhub_jobs.huggingface.repository_urls import file_url
from flowhub_jobs.store.file_hash import HashedFile
from flowhub_jobs.store.folder_scan import Candidate, FoundFile
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile


@dataclass(frozen=True, slots=True)
class Identified:
    """The artifact of a candidate, and the candidate's file for each file of the artifact, in its order."""

    artifact: Artifact
    files: tuple[HashedFile, ...]


class Identifier:
    def __init__(self, catalog: "HubCatalog") -> None:
        self._files: dict[str, list[Artifact]] = {}  # artifacts of one file, by sha256
        self._folders: dict[str, list[Artifact]] = {}  # folders, by the digest of a file that is pinned
        for artifact in _artifacts(catalog):
            pins = [digest for file in artifact.files if (digest := file.sha256 or file.git_sha1)]
            if artifact.folder and pins:
                self._folders.setdefault(pins[-1], []).append(artifact)
            elif pins and artifact.files[0].sha256:
                self._files.setdefault(pins[0], []).append(artifact)

    def identify(self, candidate: Candidate, hashes: Sequence[HashedFile], *, in_place: bool) -> Identified:
        """Return the candidate's artifact. `in_place`: its files keep their names, so only an option's fit."""
        in_catalog = self._folder(candidate, hashes, in_place) if candidate.folder else self._file(candidate, hashes[0])
        return in_catalog or Identified(_artifact_of_candidate(candidate, hashes), tuple(hashes))

    def _file(self, candidate: Candidate, hashed: HashedFile) -> Identified | None:
        options = [one for one in self._files.get(hashed.sha256, ()) if one.size in (None, hashed.stamp.size)]
        same_name = [option for option in options if option.name == candidate.name]
        return Identified((same_name or options)[0], (hashed,)) if options else None

    def _folder(self, candidate: Candidate, hashes: Sequence[HashedFile], in_place: bool) -> Identified | None:
        digests = {digest for hashed in hashes for digest in (hashed.sha256, hashed.git_sha1)}
        for option in (option for digest in sorted(digests) for option in self._folders.get(digest, ())):
            by_path = {file.path: hashed for file, hashed in zip(candidate.files, hashes, strict=True)}
            files = [_matching_file(file, by_path, in_place) for file in option.files]
            if len(matched := [hashed for hashed in files if hashed is not None]) == len(files):
                return Identified(option, tuple(matched))
        return None


def _artifacts(catalog: "HubCatalog") -> Iterator[Artifact]:
    for model in catalog.models:
        for option in model.downloads:
            yield artifact_of(model, option)


def _matching_file(file: ArtifactFile, by_path: dict[str, HashedFile], in_place: bool) -> HashedFile | None:
    """Return the candidate's file that is this one: at its path, or wherever its digest is found."""
    at_path = by_path.get(file.path)
    if at_path is not None and _fits(file, at_path):
        return at_path
    if in_place or not (file.sha256 or file.git_sha1):
        return None
    return next((hashed for hashed in by_path.values() if _fits(file, hashed)), None)


def _fits(file: ArtifactFile, hashed: HashedFile) -> bool:
    same_size = file.size in (None, hashed.stamp.size)
    return same_size and file.sha256 in (None, hashed.sha256) and (file.git_sha1 in (None, hashed.git_sha1))


# What no catalog knows -----------------------------------------------------------------------------------------------


def _artifact_of_candidate(candidate: Candidate, hashes: Sequence[HashedFile]) -> Artifact:
    """Return the artifact that the candidate is without a catalog: its own name, its own digests."""
    files = []
    for file, hashed in zip(candidate.files, hashes, strict=True):
        pin = {"git_sha1": hashed.git_sha1} if file.claim and len(file.claim) == 40 else {"sha256": hashed.sha256}
        files.append(ArtifactFile(file.path, _url(candidate, file), hashed.stamp.size, **pin))
    ref = _hub_ref(candidate) if candidate.hub else candidate.source or candidate.name
    kind, name = candidate.format, candidate.name
    return Artifact(ref, None, None, kind, name, candidate.folder, tuple(files), hub=candidate.hub)


def _url(candidate: Candidate, file: FoundFile) -> str:
    """Return where the file's bytes can be fetched again, or nothing where that is not known."""
    path = file.repo_path or file.path
    if hub := candidate.hub:
        return file_url(hub.repo, hub.commit, path, hub.kind)
    return f"{candidate.address}/{quote(path)}" if candidate.address else ""


def _hub_ref(candidate: Candidate) -> str:
    hub = candidate.hub
    assert hub is not None
    return HubRef(hub.repo, hub.revision, path=hub.path, include=hub.include).text


def false_claim(candidate: Candidate, hashes: Sequence[HashedFile]) -> str | None:
    """Return a sentence's end if the name of one of its files claims a digest that its bytes do not have."""
    for file, hashed in zip(candidate.files, hashes, strict=True):
        actual = hashed.git_sha1 if file.claim and len(file.claim) == 40 else hashed.sha256
        if file.claim is not None and file.claim != actual:
            return f"is damaged: by its name its digest is {file.claim[:12]}…, by its bytes {actual[:12]}…"
    return None
