"""Reads the cache of ModelScope's SDK, which vLLM and MLX share (modelscope_hub, `_cache_manager`).

models/OWNER--NAME/snapshots/REVISION/PATH      since 1.38
hub/models/OWNER/NAME/PATH, hub/OWNER/NAME/PATH before; a dot of the name is written ___
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from flowhub_jobs.fs.names import name_problem
from flowhub_jobs.store.folder_scan import ScanResult, is_utf8, safe_name, scan_folder

SITE = "https://modelscope.cn"
DEFAULT_REVISION = "master"


@dataclass(frozen=True, slots=True)
class _Model:
    repo: str
    revision: str
    folder: Path


def has_layout(folder: Path) -> bool:
    """Return whether a folder has the layout."""
    return next(folder.glob("models/*--*/snapshots"), None) is not None or (folder / "hub" / "models").is_dir()


def find_models(root: Path, program: str, result: ScanResult) -> None:
    """Find the models of a cache, each under the name of its repository."""
    for model in _models(root):
        scan = ScanResult()
        scan_folder(model.folder, program, scan)
        result.skipped += scan.skipped
        for candidate in scan.candidates:
            is_whole_repo = candidate.where == model.folder
            top = candidate.where if candidate.folder and candidate.where.is_dir() else candidate.where.parent
            files = tuple(
                replace(file, repo_path=str((top / file.path).relative_to(model.folder))) for file in candidate.files
            )
            name = safe_name(model.repo.rpartition("/")[2]) if is_whole_repo else candidate.name
            source = f"ms:{model.repo}" if model.revision == DEFAULT_REVISION else f"ms:{model.repo}@{model.revision}"
            if not is_whole_repo:
                source += f"/{files[0].repo_path}"
            address = f"{SITE}/models/{model.repo}/resolve/{quote(model.revision, safe='')}"
            result.candidates.append(replace(candidate, name=name, files=files, source=source, address=address))


def _models(root: Path) -> Iterator[_Model]:
    for snapshot in sorted(root.glob("models/*--*/snapshots/*")):
        repo = snapshot.parent.parent.name.replace("--", "/", 1)
        if _is_sound(snapshot, repo):
            yield _Model(repo, snapshot.name, snapshot)
    # MODELSCOPE_CACHE stood for the folder `hub` in older versions.
    for top in (root / "hub" / "models", root / "hub", root / "models"):
        for folder in sorted(top.glob("*/*")):
            repo = f"{folder.parent.name}/{folder.name.replace('___', '.')}"
            if "--" not in folder.parent.name and folder.parent != root / "hub" / "models" and _is_sound(folder, repo):
                yield _Model(repo, DEFAULT_REVISION, folder)


def _is_sound(folder: Path, repo: str) -> bool:
    names = repo.split("/")
    is_repo = len(names) == 2 and not any(name_problem(name) for name in names)
    return is_repo and is_utf8(folder) and folder.is_dir() and not folder.is_symlink()
