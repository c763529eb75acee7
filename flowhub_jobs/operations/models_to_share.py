"""Installed models that other machines may download from this one: their files are unchanged since they were verified.

Each file is addressed as the Hub addresses it, by repository, commit and path. A model from the Hub keeps its address,
so that caches filled from either agree; any other one is in a repository `flowhub/MODEL`, at a commit that is made of
its files' digests.
"""

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowhub_jobs.file_systems import same_time, traits_of
from flowhub_jobs.operations.session import Session
from flowhub_jobs.store.hub_origin import MAIN, hub_origin
from flowhub_jobs.store.library_check import LibraryEntry, Presence, condition_of
from flowhub_jobs.times import known_moment, rfc3339
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile
from flowhub_jobs.values.enums import Condition, HubFormat, RepoKind

OWNER = "flowhub"  # of the repositories of models that are not from the Hub
_NOT_OF_A_NAME = re.compile(r"[^a-z0-9._-]+")

RepoId = tuple[RepoKind, str]


@dataclass(frozen=True, slots=True)
class SharedFile:
    """One file. `path` is in its repository, `local_path` on this machine; `size` is bytes.

    `git_sha1` is the id of its git blob, where the Hub tells that in the place of a sha256.
    """

    path: str
    local_path: Path
    size: int
    mtime_ns: int
    sha256: str
    git_sha1: str | None

    @property
    def etag(self) -> str:
        """Return the Hub's ETag of a file: the blob id of a small file, the sha256 of a large one."""
        return self.git_sha1 or self.sha256

    @property
    def blob(self) -> str:
        """Return the id of its git blob; of a large file that of its Git LFS pointer."""
        return self.git_sha1 or _blob_id(self.pointer)

    @property
    def pointer(self) -> bytes:
        """Return its Git LFS pointer (git-lfs, docs/spec.md)."""
        oid = f"oid sha256:{self.sha256}"
        return f"version https://git-lfs.github.com/spec/v1\n{oid}\nsize {self.size}\n".encode()


@dataclass(frozen=True, slots=True)
class SharedModel:
    """An installed model. `paths` are those of its files inside the artifact, in the order of `files`."""

    entry: LibraryEntry
    repo: RepoId
    commit: str
    revision: str
    files: tuple[SharedFile, ...]
    paths: tuple[str, ...]
    folder: bool


@dataclass(slots=True)
class SharedRepo:
    """A repository. `commits` has the files of each by path, the newest installed commit first."""

    kind: RepoKind
    id: str
    modified_at: str
    tags: list[str]
    commits: dict[str, dict[str, SharedFile]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)

    def commit_of(self, revision: str) -> str | None:
        """Return the commit of a branch, a tag or a commit; None for one that is not here."""
        return revision if revision in self.commits else self.revisions.get(revision)

    def find(self, revision: str, path: str) -> tuple[str, SharedFile] | None:
        """Return a file with its commit. A branch has the newest commit that has the file: not all of one is here."""
        if revision in self.commits:
            commits: Iterable[str] = [revision]
        else:
            commits = self.commits if revision in self.revisions else ()
        return next(((commit, self.commits[commit][path]) for commit in commits if path in self.commits[commit]), None)


def shared_models(session: Session) -> list[SharedModel]:
    """Return every installed model that is as it was verified, the newest first."""
    models = [model for each in session.each_store() for model in _shared_of_store(each)]
    return sorted(models, key=lambda model: (-model.entry.installed_at, model.entry.name))


def _shared_of_store(session: Session) -> list[SharedModel]:
    home, presence_of = session.home, session.installed.presence_of
    if session.installed.presence is Presence.AWAY:
        return []
    artifacts = home.entries.artifacts()
    entries = [entry for entry in home.entries.entries_here() if presence_of(entry) is Presence.HERE]
    models = []
    for entry in entries:
        model_path = home.store.root / entry.name
        if condition_of(entry, model_path) is Condition.GOOD:
            models.append(_shared_model(entry, model_path, artifacts.get(entry.id)))
    return models


def is_as_shared(file: SharedFile, status: os.stat_result) -> bool:
    """Return whether a file that was opened has the size and the time that it was verified with."""
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
        return False
    return status.st_mtime_ns == file.mtime_ns or same_time(
        file.mtime_ns, status.st_mtime_ns, traits_of(file.local_path)
    )


def shared_repos(models: Sequence[SharedModel]) -> dict[RepoId, SharedRepo]:
    """Return the repositories of these models, the newest of which comes first."""
    repos: dict[RepoId, SharedRepo] = {}
    for model in models:
        kind, name = model.repo
        modified = rfc3339(known_moment(model.entry.installed_at))
        repo = repos.setdefault(model.repo, SharedRepo(kind, name, modified, []))
        files = repo.commits.setdefault(model.commit, {})
        for file in model.files:
            files.setdefault(file.path, file)
        for revision in (model.revision, MAIN):
            repo.revisions.setdefault(revision, model.commit)
        if model.entry.format and str(model.entry.format) not in repo.tags:
            repo.tags.append(str(model.entry.format))
    for repo in repos.values():
        if repo.id.startswith(f"{OWNER}/") and len(repo.commits) > 1:
            _join_commits(repo)
    return repos


def _join_commits(repo: SharedRepo) -> None:
    """Give the main branch a commit with the files of all options, which clients list before they ask for one."""
    files = {path: file for commit in reversed(repo.commits.values()) for path, file in commit.items()}
    joined = _commit_of((path, file.sha256) for path, file in files.items())
    repo.commits = {joined: dict(sorted(files.items())), **repo.commits}
    repo.revisions[MAIN] = joined


def _shared_model(entry: LibraryEntry, model_path: Path, artifact: Artifact | None) -> SharedModel:
    by_path = (
        {file.path if artifact and artifact.folder else entry.name: file for file in artifact.files} if artifact else {}
    )
    folder = model_path.is_dir()
    paths = tuple(sorted(entry.files))
    origin = hub_origin(artifact, [by_path.get(path) for path in paths])
    if origin is not None and origin.commit is not None:
        repo, commit, revision, repo_paths = (origin.kind, origin.repo), origin.commit, origin.revision, origin.paths
    else:
        repo = (RepoKind.MODEL, f"{OWNER}/{_own_repo(entry, folder)}")
        repo_paths, revision = paths, MAIN
        commit = _own_commit(entry)
    files = tuple(
        SharedFile(
            path=repo_path,
            local_path=model_path / path if folder else model_path,
            size=entry.files[path].bytes,
            mtime_ns=entry.files[path].mtime_ns,
            sha256=entry.files[path].sha256,
            git_sha1=_git_sha1_of(by_path.get(path)),
        )
        for path, repo_path in zip(paths, repo_paths, strict=True)
    )
    return SharedModel(entry, repo, commit, revision, files, paths, folder)


def _git_sha1_of(file: ArtifactFile | None) -> str | None:
    return file.git_sha1 if file and not file.sha256 else None


def _own_repo(entry: LibraryEntry, folder: bool) -> str:
    name = entry.model or entry.name
    if entry.model and folder:  # its files' names are those of every folder
        name = f"{entry.model}-{entry.option}"
    return slug(name)


def slug(text: str) -> str:
    """Return a text as the id of a model or a repository: lower case, of a-z, 0-9, dot, underscore, hyphen."""
    return _NOT_OF_A_NAME.sub("-", text.lower()).strip("-._") or "model"


def _own_commit(entry: LibraryEntry) -> str:
    """Return 40 hex digits that stay the same while the files do."""
    return _commit_of((path, file.sha256) for path, file in entry.files.items())


def _commit_of(files: Iterable[tuple[str, str]]) -> str:
    digests = sorted(files)
    return hashlib.sha256(repr(digests).encode()).hexdigest()[:40]


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


# The catalog's shape ------------------------------------------------------------------------------------------------


def shared_catalog(models: Sequence[SharedModel], address_of: Mapping[str, str]) -> dict[str, Any]:
    """Return a catalog of these models; `address_of` has the address of each file by its place.

    A model whose format a catalog does not know is left out: it is in the Hub's shape alone.
    """
    entries: dict[str, dict[str, Any]] = {}
    for model in models:
        if model.entry.format in tuple(HubFormat):
            title = model.entry.model or model.entry.name
            entry = entries.setdefault(slug(title), {"id": slug(title), "name": title, "downloads": []})
            used_ids = {one["id"] for one in entry["downloads"]}
            entry["downloads"].append(_option(model, used_ids, address_of))
    return {"apiVersion": "v1", "models": list(entries.values())}


def _option(model: SharedModel, used_ids: set[str], address_of: Mapping[str, str]) -> dict[str, Any]:
    option_id = slug(model.entry.option or str(model.entry.format))
    option = option_id if option_id not in used_ids else f"{option_id}-{model.commit[:8]}"
    fields = {"id": option, "format": str(model.entry.format)}
    files = [
        {"path": path, "url": address_of[str(file.local_path)], "sizeBytes": file.size, "sha256": file.sha256}
        for path, file in zip(model.paths, model.files, strict=True)
    ]
    if model.folder:
        return fields | {"files": files}
    [single] = files
    return fields | {"filename": model.entry.name} | {name: single[name] for name in ("url", "sizeBytes", "sha256")}
