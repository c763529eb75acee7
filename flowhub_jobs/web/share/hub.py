"""The Hub's protocol, as far as programs need it to download: huggingface_hub, llama.cpp, vLLM, transformers.

`X-Xet-Hash` is never sent: a client would go to the Hub's storage for the bytes.
"""

import hashlib
from collections.abc import Callable
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.operations.models_to_share import SharedFile, SharedRepo
from flowhub_jobs.values.enums import RepoKind
from flowhub_jobs.web.call import Call, JSONResponse, endpoint
from flowhub_jobs.web.share.send_file import FileChanged, send_file

KINDS = {"models": RepoKind.MODEL, "datasets": RepoKind.DATASET}
LISTED_MAX = 1000  # repositories of one list


class _HubError(Exception):
    """An error in the Hub's words: clients read `X-Error-Code`."""

    def __init__(self, code: str, message: str, **headers: str) -> None:
        super().__init__(message)
        self.response = JSONResponse(
            {"error": message}, 404, {"X-Error-Code": code, "X-Error-Message": message} | headers
        )


def _with_error_headers(act: Callable[[Call, RepoKind], Response], kind: RepoKind) -> Callable[[Call], Response]:
    def answer(call: Call) -> Response:
        try:
            return act(call, kind)
        except _HubError as error:
            return error.response

    return answer


def list_repos(call: Call, kind: RepoKind) -> Response:
    terms = (call.query("search") or "").lower().split()
    repos = [repo for (repo_kind, _), repo in call.context.shared.read(call.session).repos.items() if repo_kind is kind]
    matching = [repo for repo in repos if all(term in repo.id.lower() for term in terms)]
    limit = call.number("limit", maximum=LISTED_MAX) or LISTED_MAX
    return JSONResponse([_repo_info(repo, next(iter(repo.commits))) for repo in matching[:limit]])


def show_repo(call: Call, kind: RepoKind) -> Response:
    repo = _repo(call, kind)
    commit = _commit(repo, call.request.path_params.get("revision", "main"))
    files = repo.commits[commit].values()
    blobs = call.switch("blobs")
    siblings = [_sibling(file) if blobs else {"rfilename": file.path} for file in files]
    return JSONResponse(_repo_info(repo, commit) | {"siblings": siblings})


def show_tree(call: Call, kind: RepoKind) -> Response:
    repo = _repo(call, kind)
    commit = _commit(repo, call.path("revision"))
    folder = str(call.request.path_params.get("path", "")).strip("/")
    files = [file for file in repo.commits[commit].values() if not folder or file.path.startswith(f"{folder}/")]
    if folder and not files:
        raise _HubError("EntryNotFound", f"{folder[:200]} does not exist at {commit}.")
    depth = folder.count("/") + 1 if folder else 0
    folders = dict.fromkeys(
        "/".join(file.path.split("/")[:level]) for file in files for level in range(depth + 1, file.path.count("/") + 1)
    )
    entries = [_folder_entry(path) for path in folders]
    entries += [_tree_entry(file) for file in files]
    if not call.switch("recursive"):
        entries = [entry for entry in entries if str(entry["path"]).count("/") == depth]
    return JSONResponse(entries)


def show_paths(call: Call, kind: RepoKind) -> Response:
    """Answer for the files and folders that the body names; for others with nothing."""
    repo = _repo(call, kind)
    commit = _commit(repo, call.path("revision"))
    names = call.json_or_form().get("paths", [])
    paths = [path.strip("/") for path in names if isinstance(path, str)] if isinstance(names, list) else []
    files = repo.commits[commit]
    entries = []
    for path in dict.fromkeys(paths):
        if path in files:
            entries.append(_tree_entry(files[path]))
        elif any(name.startswith(f"{path}/") for name in files):
            entries.append(_folder_entry(path))
    return JSONResponse(entries)


def show_refs(call: Call, kind: RepoKind) -> Response:
    repo = _repo(call, kind)
    branches = [
        {"name": name, "ref": f"refs/heads/{name}", "targetCommit": commit} for name, commit in repo.revisions.items()
    ]
    return JSONResponse({"branches": branches, "tags": [], "converts": []})


def resolve(call: Call, kind: RepoKind) -> Response:
    repo = _repo(call, kind)
    revision, path = call.path("revision"), call.path("path")
    commit = _commit(repo, revision)
    commit_and_file = repo.find(revision, path)
    if commit_and_file is None:
        raise _no_file(path, commit)
    commit, file = commit_and_file
    headers = {
        "x-repo-commit": commit,
        "x-linked-etag": f'"{file.etag}"',
        "x-linked-size": str(file.size),
    }
    try:
        return send_file(call.request.method, call.request.headers, file, headers)
    except FileChanged:
        raise _no_file(path, commit) from None


def _no_file(path: str, commit: str) -> _HubError:
    headers = {"X-Repo-Commit": commit}
    return _HubError("EntryNotFound", f"{path[:200]!a} is not shared here.", **headers)


def _repo(call: Call, kind: RepoKind) -> SharedRepo:
    name = f"{call.path('owner')}/{call.path('repo')}"
    repos = call.context.shared.read(call.session).repos
    # The Hub's names are the same in either case.
    shared = repos.get((kind, name)) or next(
        (repo for (repo_kind, key), repo in repos.items() if repo_kind is kind and key.lower() == name.lower()), None
    )
    if shared is None:
        raise _HubError("RepoNotFound", f"Repository {name[:200]!a} is not shared here.")
    return shared


def _commit(repo: SharedRepo, revision: str) -> str:
    commit = repo.commit_of(revision)
    if commit is None:
        raise _HubError("RevisionNotFound", f"Revision {revision[:80]!a} of {repo.id} is not shared here.")
    return commit


def _repo_info(repo: SharedRepo, commit: str) -> dict[str, Any]:
    return {
        "_id": commit[:24],
        "id": repo.id,
        "modelId": repo.id,
        "author": repo.id.partition("/")[0],
        "sha": commit,
        "lastModified": repo.modified_at,
        "createdAt": repo.modified_at,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": repo.tags,
    }


def _sibling(file: SharedFile) -> dict[str, Any]:
    fields = {"rfilename": file.path, "size": file.size, "blobId": file.blob}
    return fields | ({} if file.git_sha1 else {"lfs": _lfs(file, "sha256")})


def _tree_entry(file: SharedFile) -> dict[str, Any]:
    fields = {"type": "file", "path": file.path, "size": file.size, "oid": file.blob}
    return fields | ({} if file.git_sha1 else {"lfs": _lfs(file, "oid")})


def _lfs(file: SharedFile, name: str) -> dict[str, Any]:
    return {name: file.sha256, "size": file.size, "pointerSize": len(file.pointer)}


def _folder_entry(path: str) -> dict[str, Any]:
    return {"type": "directory", "path": path, "size": 0, "oid": _folder_id(path)}


def _folder_id(path: str) -> str:
    return hashlib.sha1(path.encode(), usedforsecurity=False).hexdigest()


def _routes() -> list[BaseRoute]:
    routes: list[BaseRoute] = []
    for collection, kind in KINDS.items():
        api, repo = f"/api/{collection}", f"/api/{collection}/{{owner}}/{{repo}}"
        prefix = "" if kind is RepoKind.MODEL else f"/{collection}"
        table = {
            api: list_repos,
            f"{repo}/revision/{{revision:path}}": show_repo,
            f"{repo}/tree/{{revision}}": show_tree,
            f"{repo}/tree/{{revision}}/{{path:path}}": show_tree,
            f"{repo}/refs": show_refs,
            repo: show_repo,
            f"{prefix}/{{owner}}/{{repo}}/resolve/{{revision}}/{{path:path}}": resolve,
        }
        routes += [
            Route(path, endpoint(_with_error_headers(act, kind)), methods=["GET"]) for path, act in table.items()
        ]
        paths_info = endpoint(_with_error_headers(show_paths, kind))
        routes.append(Route(f"{repo}/paths-info/{{revision}}", paths_info, methods=["POST"]))
    return routes


ROUTES = _routes()
