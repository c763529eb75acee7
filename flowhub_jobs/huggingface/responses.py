"""Parser of the Hub's JSON: information on a repository, a page of its files, a page of models. Pure.

Every field but a file's path may be absent or of a wrong type; then it is unknown.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flowhub_jobs.values.enums import RepoKind

_SHA256, _SHA1 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
_NAME = re.compile(r"(?!\.{1,2}(?:/|\Z))[\w.-]+(?:/(?!\.{1,2}\Z)[\w.-]+)?", re.ASCII)
LARGEST = 1 << 60  # bytes; a larger size is no size


@dataclass(frozen=True, slots=True)
class RepoFile:
    """A file of a repository. `size` in bytes; LFS files have a `sha256`, the small ones a `git_sha1`."""

    path: str
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None


@dataclass(frozen=True, slots=True)
class RepoInfo:
    """Information on a repository. `parameters` is their number, `context_length` in tokens; None is unknown."""

    repo: str
    commit: str
    gated: bool = False
    private: bool = False
    disabled: bool = False
    license: str | None = None
    tags: tuple[str, ...] = ()
    library: str | None = None
    parameters: int | None = None
    context_length: int | None = None
    architecture: str | None = None
    kind: RepoKind = RepoKind.MODEL


@dataclass(frozen=True, slots=True)
class OwnedModel:
    """A repository in a list of models: its name and the paths of its files, without their sizes."""

    repo: str
    paths: tuple[str, ...]


def read_info(page: Any, repo: str, kind: RepoKind = RepoKind.MODEL) -> RepoInfo | None:
    """Return the information about `repo`; None where it names no commit, and so is not the Hub's."""
    fields = page if isinstance(page, dict) else {}
    commit = _text(fields.get("sha"))
    if commit is None or not _SHA1.fullmatch(commit):
        return None
    gguf, weights = _object(fields.get("gguf")), _object(fields.get("safetensors"))
    tags = fields.get("tags")
    return RepoInfo(
        repo=_name(fields.get("id")) or repo,
        commit=commit,
        gated=fields.get("gated") not in (None, False),
        private=fields.get("private") is True,
        disabled=fields.get("disabled") is True,
        license=_license(fields),
        tags=tuple(tag for tag in tags if isinstance(tag, str)) if isinstance(tags, list) else (),
        library=_text(fields.get("library_name")),
        parameters=_number(weights.get("total")) or _number(gguf.get("total")),
        context_length=_number(gguf.get("context_length")),
        architecture=_text(gguf.get("architecture")),
        kind=kind,
    )


def read_tree(page: Any) -> list[RepoFile] | None:
    """Return the files of one page of a listing; None where it is no listing."""
    return list(_files(page)) if isinstance(page, list) else None


def read_models(page: Any, owner: str) -> list[OwnedModel] | None:
    """Return the owner's repositories on one page of a list of models, without disabled ones; None for no list."""
    if not isinstance(page, list):
        return None
    entries = [entry for entry in page if isinstance(entry, dict) and entry.get("disabled") is not True]
    pairs = [(_name(entry.get("id")), entry.get("siblings")) for entry in entries]
    prefix = f"{owner}/".lower()
    return [OwnedModel(repo, _paths(files)) for repo, files in pairs if repo and repo.lower().startswith(prefix)]


def _paths(siblings: Any) -> tuple[str, ...]:
    names = [_object(one).get("rfilename") for one in siblings] if isinstance(siblings, list) else []
    return tuple(path for path in names if isinstance(path, str) and path)


def _files(page: list[Any]) -> Iterator[RepoFile]:
    for entry in page:
        if not isinstance(entry, dict) or entry.get("type") != "file" or not isinstance(entry.get("path"), str):
            continue
        lfs = _object(entry.get("lfs"))
        if lfs:  # the git sha1 of an LFS file is its pointer's, not its content's
            digest = _digest(lfs.get("oid") or lfs.get("sha256"), _SHA256)
            yield RepoFile(entry["path"], _number(lfs.get("size", entry.get("size"))), sha256=digest)
        else:
            yield RepoFile(entry["path"], _number(entry.get("size")), git_sha1=_digest(entry.get("oid"), _SHA1))


def _name(value: Any) -> str | None:
    """Return a repository's name, such as owner/name; None for a path that would redirect a request (`../..`)."""
    return value if isinstance(value, str) and len(value) <= 200 and _NAME.fullmatch(value) else None


def _license(fields: dict[str, Any]) -> str | None:
    card = _object(fields.get("cardData"))
    licence = card.get("license")
    if isinstance(licence, list) and licence:
        licence = licence[0]
    return _text(card.get("license_name")) if licence == "other" and card.get("license_name") else _text(licence)


def _digest(value: Any, shape: re.Pattern[str]) -> str | None:
    text = value.strip().lower().removeprefix("sha256:") if isinstance(value, str) else ""
    return text if shape.fullmatch(text) else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str | None:
    return value[:500] if isinstance(value, str) and value.isprintable() and value.strip() else None


def _number(value: Any) -> int | None:
    sound = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST
    return value if sound else None
