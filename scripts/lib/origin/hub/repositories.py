"""Repositories of a Hub-shaped origin: files by repository, revision and path; gated and private repositories."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lib.origin.answer import Answer, text_answer
from lib.origin.content import Bytes, Content, content_of

Key = tuple[str, str, str]


@dataclass(frozen=True)
class HubFile:
    """A file of a repo. `lfs` files have a published sha256 and are on the CDN, others have only a git sha1."""

    source: bytes | Path | Content
    sha256: str | None = None
    lfs: bool = True

    @cached_property
    def content(self) -> Content:
        return content_of(self.source)

    @cached_property
    def digest(self) -> str:
        """Return the published sha256, or else the computed one."""
        return self.sha256 or self.content.sha256()

    @cached_property
    def oid(self) -> str:
        return self.content.git_sha1()

    @property
    def pointer(self) -> bytes:
        """Return the pointer that git has instead of an LFS file."""
        text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.digest}\nsize {self.content.size}\n"
        return text.encode()

    @property
    def blob(self) -> str:
        """Return git's sha1: for an LFS file, that of its pointer."""
        return Bytes(self.pointer).git_sha1() if self.lfs else self.oid


@dataclass(frozen=True)
class Refusal:
    """An error of the Hub: the code is for programs, the message for people."""

    status: int
    code: str
    message: str

    def answer(self) -> Answer:
        return text_answer(self.status, self.message, X_Error_Code=self.code, X_Error_Message=self.message)


@dataclass
class Access:
    """The access rules. With `token` None every token is valid.

    `gated` repos require a sign-in; `unaccepted` ones also require that the user accepts their terms. `private` repos
    do not exist for others.
    """

    token: str | None = None
    gated: set[str] = field(default_factory=set)
    unaccepted: set[str] = field(default_factory=set)
    private: set[str] = field(default_factory=set)
    unlisted: set[str] = field(default_factory=set)

    def refusal(self, repo: str, exists: bool, authorization: str | None, *, listing: bool = False) -> Refusal | None:
        """Return why the bearer may not read this repo; a missing repo looks the same as a private one.

        `listing`: all users may list the files of a gated repo, except of those in `unlisted`.
        """
        signed_in = authorization is not None and self.token in (None, authorization.removeprefix("Bearer "))
        if authorization is not None and not signed_in:
            return Refusal(401, "", "Invalid credentials in Authorization header")
        if not exists or (repo in self.private and not signed_in):
            status, text = (404, "Repository not found") if signed_in else (401, "Invalid username or password.")
            return Refusal(status, "RepoNotFound", text)
        if listing and repo not in self.unlisted:
            return None
        if repo in self.gated | self.unaccepted and not signed_in:
            return Refusal(401, "GatedRepo", f"Access to model {repo} is restricted. You must be authenticated.")
        if repo in self.unaccepted:
            return Refusal(403, "GatedRepo", f"Access to model {repo} is restricted; accept its terms on its page.")
        return None


class Repositories:
    """The files by repo, revision and path. A branch and the commit it stands for name the same files.

    `points` maps (repo, branch) to another commit, whose files are keyed by that commit.
    """

    def __init__(self, files: Mapping[Key, HubFile]) -> None:
        self.files = dict(files)
        self.points: dict[tuple[str, str], str] = {}

    def has_repo(self, repo: str) -> bool:
        return any(key[0] == repo for key in self.files)

    def branch(self, repo: str, revision: str) -> str | None:
        """Return the revision by which the files are keyed, None if the repo does not have it."""
        revision = self.points.get((repo, revision), revision)
        # A repo without files has a branch, too.
        revisions = {key[1] for key in self.files if key[0] == repo} or {"main"}
        return next((name for name in revisions if revision in (name, commit_of(repo, name))), None)

    def at(self, repo: str, branch: str) -> dict[str, HubFile]:
        """Return the files of a branch by path."""
        return {path: file for (own, name, path), file in self.files.items() if (own, name) == (repo, branch)}

    def find(self, repo: str, revision: str, path: str) -> HubFile | Refusal:
        branch = self.branch(repo, revision)
        if branch is None:
            return Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        missing = Refusal(404, "EntryNotFound", "Entry not found")
        return self.files.get((repo, branch, path), missing)


def commit_of(repo: str, revision: str) -> str:
    """Return the 40-hex commit of a revision: itself if it is one, else one made from the names."""
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    return hashlib.sha1(f"{repo}@{revision}".encode()).hexdigest()


def cdn_path(repo: str, file: HubFile) -> str:
    return f"/repos/{repo}/{file.digest}"
