"""API answers of a Hub-shaped origin: a repository's description, and the list of its files, page by page. Pure.

Shapes: huggingface_hub, `hf_api` (`model_info`, `list_repo_tree`).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote

from lib.origin.answer import Answer, Request, text_answer
from lib.origin.hub.repositories import HubFile, Refusal, Repositories, commit_of

# A data set is kept under `datasets/owner/name`; a model under `owner/name`.
_REPO = r"/api/(?:models/|(?=datasets/))(?P<repo>(?:datasets/)?[^/]+(?:/[^/]+)?)"
INFO = re.compile(rf"{_REPO}(?:/revision/(?P<revision>[^/]+))?")
TREE = re.compile(rf"{_REPO}/tree/(?P<revision>[^/]+)")
LIMITS = {"RateLimit": '"api";r=499;t=55', "RateLimit-Policy": '"fixed window";"api";q=500;w=300'}

Entry = dict[str, Any]


@dataclass
class Facts:
    """Descriptions of repositories, apart from their files.

    `about` has further fields of an info answer by repo; a repo in it exists even without files. `disabled` repos
    answer 403; those in `renamed` redirect to their new name. `page_size` is that of the lists of files.
    """

    page_size: int = 1000
    about: dict[str, Entry] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    renamed: dict[str, str] = field(default_factory=dict)

    def refusal(self, repo: str) -> Refusal | None:
        if repo in self.disabled:
            return Refusal(403, "", "Access to this resource is disabled.")
        return None

    def moved(self, request: Request, repo: str) -> Answer | None:
        """Return the redirect of a renamed repo."""
        if repo not in self.renamed:
            return None
        target = request.path.replace(f"/{repo}", f"/{self.renamed[repo]}", 1)
        return text_answer(307, "Temporary Redirect", Location=target + (f"?{request.query}" if request.query else ""))


def info_answer(
    repositories: Repositories, facts: Facts, repo: str, revision: str | None, request: Request, gated: bool
) -> Answer:
    """Return the description of a repo at a revision, with its files, and with their digests if `blobs=true`."""
    branch = repositories.branch(repo, revision or "main")
    if branch is None:
        return _no_revision(revision or "main").answer()
    blobs = "true" in parse_qs(request.query).get("blobs", [])
    files = repositories.at(repo, branch)
    page: Entry = {
        "id": repo.removeprefix("datasets/"),
        "author": repo.removeprefix("datasets/").partition("/")[0],
        "sha": commit_of(repo, branch),
        "private": False,
        "gated": "manual" if gated else False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": [_sibling(path, file, blobs) for path, file in files.items()],
    }
    return _json(page | facts.about.get(repo, {}))


def tree_answer(
    repositories: Repositories, facts: Facts, repo: str, revision: str, request: Request, address: str
) -> Answer:
    """Return one page of a repo's files; the address of the next one is in the `Link` header."""
    branch = repositories.branch(repo, revision)
    if branch is None:
        return _no_revision(revision).answer()
    parameters = parse_qs(request.query)
    entries = _entries(repositories.at(repo, branch), recursive="true" in parameters.get("recursive", []))
    start = int(parameters.get("cursor", ["0"])[0])
    end = start + facts.page_size
    answer = _json(entries[start:end])
    if end >= len(entries):
        return answer
    query = f"recursive={parameters.get('recursive', ['false'])[0]}&expand=false&cursor={end}"
    kind = "" if repo.startswith("datasets/") else "models/"
    url = f"{address}/api/{kind}{repo}/tree/{quote(revision, safe='')}?{query}"
    return answer.with_headers(Link=f'<{url}>; rel="next"')


def models_answer(repositories: Repositories, facts: Facts, request: Request, address: str) -> Answer:
    """Return one page of an owner's models with the names of their files; the next one is in the `Link` header."""
    parameters = parse_qs(request.query)
    [owner] = parameters.get("author", [""])
    names = sorted({repo for repo, _, _ in repositories.files if repo.startswith(f"{owner}/")} - facts.disabled)
    start = int(parameters.get("cursor", ["0"])[0])
    end = start + min(facts.page_size, int(parameters.get("limit", ["30"])[0]))
    answer = _json([_listed(repositories, repo) for repo in names[start:end]])
    if end >= len(names):
        return answer
    query = re.sub(r"&cursor=[0-9]+", "", request.query) + f"&cursor={end}"
    return answer.with_headers(Link=f'<{address}/api/models?{query}>; rel="next"')


def _listed(repositories: Repositories, repo: str) -> Entry:
    files = repositories.at(repo, repositories.branch(repo, "main") or "main")
    return {"id": repo, "disabled": False, "siblings": [{"rfilename": path} for path in files]}


def _entries(files: Mapping[str, HubFile], *, recursive: bool) -> list[Entry]:
    folders = {path.rsplit("/", up)[0]: None for path in files for up in range(1, path.count("/") + 1)}
    listed = [{"type": "directory", "path": path, "oid": _sha1(path)} for path in folders]
    listed += [_entry(path, file) for path, file in files.items()]
    return [entry for entry in listed if recursive or "/" not in entry["path"]]


def _entry(path: str, file: HubFile) -> Entry:
    entry: Entry = {"type": "file", "path": path, "size": file.content.size, "oid": file.blob}
    return entry | ({"lfs": _lfs(file, "oid")} if file.lfs else {})


def _sibling(path: str, file: HubFile, blobs: bool) -> Entry:
    if not blobs:
        return {"rfilename": path}
    own = {"rfilename": path, "size": file.content.size, "blobId": file.blob}
    return own | ({"lfs": _lfs(file, "sha256")} if file.lfs else {})


def _lfs(file: HubFile, name: str) -> Entry:
    # The name of this digest depends on the request.
    return {name: file.digest, "size": file.content.size, "pointerSize": len(file.pointer)}


def _no_revision(revision: str) -> Refusal:
    return Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")


def _json(page: Any) -> Answer:
    answer = text_answer(200, json.dumps(page), "application/json; charset=utf-8")
    return answer.with_headers(**{name.replace("-", "_"): value for name, value in LIMITS.items()})


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode()).hexdigest()
