"""Where other programs on this machine keep models, and how each of them lays them out.

LM Studio       models/PUBLISHER/REPO/FILE
Hugging Face    hub/models--OWNER--REPO/snapshots/COMMIT/PATH, links to ../../blobs/DIGEST
Ollama          manifests/HOST/NAMESPACE/NAME/TAG, JSON that names blobs/sha256-DIGEST
llama.cpp       FILE
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from flowhub_jobs.artifacts import HubSource
from flowhub_jobs.names import name_problem
from flowhub_jobs.store.candidates import (
    NO_UTF8,
    FoundFile,
    Look,
    first_bytes,
    folders_below,
    is_utf8,
    look_through,
    safe_name,
    single,
)
from flowhub_jobs.store.hashed import Unreadable, stamp_of

LM_STUDIO, HUGGING_FACE, OLLAMA, LLAMA_CPP, FOLDER = "lm-studio", "huggingface", "ollama", "llama.cpp", "folder"
PROGRAMS = (LM_STUDIO, HUGGING_FACE, OLLAMA, LLAMA_CPP)
SMALL = 1 << 20  # bytes: files below have too many namesakes in size
MANIFEST_MAX = 1 << 20
_COMMIT = re.compile(r"[0-9a-f]{40}")
_BLOB = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_MODEL_LAYER = "application/vnd.ollama.image.model"
_COMPANIONS = {"application/vnd.ollama.image.projector": "mmproj"}
_SYSTEM_OLLAMA = Path("/usr/share/ollama/.ollama/models")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of another program's; `root` is no link."""

    program: str
    root: Path


def places(environ: Mapping[str, str], home: Path) -> list[Place]:
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
    ]
    there = [Place(program, root) for program, path in wanted if path is not None and (root := _folder(path, home))]
    return list({place.root: place for place in reversed(there)}.values())[::-1]


def places_of(environ: Mapping[str, str]) -> list[Place]:
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


def place_of(folder: Path, program: str = FOLDER) -> Place:
    """Return a folder that was named by hand, known by its layout if it is one of a program's."""
    if (folder / "manifests").is_dir() and (folder / "blobs").is_dir():
        return Place(OLLAMA, folder)
    if next(folder.glob("models--*/snapshots"), None) is not None:
        return Place(HUGGING_FACE, folder)
    return Place(program, folder)


def look_at(place: Place, look: Look) -> None:
    """Find the models of one place."""
    try:
        if place.program == HUGGING_FACE:
            _hugging_face(place.root, look)
        elif place.program == OLLAMA:
            _ollama(place.root, look)
        else:
            look_through(place.root, place.program, look)
    except OSError as error:  # it went away, or its disk did
        look.skip(place.root, f"cannot be read to its end ({error.strerror or error})")


# Hugging Face --------------------------------------------------------------------------------------------------------


def _hugging_face(root: Path, look: Look) -> None:
    for folder in sorted(root.glob("models--*")):
        if not is_utf8(folder):
            look.skip(folder, NO_UTF8)
            continue
        names = folder.name.removeprefix("models--").split("--")
        if folder.is_symlink() or len(names) > 2 or any(name_problem(name) for name in names):
            look.skip(folder, "has a name that is no repository's")
            continue
        revisions = _revisions(folder)
        for commit in sorted((folder / "snapshots").glob("*"), key=lambda path: path.name not in revisions):
            if _COMMIT.fullmatch(commit.name) and commit.is_dir() and not commit.is_symlink():
                source = HubSource("/".join(names), commit.name, revisions.get(commit.name, commit.name))
                _snapshot(commit, root, source, look)


def _revisions(folder: Path) -> dict[str, str]:
    """Return the branch or tag by which each commit was asked for."""
    found: dict[str, str] = {}
    for path in sorted((folder / "refs").rglob("*")):
        commit = first_bytes(path, 64).decode(errors="replace").strip()
        if _COMMIT.fullmatch(commit) and is_utf8(path):
            found.setdefault(commit, str(path.relative_to(folder / "refs")))
    return found


def _snapshot(commit: Path, root: Path, source: HubSource, look: Look) -> None:
    own = Look()
    look_through(commit, HUGGING_FACE, own, within=root)
    look.skipped += own.skipped
    for candidate in own.found:
        top = candidate.where if candidate.folder and candidate.where.is_dir() else candidate.where.parent
        files = tuple(_with_claim(file, top, commit) for file in candidate.files)
        if any(not file.real.is_relative_to(root) for file in files):
            look.skip(candidate.where, "is a link that leads out of the cache")
            continue
        name = safe_name(source.repo.rpartition("/")[2]) if candidate.where == commit else candidate.name
        path = str(candidate.where.relative_to(commit)) if not candidate.folder else None
        include = () if candidate.where == commit or path else tuple(file.repo_path or file.path for file in files)
        hub = replace(source, path=path, include=include)
        look.found.append(replace(candidate, name=name, files=files, hub=hub))


def _with_claim(file: FoundFile, top: Path, commit: Path) -> FoundFile:
    """Return a file of a snapshot with its path in the repository, and with what its blob's name claims."""
    claim = file.real.name if file.real.parent.name == "blobs" and _BLOB.fullmatch(file.real.name) else None
    return replace(file, claim=claim, repo_path=str((top / file.path).relative_to(commit)))


# Ollama --------------------------------------------------------------------------------------------------------------


def _ollama(root: Path, look: Look) -> None:
    for folder, names in folders_below(root / "manifests", look):
        for name in names:
            parts = (folder / name).relative_to(root / "manifests").parts
            if len(parts) == 4 and not (folder / name).is_symlink():
                _manifest(folder / name, parts, root, look)


def _manifest(path: Path, parts: tuple[str, ...], root: Path, look: Look) -> None:
    _host, space, model, tag = parts
    title = f"{model}-{tag}" if space == "library" else f"{space}-{model}-{tag}"
    layers = _layers(path)
    if layers is None:
        look.skip(path, "is no manifest of Ollama's")
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


def claimants(places: list[Place], wanted: list[Wanted]) -> Iterator[tuple[Wanted, Path]]:
    """Yield files that may be what is wanted: by the digest in their name, else by their exact size.

    Whether they are, only their bytes tell. Paths are without links, and can be written down.
    """
    for place in places:
        try:
            yield from (found for found in _claimants(place, wanted) if is_utf8(found[1]))
        except OSError:
            continue  # it went away, or its disk did


def _claimants(place: Place, wanted: list[Wanted]) -> Iterator[tuple[Wanted, Path]]:
    if place.program in (HUGGING_FACE, OLLAMA):
        blobs = [place.root / "blobs"] if place.program == OLLAMA else sorted(place.root.glob("models--*/blobs"))
        prefix = "sha256-" if place.program == OLLAMA else ""
        for want in wanted:
            yield from ((want, path) for folder in blobs if (path := _sized(folder / (prefix + want.digest), want)))
        return
    by_size: dict[int | None, list[Wanted]] = {}
    for want in wanted:
        if (want.size or 0) >= SMALL:
            by_size.setdefault(want.size, []).append(want)
    for folder, names in folders_below(place.root, Look()) if by_size else ():
        for name in names:
            if name.lower().endswith((".gguf", ".safetensors")) and (real := _real(folder / name)):
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
