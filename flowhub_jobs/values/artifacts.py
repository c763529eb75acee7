"""Artifacts, their files and digests, and models in the store: frozen values."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from types import NoneType
from typing import Any

from flowhub_jobs.net.redaction import without_secrets
from flowhub_jobs.values.enums import Condition, HubFormat, RepoKind
from flowhub_jobs.values.store_settings import DEFAULT_STORE


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """One file to fetch. `size` in bytes; `sha256` and `git_sha1` are lower-case hex; None is unknown.

    `commit` is that of the Hub's repository of which an installed file is, if the address names a branch.
    """

    path: str
    url: str
    size: int | None = None
    sha256: str | None = None
    git_sha1: str | None = None
    commit: str | None = None

    @property
    def identity(self) -> str:
        """Return the identity of the file's bytes before its origin was asked: the digest, else the address."""
        return f"sha256:{self.sha256}" if self.sha256 else f"{without_secrets(self.url)}#{self.git_sha1 or ''}"


@dataclass(frozen=True, slots=True)
class HubSource:
    """Origin of an artifact on the Hub: the reference, and the commit that it resolved to.

    `revision` is the requested branch or tag; `quant`, `path`, `include` and `exclude` select the
    repository's files: an update asks for the same selection.
    """

    repo: str
    commit: str
    revision: str = "main"
    quant: str | None = None
    path: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    kind: RepoKind = RepoKind.MODEL


HUB_PREFIX = "hf:"  # of the reference of every artifact that has a HubSource


def claim_of(ref: str, model: str | None, key: str) -> str:
    """Return the owner of a name in the store: another version of a model takes it over, another URL never does."""
    return ref if model or ref.startswith(HUB_PREFIX) else key


@dataclass(frozen=True, slots=True)
class Artifact:
    """The download of one option: one file, or a folder of files.

    `name` is the bare name it wants in the store: the filename, or `<model>-<option>` for a folder. `hub` is where on
    the Hub it was taken from, if the reference was to the Hub and not to a catalog.
    """

    ref: str
    model: str | None
    option: str | None
    format: HubFormat | None
    name: str
    folder: bool
    files: tuple[ArtifactFile, ...]
    hub: HubSource | None = None

    @property
    def size(self) -> int | None:
        """Return the sum of the sizes in bytes, or None where one is unknown."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def key(self) -> str:
        """Return 16 hex digits that stay the same while the artifact asks for the same bytes."""
        parts = [self.model, self.option, self.folder, [(file.path, file.identity) for file in self.files]]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    @property
    def claim(self) -> str:
        """Return the owner of this artifact's name in the store (`claim_of`)."""
        return claim_of(self.ref, self.model, self.key)

    def without_secrets(self) -> "Artifact":
        """Return the artifact as it is kept when nothing more is fetched for it: its addresses sign nothing."""
        return replace(self, files=tuple(replace(file, url=without_secrets(file.url)) for file in self.files))

    def of_commits(self, digests: "Sequence[FileDigest]") -> "Artifact":
        """Return the artifact with the commits of its files, as far as the Hub named them."""
        commits = {digest.path: digest.commit for digest in digests}
        return replace(
            self, files=tuple(replace(file, commit=commits.get(file.path) or file.commit) for file in self.files)
        )

    def second_name(self) -> str:
        """Return the name of the second artifact that wants the same name."""
        name = f"{self._owner}-{self.name}"
        # A name holds 200 bytes: a longer one keeps its end, which tells most.
        return name if len(name.encode()) <= 200 else f"{self.key}-" + self.name.encode()[-180:].decode(errors="ignore")

    @property
    def _owner(self) -> str:
        if self.model:
            return f"{self.model}-{self.option}"
        return self.hub.repo.replace("/", "-") if self.hub else self.key

    def as_dict(self) -> dict[str, Any]:
        # Not dataclasses.asdict, which copies every value: a list of ten thousand is a second of it.
        fields = {name: getattr(self, name) for name in self.__slots__}
        files = [{name: getattr(file, name) for name in file.__slots__} for file in self.files]
        return fields | {"files": files, "hub": asdict(self.hub) if self.hub else None}

    @classmethod
    def from_dict(cls, data: Any) -> "Artifact":
        """Return the artifact that `as_dict` wrote, in this version or another.

        Keys that a newer version added are ignored, and a format that it added is None, as for any other file.
        Raises ValueError where a value is missing or of another type: the row was damaged.
        """
        known = _fields(cls, data)
        if not isinstance(known["files"], list) or not known["files"]:
            raise ValueError("the artifact has no files")
        files = tuple(_file(file) for file in known["files"])
        hub = _hub_source(known.get("hub"))  # rows of older versions have none
        return cls(**known | {"files": files, "format": known_format(known["format"]), "hub": hub})


def known_format(name: Any) -> HubFormat | None:
    """Return the format of this name; None for one that only a newer version knows. Raises ValueError."""
    if name is not None and not isinstance(name, str):
        raise ValueError(f"the format is {name!r}")
    return HubFormat(name) if name in _FORMATS else None


_FORMATS = frozenset(HubFormat)
# The JSON types of each class's values; what has no default is required.
_TYPES: dict[type, dict[str, tuple[type, ...]]] = {
    Artifact: {"ref": (str,), "model": (str, NoneType), "option": (str, NoneType), "name": (str,), "folder": (bool,)},
    ArtifactFile: {
        **dict.fromkeys(("path", "url"), (str,)),
        **dict.fromkeys(("sha256", "git_sha1", "commit"), (str, NoneType)),
        "size": (int, NoneType),
    },
    HubSource: {
        **dict.fromkeys(("repo", "commit", "revision", "kind"), (str, RepoKind)),
        **dict.fromkeys(("quant", "path"), (str, NoneType)),
        **dict.fromkeys(("include", "exclude"), (list,)),
    },
}
_REQUIRED = {kind: [one.name for one in fields(kind) if one.default is MISSING] for kind in _TYPES}


def _fields(kind: type[Any], data: Any) -> dict[str, Any]:
    """Return the values of a JSON object that `kind` has fields for. Raises ValueError, which names the field."""
    if not isinstance(data, dict):
        raise ValueError(f"{kind.__name__} is not a JSON object")
    if missing := [name for name in _REQUIRED[kind] if name not in data]:
        raise ValueError(f"{kind.__name__} has no {missing[0]}")
    for name, types in _TYPES[kind].items():
        if name in data and type(data[name]) not in types:
            raise ValueError(f"{kind.__name__}.{name} is of type {type(data[name]).__name__}")
    return {name: data[name] for name in kind.__slots__ if name in data}


def _file(data: Any) -> ArtifactFile:
    return ArtifactFile(**_fields(ArtifactFile, data))


def _hub_source(data: Any) -> HubSource | None:
    if data is None:
        return None
    known = _fields(HubSource, data)
    kind = RepoKind(known.get("kind", RepoKind.MODEL))  # rows of older versions have none
    globs = {name: tuple(known.get(name, ())) for name in ("include", "exclude")}
    return HubSource(**known | globs | {"kind": kind})


@dataclass(frozen=True, slots=True)
class Pieces:
    """The running sha256 of a file at the ends of its pieces of `piece` bytes: 32 bytes for each whole one."""

    piece: int
    states: bytes


@dataclass(frozen=True, slots=True)
class FileDigest:
    """A finished file: its path inside the artifact, its size, and the computed sha256.

    `mtime_ns` is its time when it was read, for a file that others may write into; None: no other program does.
    `commit` is that of the Hub's repository, if the Hub named it.
    """

    path: str
    bytes: int
    sha256: str
    pinned: bool
    pieces: Pieces | None = None
    mtime_ns: int | None = None
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class LocalLlm:
    """One model in the store, installed or put there by hand: a file or a folder. `bytes` is its size."""

    name: str
    path: Path
    bytes: int
    format: HubFormat | None
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A row of `flowhub/installed/1`. `sha256` is None for a folder, times are None if put by hand.

    `source` is the reference it was installed by, `linked_from` the file of another program that it shares;
    `placed_in` are the programs whose folders have it by links (operations/library/placed.py).
    """

    name: str
    model: str | None
    option: str | None
    format: HubFormat | None
    path: Path
    bytes: int
    sha256: str | None
    installed_at: datetime | None
    verified_at: datetime | None
    in_catalog: bool
    condition: Condition = Condition.BY_HAND
    source: str | None = None
    linked_from: str | None = None
    placed_in: tuple[str, ...] = ()
    pinned: bool = False  # `prune --to-fit` never removes it
    store: str = DEFAULT_STORE


def git_sha1(size: int) -> "hashlib._Hash":
    """Return a running git blob id of a file of `size` bytes: the Hub publishes it for small files."""
    return hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
