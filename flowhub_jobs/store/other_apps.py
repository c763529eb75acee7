"""Models in the folders of other programs on this machine (`store/app_folders`), by the layout of each program.

LM Studio       models/PUBLISHER/REPO/FILE
Hugging Face    hub/models--OWNER--REPO/snapshots/COMMIT/PATH (`store/hf_cache`)
Ollama          manifests/HOST/NAMESPACE/NAME/TAG, JSON that names blobs/sha256-DIGEST; newer ones: manifests-v2/…,
                links to such blobs
llama.cpp       FILE, and since 2026 the Hub's layout under LLAMA_CACHE as well
ModelScope      models/OWNER--NAME/snapshots/REVISION/PATH, before 1.38 hub/models/OWNER/NAME/PATH
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from flowhub_jobs.store import hf_cache, modelscope_cache
from flowhub_jobs.store.app_folders import (
    HUGGING_FACE,
    LLAMA_CPP,
    LM_STUDIO,
    MODELSCOPE,
    OLLAMA,
    UserFolders,
    model_folders,
    user_folders,
)
from flowhub_jobs.store.file_hash import UnreadableFile, stamp_of
from flowhub_jobs.store.folder_scan import (
    ScanResult,
    find_ggufs,
    first_bytes,
    folders_below,
    is_utf8,
    scan_folder,
    single_file_model,
)

FOLDER = "folder"
PROGRAMS = (LM_STUDIO, HUGGING_FACE, OLLAMA, LLAMA_CPP, MODELSCOPE)
SMALL = 1 << 20  # bytes: too many files below this size have equal sizes
MANIFEST_MAX = 1 << 20
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_MANIFESTS = ("manifests", "manifests-v2")  # the second: ollama/ollama, pull request 15735
_MODEL_LAYER = "application/vnd.ollama.image.model"
_COMPANIONS = {"application/vnd.ollama.image.projector": "mmproj"}


@dataclass(frozen=True, slots=True)
class AppFolder:
    """A model folder of another program; `root` is not a link."""

    program: str
    root: Path


def app_folders(environ: Mapping[str, str], home: Path) -> list[AppFolder]:
    """Return the model folders that exist, for this environment and home folder."""
    user = UserFolders(environ, home)
    candidates = [(program, path) for program in PROGRAMS for path in model_folders(program, user)]
    existing: dict[Path, AppFolder] = {}
    for program, path in candidates:
        if root := _folder(path):
            existing.setdefault(root, AppFolder(program, root))  # the first program of one that several share
    return list(existing.values())


def app_folders_of(environ: Mapping[str, str]) -> list[AppFolder]:
    """Return the model folders that exist, for the user or service with this environment."""
    user = user_folders(environ)
    return app_folders(user.environ, user.home)


def _folder(path: Path) -> Path | None:
    """Return a folder without links in its path; None if it does not exist."""
    try:
        real = path.resolve(strict=True)
        return real if path.is_absolute() and real.is_dir() else None
    except (OSError, ValueError, RuntimeError):
        return None


def app_folder_at(folder: Path, program: str = FOLDER) -> AppFolder:
    """Return a folder that the user named; its layout tells whose it is."""
    if any((folder / name).is_dir() for name in _MANIFESTS) and (folder / "blobs").is_dir():
        return AppFolder(OLLAMA, folder)
    if hf_cache.has_layout(folder):
        return AppFolder(HUGGING_FACE, folder)
    if modelscope_cache.has_layout(folder):
        return AppFolder(MODELSCOPE, folder)
    return AppFolder(program, folder)


def scan_app_folder(app: AppFolder, result: ScanResult) -> None:
    """Find the models of one folder."""
    try:
        if app.program == HUGGING_FACE:
            hf_cache.find_models(app.root, HUGGING_FACE, result)
        elif app.program == MODELSCOPE:
            modelscope_cache.find_models(app.root, MODELSCOPE, result)
        elif app.program == LLAMA_CPP and hf_cache.has_layout(app.root):
            hf_cache.find_models(app.root, LLAMA_CPP, result)
            names = sorted(path.name for path in app.root.iterdir() if not path.is_dir())
            find_ggufs(app.root, [name for name in names if is_utf8(name)], LLAMA_CPP, result)
        elif app.program == OLLAMA:
            _ollama(app.root, result)
        else:
            scan_folder(app.root, app.program, result)
    except OSError as error:  # it was removed during the call, or its disk was
        result.skip(app.root, f"cannot be read to its end ({error.strerror or error})")


# Ollama --------------------------------------------------------------------------------------------------------------


def _ollama(root: Path, result: ScanResult) -> None:
    for top in (root / name for name in _MANIFESTS if (root / name).is_dir()):
        for folder, names in folders_below(top, result):
            for name in names:
                parts = (folder / name).relative_to(top).parts
                path = _manifest_at(folder / name, root)
                if len(parts) == 4 and path is not None:
                    _manifest(path, parts, root, result)


def _manifest_at(path: Path, root: Path) -> Path | None:
    """Return the file of a manifest; None for a link that does not lead to a blob of the same root."""
    if not path.is_symlink():
        return path
    real = _folder(root / "blobs")
    blob = path.resolve()
    return blob if real is not None and blob.parent == real else None


def _manifest(path: Path, parts: tuple[str, ...], root: Path, result: ScanResult) -> None:
    _host, space, model, tag = parts
    title = f"{model}-{tag}" if space == "library" else f"{space}-{model}-{tag}"
    layers = _layers(path)
    if layers is None:
        result.skip(path, "is not a manifest of Ollama's")
        return
    models = [digest for kind, digest in layers if kind == _MODEL_LAYER]
    if len(models) != 1:
        result.skip(path, f"names {len(models)} files of weights; flowhub takes manifests with exactly one")
        return
    named_digests = [(models[0], f"{title}.gguf")]
    named_digests += [(digest, f"{_COMPANIONS[kind]}-{title}.gguf") for kind, digest in layers if kind in _COMPANIONS]
    for digest, name in named_digests:
        weights = single_file_model(root / "blobs" / f"sha256-{digest}", OLLAMA, result, name)
        if weights is not None:
            [file] = weights.files
            if not file.real.is_relative_to(root):
                result.skip(path, "names a link that leads out of Ollama's folder")
                continue
            result.candidates.append(replace(weights, files=(replace(file, claim=digest),)))


def _layers(path: Path) -> list[tuple[str, str]] | None:
    """Return media type and digest of each layer; a digest is 64 hex digits and nothing else."""
    try:
        page = json.loads(first_bytes(path, MANIFEST_MAX))
        layers = [(layer["mediaType"], _DIGEST.fullmatch(layer["digest"])) for layer in page["layers"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return [(kind, digest[1]) for kind, digest in layers if isinstance(kind, str) and digest]


# By digest -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A file to find: its sha256 or git blob id in hex, and its size, if that is known."""

    digest: str
    size: int | None


def find_by_digest(apps: list[AppFolder], wanted: list[WantedFile]) -> Iterator[tuple[WantedFile, Path]]:
    """Yield files that may be the wanted ones: by the digest in their name, else by their exact size.

    Only a digest of their bytes proves it. Paths are without links, and valid UTF-8.
    """
    for app in apps:
        try:
            yield from (match for match in _find_in(app, wanted) if is_utf8(match[1]))
        except OSError:
            continue  # it was removed during the call, or its disk was


def _find_in(app: AppFolder, wanted: list[WantedFile]) -> Iterator[tuple[WantedFile, Path]]:
    if app.program in (HUGGING_FACE, OLLAMA):
        blobs = [app.root / "blobs"] if app.program == OLLAMA else hf_cache.blob_folders(app.root)
        prefix = "sha256-" if app.program == OLLAMA else ""
        for file in wanted:
            yield from ((file, path) for folder in blobs if (path := _of_size(folder / (prefix + file.digest), file)))
    if app.program != OLLAMA:
        yield from _by_size(app, wanted)


def _by_size(app: AppFolder, wanted: list[WantedFile]) -> Iterator[tuple[WantedFile, Path]]:
    """Yield weight files that have exactly a wanted size; in the Hub's cache, only those that are not links."""
    by_size: dict[int | None, list[WantedFile]] = {}
    for wanted_file in wanted:
        if (wanted_file.size or 0) >= SMALL:
            by_size.setdefault(wanted_file.size, []).append(wanted_file)
    for folder, names in folders_below(app.root, ScanResult()) if by_size else ():
        for name in names:
            linked = app.program == HUGGING_FACE and (folder / name).is_symlink()  # found by its digest
            if name.lower().endswith((".gguf", ".safetensors")) and not linked and (real := _real(folder / name)):
                yield from ((wanted_file, real[0]) for wanted_file in by_size.get(real[1], ()))


def _of_size(path: Path, wanted: WantedFile) -> Path | None:
    file = _real(path) if path.exists() else None
    return file[0] if file and wanted.size in (None, file[1]) else None


def _real(path: Path) -> tuple[Path, int] | None:
    """Return the path of a regular file, links resolved, and its size."""
    try:
        real = path.resolve(strict=True)
        return real, stamp_of(real).size
    except (OSError, ValueError, RuntimeError, UnreadableFile):
        return None
