"""The cache of the Hub's own tools: huggingface_hub, transformers, vLLM, MLX, and llama.cpp's `-hf`.

    models--OWNER--REPO/blobs/ETAG                 the bytes: sha256 of a large file, git blob id of a small one
    models--OWNER--REPO/snapshots/COMMIT/PATH      a link to ../../blobs/ETAG
    models--OWNER--REPO/refs/REVISION              the commit, without a newline; written last

A snapshot never links out of the cache by itself: `hf cache rm` would remove the file that such a link leads to.
Source: huggingface_hub 2.4, `file_download.py`, `utils/_cache_manager.py`, `constants.py`.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from flowhub_jobs.errors import PlacementRefused
from flowhub_jobs.placement.app import App
from flowhub_jobs.placement.values import InstalledForPlacement, Plan, PlannedLink, PlannedSymlink, PlannedText
from flowhub_jobs.store.app_folders import HUGGING_FACE, UserFolders, model_folder

_COMMIT_DIGITS = 40


def default_root(environ: Mapping[str, str], home: Path) -> Path:
    return model_folder(HUGGING_FACE, UserFolders(environ, home)) or home / ".cache" / "huggingface" / "hub"


def plan_hf_cache(installed: InstalledForPlacement, root: Path) -> Plan:
    """Return the plan: the snapshot of the model's commit, and the branch that leads to it.

    An existing branch that leads to another commit stays, if the Hub's own tools wrote it.
    """
    if installed.repository is None or installed.commit is None:
        raise PlacementRefused(
            f"flowhub does not know the commit of {installed.name} at the Hub; the Hub's cache needs it.",
            hint="Download it by a reference such as hf:owner/repo, then place that.",
        )
    top = root / f"{installed.kind}s--{installed.repository.replace('/', '--')}"
    snapshot = top / "snapshots" / installed.commit
    blobs: dict[Path, PlannedLink] = {}
    links, files = [], []
    for file in installed.files:
        path = file.repository_path or file.path
        blob = top / "blobs" / (file.git_sha1 or file.sha256)
        blobs.setdefault(blob, PlannedLink(file.source, blob, by_digest=True))
        to_top = "../" * (2 + path.count("/"))
        links.append(PlannedSymlink(snapshot / path, f"{to_top}blobs/{blob.name}"))
        files.append(PlannedLink(file.source, snapshot / path))
    refs = [PlannedText(top / "refs" / name, installed.commit.encode(), optional=True) for name in _refs(installed)]
    note = f"vLLM, transformers and MLX load it as {installed.repository}{_revision(installed)}."
    return Plan((*blobs.values(), *links, *refs), snapshot, (note,), without_symlinks=(*files, *refs))


def _revision(installed: InstalledForPlacement) -> str:
    """Return how a revision is named where it is not the usual branch."""
    revision = installed.revision or "main"
    return "" if revision == "main" else f", revision={revision}"


def _refs(installed: InstalledForPlacement) -> list[str]:
    """Return the branch or tag that was asked for; of a commit there is none, as in the Hub's own tools."""
    revision = installed.revision or "main"
    return [] if revision == installed.commit else [revision]


def still_needed(root: Path, targets: frozenset[Path]) -> frozenset[Path]:
    """Return the blobs that snapshots of the Hub's own tools link to, and the branches that lead to such snapshots."""
    needed: set[Path] = set()
    for top in {root / target.relative_to(root).parts[0] for target in targets}:
        other_links = [path for path in _files(top / "snapshots") if path not in targets]
        needed |= {blob for path in other_links if (blob := _blob_of(path)) in targets}
        commits = {path.relative_to(top / "snapshots").parts[0] for path in other_links}
        needed |= {ref for ref in _files(top / "refs") if ref in targets and _text(ref) in commits}
    return frozenset(needed)


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        yield from (Path(parent, name) for name in (*names, *links))


def _blob_of(path: Path) -> Path | None:
    try:
        return Path(os.path.normpath(path.parent / os.readlink(path)))
    except OSError:
        return None  # a file


def _text(path: Path) -> str:
    try:
        return path.read_bytes()[:_COMMIT_DIGITS].decode("ascii", errors="replace")
    except OSError:
        return ""


APP = App("hf-cache", default_root, plan_hf_cache, needs_commit=True, still_needed=still_needed)
