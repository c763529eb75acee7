"""Which files in a folder that is not ours make up a model. Nothing of it is believed, and nothing is written.

Folders that are links are not entered, so that a loop ends; links to files are followed to regular files only.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from flowhub_jobs.fs.names import MAX_NAME_BYTES, is_unseen, name_problem, path_problem
from flowhub_jobs.store.file_hash import Unreadable, reason, stamp_of
from flowhub_jobs.values.artifacts import HubSource
from flowhub_jobs.values.enums import HubFormat

STORE = "store"
DEPTH_MAX = 16
ENTRIES_MAX = 200_000
JSON_MAX = 32 << 20
HEADER_MAX = 8 << 20
NO_UTF8 = "has a name that is not UTF-8"
GGUF_MAGIC = (b"GGUF", b"FUGG")  # the second: big-endian files
_PART = re.compile(r"(.+)-([0-9]{5})-of-([0-9]{5})\.gguf", re.IGNORECASE)
_MLX = re.compile(rb'"format"\s*:\s*"mlx"')


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file of a candidate: its path inside the model, and where its bytes lie, links followed.

    `claim` is the digest that its name claims: 64 hex digits of sha256, or 40 of a git blob. `repo_path` is its path in
    the repository that it was taken from.
    """

    path: str
    real: Path
    size: int
    claim: str | None = None
    repo_path: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model by its first bytes. `where` is the file or folder that a person knows it by."""

    program: str
    where: Path
    name: str
    format: HubFormat | None
    folder: bool
    files: tuple[FoundFile, ...]
    hub: HubSource | None = None
    source: str | None = None  # the reference to its repository at another source than the Hub
    address: str | None = None  # below which that repository's files are

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something that is not taken; `why` ends the sentence "it …"."""

    path: Path
    why: str


@dataclass(slots=True)
class ScanResult:
    """What was found in the places so far."""

    found: list[Candidate] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, path: Path, why: str) -> None:
        self.skipped.append(Skipped(path, why))


def look_through(top: Path, program: str, look: ScanResult, *, within: Path | None = None) -> None:
    """Find the models in a folder, at any depth; `top` is no link. `within` is what no link may lead out of."""
    inside_of: Path | None = None
    for folder, files in folders_below(top, look):
        if inside_of is not None and folder.is_relative_to(inside_of):
            continue  # a part of the model above it
        inside_of = None
        find_ggufs(folder, files, program, look)
        if "config.json" in files and any(name.lower().endswith(".safetensors") for name in files):
            inside_of = folder
            find_folder(folder, within or top, program, look)


def folders_below(top: Path, look: ScanResult) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder below `top`, parents first, with the names of what is in it and is no folder."""
    pending, count = [(top, 0)], 0
    while pending:
        folder, depth = pending.pop()
        try:
            with os.scandir(folder) as entries:
                here = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            look.skip(folder, reason(error))
            continue
        count += len(here)
        if count > ENTRIES_MAX or depth > DEPTH_MAX:
            look.skip(folder, "is too deep, or holds too much: name the folder of the models itself")
            return
        for entry in here:
            if not is_utf8(entry.name):
                look.skip(Path(entry.path), NO_UTF8)
        here = [entry for entry in here if is_utf8(entry.name)]
        below = [entry for entry in here if entry.is_dir(follow_symlinks=False)]
        yield folder, [entry.name for entry in here if not entry.is_dir(follow_symlinks=False)]
        pending += [(Path(entry.path), depth + 1) for entry in reversed(below) if not entry.name.startswith(".")]


# GGUF ----------------------------------------------------------------------------------------------------------------


def find_ggufs(folder: Path, names: list[str], program: str, look: ScanResult) -> None:
    """Find the GGUF files among these names of one folder; the parts of one that was split are one model."""
    split: dict[tuple[str, int], dict[int, str]] = {}
    for name in names:
        if not name.lower().endswith(".gguf"):
            continue
        part = _PART.fullmatch(name)
        if part:
            split.setdefault((part[1], int(part[3])), {})[int(part[2])] = name
        elif candidate := single(folder / name, program, look):
            look.found.append(candidate)
    for (base, count), parts in split.items():
        if sorted(parts) != list(range(1, count + 1)):
            look.skip(folder / next(iter(parts.values())), f"is a part of a model of {count}: {len(parts)} there")
            continue
        files = [_weights(folder / name, look) for name in parts.values()]
        if all(files):
            whole = tuple(file for file in files if file is not None)
            look.found.append(
                Candidate(program, folder / parts[1], safe_name(base), HubFormat.GGUF, folder=True, files=whole)
            )


def single(path: Path, program: str, look: ScanResult, name: str | None = None) -> Candidate | None:
    """Return a model of one file, which is what its first bytes say."""
    file = _weights(path, look)
    if file is None:
        return None
    kind = weights_format(file.real)
    name = safe_name(name or path.name)
    return Candidate(program, path, name, kind, folder=False, files=(replace(file, path=name),))


def _weights(path: Path, look: ScanResult) -> FoundFile | None:
    file = found_file(path, path.name, look)
    if file is None:
        return None
    if weights_format(file.real) is None:
        look.skip(path, "is neither GGUF nor safetensors by its first bytes")
        return None
    return file


def weights_format(path: Path) -> HubFormat | None:
    """Return what a regular file is by its first bytes; a safetensors file written by MLX says so in its header."""
    head = first_bytes(path, 9)
    if head[:4] in GGUF_MAGIC:
        return HubFormat.GGUF
    length = int.from_bytes(head[:8], "little")
    if len(head) < 9 or head[8:9] != b"{" or not 2 <= length <= 100_000_000:
        return None
    header = first_bytes(path, min(8 + length, HEADER_MAX))
    return HubFormat.MLX if _MLX.search(header) else HubFormat.SAFETENSORS


def first_bytes(path: Path, count: int) -> bytes:
    """Return what a file begins with, or nothing if it cannot be read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError):
        return b""
    try:
        return os.pread(fd, count, 0)
    except OSError:
        return b""
    finally:
        os.close(fd)


def found_file(path: Path, inside: str, look: ScanResult, *, within: Path | None = None) -> FoundFile | None:
    """Return a regular file, links followed; None, and it is said, for anything else. `within` bounds its links."""
    try:
        real = path.resolve(strict=True)
        size = stamp_of(real).size
    except Unreadable as error:
        look.skip(path, str(error))
        return None
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
        look.skip(path, "is a link that leads nowhere" if path.is_symlink() else reason(OSError(str(error))))
        return None
    if not is_utf8(path, real):
        look.skip(path, NO_UTF8)
        return None
    if within is not None and not real.is_relative_to(within):
        look.skip(path, "is a link that leads out of its folder")
        return None
    return FoundFile(inside, real, size)


# Folders -------------------------------------------------------------------------------------------------------------


def find_folder(folder: Path, within: Path, program: str, look: ScanResult) -> None:
    """Find the model that is this folder with all that lies in it; GGUF files beside it are models of their own."""
    files = files_below(folder, within, look)
    if files is None:
        return
    files = [file for file in files if not file.path.lower().endswith(".gguf")]
    if missing := _missing_shards(files):
        look.skip(folder, f"is not whole: {missing} is not there")
        return
    kind = folder_format(files)
    if kind is None:
        look.skip(folder, "has weights that are not safetensors by their first bytes")
        return
    look.found.append(Candidate(program, folder, safe_name(folder.name), kind, folder=True, files=tuple(files)))


def files_below(folder: Path, within: Path | None, look: ScanResult) -> list[FoundFile] | None:
    """Return every file of a folder, at any depth; None, and it is said why, if one cannot be taken.

    A link is followed out of `within` to weights alone: their first bytes tell what they are.
    """
    files = []
    own = ScanResult()
    for place, names in folders_below(folder, own):
        for name in names:
            inside = str((place / name).relative_to(folder))
            if name.startswith("."):
                continue
            if problem := path_problem(inside):
                own.skip(place / name, f"has a name that is not taken: it {problem}")
                continue
            weights = name.lower().endswith(".safetensors")
            file = found_file(place / name, inside, own, within=None if weights else within)
            files += [file] if file else []
    if own.skipped:
        first = own.skipped[0]
        look.skip(folder, f"has something in it that cannot be taken: {first.path.name} {first.why}")
        return None
    return sorted(files, key=lambda file: file.path)


def standing(path: Path, look: ScanResult) -> Candidate | None:
    """Return an entry of the store as the model that it is: a file, or a folder with all that lies in it."""
    if not path.is_dir():
        found = single(path, STORE, look)
        return found and replace(found, name=path.name, files=(replace(found.files[0], path=path.name),))
    files = files_below(path.resolve(), None, look)
    if files is None:
        return None
    if not any(weights_format(file.real) for file in files if _is_weights(file.path)):
        look.skip(path, "is not a model: neither GGUF nor safetensors is in it")
        return None
    return Candidate(STORE, path, path.name, folder_format(files), folder=True, files=tuple(files))


def file_by_name(path: Path, program: str, look: ScanResult) -> None:
    """Find the model that a file is, or is a part of."""
    part = _PART.fullmatch(path.name)
    if not part:
        found = single(path, program, look)
        look.found += [found] if found else []
        return
    beside = (_PART.fullmatch(name) for name in os.listdir(path.parent))
    find_ggufs(path.parent, [b[0] for b in beside if b and (b[1], b[3]) == (part[1], part[3])], program, look)


def _is_weights(name: str) -> bool:
    return name.lower().endswith((".safetensors", ".gguf"))


def folder_format(files: list[FoundFile]) -> HubFormat | None:
    """Return what a folder's weights are, if all are of one kind."""
    weights = [file for file in files if _is_weights(file.path)]
    kinds = {weights_format(file.real) for file in weights}
    if kinds == {HubFormat.SAFETENSORS} and _is_quantized_by_mlx(files):
        return HubFormat.MLX
    if kinds == {HubFormat.SAFETENSORS, HubFormat.MLX}:
        return HubFormat.MLX
    return kinds.pop() if len(kinds) == 1 else None


def _is_quantized_by_mlx(files: list[FoundFile]) -> bool:
    config = next((_json(file.real) for file in files if file.path == "config.json"), None)
    quantization = config.get("quantization") if isinstance(config, dict) else None
    return isinstance(quantization, dict) and "group_size" in quantization


def _missing_shards(files: list[FoundFile]) -> str | None:
    """Return a file that the index of the weights names and that is not there."""
    index = next((file for file in files if file.path == "model.safetensors.index.json"), None)
    if index is None:
        return None
    page = _json(index.real)
    shards = page.get("weight_map") if isinstance(page, dict) else None
    if not isinstance(shards, dict):
        return "a readable model.safetensors.index.json"
    there = {file.path for file in files}
    return next((f"{name!s:.200}" for name in shards.values() if name not in there), None)


def _json(path: Path) -> object:
    text = first_bytes(path, JSON_MAX + 1)
    try:
        return json.loads(text) if len(text) <= JSON_MAX else None
    except (ValueError, RecursionError):
        return None


# Names ---------------------------------------------------------------------------------------------------------------


def is_utf8(*paths: Path | str) -> bool:
    """Return whether all of these can be written down: neither the database nor a page takes other names."""
    try:
        return all(str(path).encode() is not None for path in paths)
    except UnicodeEncodeError:
        return False


def safe_name(name: str) -> str:
    """Return a name for the store that is as near to `name` as the store's rules let it be."""
    text = "".join("-" if char in '/\\:*?"<>|' or is_unseen(char) else char for char in name).strip().lstrip(".~- ")
    text = text.encode(errors="ignore")[-MAX_NAME_BYTES:].decode(errors="ignore").strip(". ") or "model"
    return text if name_problem(text) is None else f"model-{text}"[:MAX_NAME_BYTES]
