"""Reads the cache of the Hub's own tools (huggingface_hub 2.x, transformers, vLLM, MLX, llama.cpp).

    models--OWNER--REPO/refs/REVISION               a commit
    models--OWNER--REPO/blobs/DIGEST                the bytes, or a link to ../../blobs/XX/XET (2.x, shared blobs)
    models--OWNER--REPO/snapshots/COMMIT/PATH       a link to ../../blobs/DIGEST, or the file (where links are off)

The name of the first hop is the digest: sha256 of an LFS file, else the git blob id. The name in the shared store is a
Xet hash, which has as many digits but is no digest of the bytes.
"""

import os
import re
from dataclasses import replace
from pathlib import Path

from flowhub_jobs.fs.names import name_problem
from flowhub_jobs.store.folder_scan import NO_UTF8, FoundFile, ScanResult, first_bytes, is_utf8, safe_name, scan_folder
from flowhub_jobs.values.artifacts import HubSource

_COMMIT = re.compile(r"[0-9a-f]{40}")
_BLOB = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")


def has_layout(folder: Path) -> bool:
    """Return whether a folder has the layout."""
    return next(folder.glob("models--*/snapshots"), None) is not None


def blob_folders(root: Path) -> list[Path]:
    """Return the folders whose files are named by digests, data sets' too: the same bytes may be in both."""
    return [folder for kind in ("models", "datasets") for folder in sorted(root.glob(f"{kind}--*/blobs"))]


def find_models(root: Path, program: str, result: ScanResult) -> None:
    """Find the models of a cache, each commit separately; those of a branch or tag come first."""
    for folder in sorted(root.glob("models--*")):
        if not is_utf8(folder):
            result.skip(folder, NO_UTF8)
            continue
        names = folder.name.removeprefix("models--").split("--")
        if folder.is_symlink() or len(names) > 2 or any(name_problem(name) for name in names):
            result.skip(folder, "has a name that is not a repository's")
            continue
        revisions = _revisions(folder)
        for commit in sorted((folder / "snapshots").glob("*"), key=lambda path: path.name not in revisions):
            if _COMMIT.fullmatch(commit.name) and commit.is_dir() and not commit.is_symlink():
                source = HubSource("/".join(names), commit.name, revisions.get(commit.name, commit.name))
                _snapshot(commit, root, program, source, result)


def _revisions(folder: Path) -> dict[str, str]:
    """Return the branch or tag of each commit, from the files in `refs`."""
    revisions: dict[str, str] = {}
    for path in sorted((folder / "refs").rglob("*")):
        commit = first_bytes(path, 64).decode(errors="replace").strip()
        if _COMMIT.fullmatch(commit) and is_utf8(path):
            revisions.setdefault(commit, str(path.relative_to(folder / "refs")))
    return revisions


def _snapshot(commit: Path, root: Path, program: str, source: HubSource, result: ScanResult) -> None:
    scan = ScanResult()
    scan_folder(commit, program, scan, within=root)
    result.skipped += scan.skipped
    for candidate in scan.candidates:
        top = candidate.where if candidate.folder and candidate.where.is_dir() else candidate.where.parent
        files = tuple(_with_claim(file, top, commit) for file in candidate.files)
        if any(not file.real.is_relative_to(root) for file in files):
            result.skip(candidate.where, "is a link that leads out of the cache")
            continue
        name = safe_name(source.repo.rpartition("/")[2]) if candidate.where == commit else candidate.name
        path = str(candidate.where.relative_to(commit)) if not candidate.folder else None
        include = () if candidate.where == commit or path else tuple(file.repo_path or file.path for file in files)
        hub = replace(source, path=path, include=include)
        result.candidates.append(replace(candidate, name=name, files=files, hub=hub))


def _with_claim(file: FoundFile, top: Path, commit: Path) -> FoundFile:
    """Return a file of a snapshot with its path in the repository, and with the digest that its blob's name claims."""
    return replace(file, claim=_claim(top / file.path), repo_path=str((top / file.path).relative_to(commit)))


def _claim(link: Path) -> str | None:
    """Return the digest in the name of the blob that a snapshot links to; None for a file, or another link."""
    try:
        blob = Path(os.path.normpath(link.parent / os.readlink(link)))
    except OSError:  # a file, where links are disabled or unsupported
        return None
    is_blob = blob.parent.name == "blobs" and "--" in blob.parent.parent.name
    return blob.name if is_blob and _BLOB.fullmatch(blob.name) else None
