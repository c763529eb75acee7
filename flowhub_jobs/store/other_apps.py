"""Where other programs on this machine keep models, and how each of them lays them out.

LM Studio       models/PUBLISHER/REPO/FILE
Hugging Face    hub/models--OWNER--REPO/snapshots/COMMIT/PATH (`store/hf_cache`)
Ollama          manifests/HOST/NAMESPACE/NAME/TAG, JSON that names blobs/sha256-DIGEST
llama.cpp       FILE, and since 2026 the Hub's layout under LLAMA_CACHE as well
ModelScope      models/OWNER--NAME/snapshots/REVISION/PATH, before 1.38 hub/models/OWNER/NAME/PATH
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from flowhub_jobs.store import hf_cache, modelscope_cache
from flowhub_jobs.store.file_hash import Unreadable, stamp_of
from flowhub_jobs.store.model_files import (
    ScanResult,
    find_ggufs,
    first_bytes,
    folders_below,
    is_utf8,
    look_through,
    single,
)

LM_STUDIO, HUGGING_FACE, OLLAMA, LLAMA_CPP, FOLDER = "lm-studio", "huggingface", "ollama", "llama.cpp", "folder"
MODELSCOPE = "modelscope"
PROGRAMS = (LM_STUDIO, HUGGING_FACE, OLLAMA, LLAMA_CPP, MODELSCOPE)
SMALL = 1 << 20  # bytes: files below have too many namesakes in size
MANIFEST_MAX = 1 << 20
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_MODEL_LAYER = "application/vnd.ollama.image.model"
_COMPANIONS = {"application/vnd.ollama.image.projector": "mmproj"}
_SYSTEM_OLLAMA = Path("/usr/share/ollama/.ollama/models")


@dataclass(frozen=True, slots=True)
class AppFolder:
    """A folder of another program's; `root` is no link."""

    program: str
    root: Path


def places(environ: Mapping[str, str], home: Path) -> list[AppFolder]:
    """Return the places that are there, for the person whose home folder and environment these are."""
    cache = Path(environ.get("XDG_CACHE_HOME") or home / ".cache")
    hub = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    hub_home = Path(environ.get("HF_HOME") or cache / "huggingface")
    wanted = [
        (LM_STUDIO, _lm_studio_folder(home)),
        (LM_STUDIO, home / ".lmstudio" / "models"),
        (LM_STUDIO, home / ".cache" / "lm-studio" / "models"),
        (HUGGING_FACE, Path(hub) if hub else hub_home / "hub"),
        *((OLLAMA, folder) for folder in _of(environ, "OLLAMA_MODELS", home / ".ollama" / "models", _SYSTEM_OLLAMA)),
        *((LLAMA_CPP, folder) for folder in _llama_cpp_folders(environ, home, cache)),
        *((MODELSCOPE, folder) for folder in _of(environ, "MODELSCOPE_CACHE", home / ".cache" / "modelscope")),
    ]
    there = [AppFolder(program, root) for program, path in wanted if path is not None and (root := _folder(path, home))]
    return list({place.root: place for place in reversed(there)}.values())[::-1]


def places_of(environ: Mapping[str, str]) -> list[AppFolder]:
    """Return the places of the person, or of the service, whose environment this is."""
    try:
        home = Path(environ.get("HOME") or Path.home())
    except RuntimeError:  # a user whom the system does not know, as in a container
        home = Path("/nonexistent")
    return places(environ, home)


def _of(environ: Mapping[str, str], name: str, *default: Path) -> tuple[Path, ...]:
    return (Path(environ[name]),) if environ.get(name) else default


def _llama_cpp_folders(environ: Mapping[str, str], home: Path, cache: Path) -> tuple[Path, ...]:
    return _of(environ, "LLAMA_CACHE", cache / "llama.cpp", home / "Library" / "Caches" / "llama.cpp")


def _lm_studio_folder(home: Path) -> Path | None:
    """Return where LM Studio was told to keep its models."""
    try:
        found = json.loads(first_bytes(home / ".lmstudio" / "settings.json", MANIFEST_MAX)).get("downloadsFolder")
    except (ValueError, AttributeError, RecursionError):
        return None
    return Path(found) if isinstance(found, str) and found else None


def _folder(path: Path, home: Path) -> Path | None:
    """Return a folder without links on the way; None if it is not there. `~` is this home."""
    try:
        parts = path.parts
        whole = home.joinpath(*parts[1:]) if parts[:1] == ("~",) else path
        real = whole.resolve(strict=True)
        return real if whole.is_absolute() and real.is_dir() else None
    except (OSError, ValueError, RuntimeError):
        return None


def place_of(folder: Path, program: str = FOLDER) -> AppFolder:
    """Return a folder that was named by hand, known by its layout if it is one of a program's."""
    if (folder / "manifests").is_dir() and (folder / "blobs").is_dir():
        return AppFolder(OLLAMA, folder)
    if hf_cache.is_one(folder):
        return AppFolder(HUGGING_FACE, folder)
    if modelscope_cache.is_one(folder):
        return AppFolder(MODELSCOPE, folder)
    return AppFolder(program, folder)


def look_at(place: AppFolder, look: ScanResult) -> None:
    """Find the models of one place."""
    try:
        if place.program == HUGGING_FACE:
            hf_cache.find(place.root, HUGGING_FACE, look)
        elif place.program == MODELSCOPE:
            modelscope_cache.find(place.root, MODELSCOPE, look)
        elif place.program == LLAMA_CPP and hf_cache.is_one(place.root):
            hf_cache.find(place.root, LLAMA_CPP, look)
            names = sorted(path.name for path in place.root.iterdir() if not path.is_dir())
            find_ggufs(place.root, [name for name in names if is_utf8(name)], LLAMA_CPP, look)
        elif place.program == OLLAMA:
            _ollama(place.root, look)
        else:
            look_through(place.root, place.program, look)
    except OSError as error:  # it went away, or its disk did
        look.skip(place.root, f"cannot be read to its end ({error.strerror or error})")


# Ollama --------------------------------------------------------------------------------------------------------------


def _ollama(root: Path, look: ScanResult) -> None:
    for folder, names in folders_below(root / "manifests", look):
        for name in names:
            parts = (folder / name).relative_to(root / "manifests").parts
            if len(parts) == 4 and not (folder / name).is_symlink():
                _manifest(folder / name, parts, root, look)


def _manifest(path: Path, parts: tuple[str, ...], root: Path, look: ScanResult) -> None:
    _host, space, model, tag = parts
    title = f"{model}-{tag}" if space == "library" else f"{space}-{model}-{tag}"
    layers = _layers(path)
    if layers is None:
        look.skip(path, "is not a manifest of Ollama's")
        return
    models = [digest for kind, digest in layers if kind == _MODEL_LAYER]
    if len(models) != 1:
        look.skip(path, f"names {len(models)} files of weights; one is taken")
        return
    wanted = [(models[0], f"{title}.gguf")]
    wanted += [(digest, f"{_COMPANIONS[kind]}-{title}.gguf") for kind, digest in layers if kind in _COMPANIONS]
    for digest, name in wanted:
        found = single(root / "blobs" / f"sha256-{digest}", OLLAMA, look, name)
        if found is not None:
            [file] = found.files
            if not file.real.is_relative_to(root):
                look.skip(path, "names a link that leads out of Ollama's folder")
                continue
            look.found.append(replace(found, files=(replace(file, claim=digest),)))


def _layers(path: Path) -> list[tuple[str, str]] | None:
    """Return media type and digest of each layer; a digest is 64 hex digits and nothing else."""
    try:
        page = json.loads(first_bytes(path, MANIFEST_MAX))
        named = [(layer["mediaType"], _DIGEST.fullmatch(layer["digest"])) for layer in page["layers"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return [(kind, digest[1]) for kind, digest in named if isinstance(kind, str) and digest]


# By digest -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """Bytes that are looked for: sha256 or git blob id in hex, and how many, if that is known."""

    digest: str
    size: int | None


def claimants(places: list[AppFolder], wanted: list[Wanted]) -> Iterator[tuple[Wanted, Path]]:
    """Yield files that may be what is wanted: by the digest in their name, else by their exact size.

    Whether they are, only their bytes tell. Paths are without links, and can be written down.
    """
    for place in places:
        try:
            yield from (found for found in _claimants(place, wanted) if is_utf8(found[1]))
        except OSError:
            continue  # it went away, or its disk did


def _claimants(place: AppFolder, wanted: list[Wanted]) -> Iterator[tuple[Wanted, Path]]:
    if place.program in (HUGGING_FACE, OLLAMA):
        blobs = [place.root / "blobs"] if place.program == OLLAMA else hf_cache.blob_folders(place.root)
        prefix = "sha256-" if place.program == OLLAMA else ""
        for want in wanted:
            yield from ((want, path) for folder in blobs if (path := _sized(folder / (prefix + want.digest), want)))
    if place.program != OLLAMA:
        yield from _by_size(place, wanted)


def _by_size(place: AppFolder, wanted: list[Wanted]) -> Iterator[tuple[Wanted, Path]]:
    """Yield the files of weights that have exactly a wanted size; of a cache of links, those that are none."""
    by_size: dict[int | None, list[Wanted]] = {}
    for want in wanted:
        if (want.size or 0) >= SMALL:
            by_size.setdefault(want.size, []).append(want)
    for folder, names in folders_below(place.root, ScanResult()) if by_size else ():
        for name in names:
            linked = place.program == HUGGING_FACE and (folder / name).is_symlink()  # found by its digest
            if name.lower().endswith((".gguf", ".safetensors")) and not linked and (real := _real(folder / name)):
                yield from ((want, real[0]) for want in by_size.get(real[1], ()))


def _sized(path: Path, want: Wanted) -> Path | None:
    found = _real(path) if path.exists() else None
    return found[0] if found and want.size in (None, found[1]) else None


def _real(path: Path) -> tuple[Path, int] | None:
    """Return where a regular file lies, links followed, and its size."""
    try:
        real = path.resolve(strict=True)
        return real, stamp_of(real).size
    except (OSError, ValueError, RuntimeError, Unreadable):
        return None
