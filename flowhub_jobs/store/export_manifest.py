"""Manifest of a folder of exported models: `flowhub-manifest.json`, with the digest of every file.

<folder>/flowhub-manifest.json     {"schema": "flowhub/export/1", "models": [{"name", "artifact", "files": [...]}]}
<folder>/<name>                    the models, as in a store
<folder>/.flowhub-partial/         copies in progress
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flowhub_jobs.errors import AddressRefused, ManifestUnusable
from flowhub_jobs.fs.atomic_write import write_whole
from flowhub_jobs.fs.names import name_problem, path_problem, same_name_key
from flowhub_jobs.net.urls import check_address
from flowhub_jobs.values.artifacts import Artifact

NAME = "flowhub-manifest.json"
PARTIAL = ".flowhub-partial"
SCHEMA = "flowhub/export/1"
BYTES_MAX = 100_000_000
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One model of a manifest: the artifact as installed, and the size and sha256 of each of its files, by path."""

    name: str
    artifact: Artifact
    files: Mapping[str, tuple[int, str]]

    @property
    def bytes(self) -> int:
        return sum(size for size, _ in self.files.values())

    def as_dict(self) -> dict[str, Any]:
        files = [{"path": path, "bytes": size, "sha256": digest} for path, (size, digest) in self.files.items()]
        return {"name": self.name, "artifact": self.artifact.as_dict(), "files": files}


def without_queries(artifact: Artifact) -> Artifact:
    """Return the artifact as it may be exported: a URL's query may hold a secret."""
    return replace(artifact, files=tuple(replace(file, url=file.url.partition("?")[0]) for file in artifact.files))


def read_manifest(folder: Path) -> dict[str, ManifestEntry]:
    """Return the models of a manifest by name. Raises ManifestUnusable, which names the entry and why."""
    path = folder / NAME
    try:
        if path.exists() and not path.is_file():  # reading a pipe would never end
            raise ManifestUnusable(f"{path} is not a file.")
        if path.stat().st_size > BYTES_MAX:
            raise ManifestUnusable(f"{path} is larger than {BYTES_MAX // 1_000_000} MB.")
        page = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ManifestUnusable(
            f"{folder} holds no {NAME}: nothing was exported to it.",
            hint=f"For models that others put there: `flowhub adopt {folder}`.",
        ) from None
    except NotADirectoryError:
        hint = "Name the folder that `flowhub export` wrote."
        raise ManifestUnusable(f"{folder} is a file, not a folder of exported models.", hint=hint) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestUnusable(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if not isinstance(page, dict) or page.get("schema") != SCHEMA or not isinstance(page.get("models"), list):
        raise ManifestUnusable(f"{path} is not of the form {SCHEMA}.")
    models = [_parse_entry(entry, f"{path}, model {number}") for number, entry in enumerate(page["models"], 1)]
    if len({same_name_key(model.name) for model in models}) < len(models):
        raise ManifestUnusable(f"{path} names a model twice (case does not count).")
    return {model.name: model for model in models}


def read_manifest_if_any(folder: Path) -> dict[str, ManifestEntry]:
    """Return the models of a folder's manifest; none where there is no manifest yet."""
    return read_manifest(folder) if (folder / NAME).exists() else {}


def write_manifest(folder: Path, models: Mapping[str, ManifestEntry]) -> None:
    """Write the manifest durably and readable for all. The caller holds the folder's lock."""
    page = {"schema": SCHEMA, "models": [models[name].as_dict() for name in sorted(models)]}
    content = json.dumps(page, indent=1).encode()
    write_whole(folder / NAME, content, mode=0o644, scratch=folder / PARTIAL / NAME)


def _parse_entry(entry: Any, position: str) -> ManifestEntry:
    """Return a validated entry. Its disk may come from anywhere: nothing in it is trusted."""
    try:
        _check_types(entry["artifact"])
        artifact = Artifact.from_dict(entry["artifact"])
        files = {file["path"]: (file["bytes"], file["sha256"]) for file in entry["files"]}
        _check(entry["name"], artifact, files)
    except (KeyError, TypeError, AttributeError, ValueError, AddressRefused) as error:
        raise ManifestUnusable(f"{position} is malformed: {type(error).__name__}: {str(error)[:200]}.") from error
    return ManifestEntry(entry["name"], artifact, files)


def _check(name: Any, artifact: Artifact, files: Mapping[Any, tuple[Any, Any]]) -> None:
    """Raise ValueError for a name that would leave the folder, and for an invalid digest or size."""
    for bare in (name, artifact.name):
        if not isinstance(bare, str) or (problem := name_problem(bare)):
            raise ValueError(f"the name {bare!r} {problem if isinstance(bare, str) else 'is not text'}")
    for path, (size, digest) in files.items():
        _check_file(path, size, digest)
    if {file.path for file in artifact.files} != set(files) or not files:
        raise ValueError("its files are not those of its artifact")
    if not artifact.folder and len(files) != 1:
        raise ValueError("a model that is no folder has one file")
    for file in artifact.files:
        size, digest = files[file.path]
        if file.sha256 not in (None, digest) or file.size not in (None, size):
            raise ValueError(f"{file.path} has two digests, or two sizes")
        if file.url:
            check_address(file.url, pinned=True)


def _check_file(path: Any, size: Any, digest: Any) -> None:
    if not isinstance(path, str) or (problem := path_problem(path)):
        raise ValueError(f"the path {path!r} {problem if isinstance(path, str) else 'is not text'}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise ValueError(f"{path} has no size")
    if not isinstance(digest, str) or not _HEX.fullmatch(digest):
        raise ValueError(f"{path} has no sha256")


def _check_types(artifact: Any) -> None:
    """Raise ValueError for a value of a wrong type: values go into a database unchanged."""
    texts = {name: artifact[name] for name in ("model", "option", "format")} | {"hub": None}
    required = {name: artifact[name] for name in ("ref", "name")}
    for file in artifact["files"]:
        texts |= {f"{file['path']!r} {name}": file[name] for name in ("sha256", "git_sha1")}
        required |= {"path": file["path"]} | ({"url": file["url"]} if file["url"] != "" else {})
        if not (file["size"] is None or (type(file["size"]) is int and 0 <= file["size"] < 2**63)):
            raise ValueError(f"{file['path']!r} has no size")
    texts |= required | _texts_of_hub(artifact.get("hub"))
    for name, text in texts.items():
        if text is not None and not (isinstance(text, str) and text and text.isprintable() and _is_encodable(text)):
            raise ValueError(f"{name} is {str(text)[:40]!r}")
    if type(artifact["folder"]) is not bool or None in required.values():
        raise ValueError("its reference, its name or its kind is missing")


def _texts_of_hub(hub: Any) -> dict[str, Any]:
    if hub is None:
        return {}
    lists = {f"{name} {at}": glob for name in ("include", "exclude") for at, glob in enumerate(hub[name])}
    return {f"hub {name}": hub[name] for name in ("repo", "commit", "revision", "quant", "path")} | lists


def _is_encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
