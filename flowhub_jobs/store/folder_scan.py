"""Models in any folder, found by their files' first bytes. No name is trusted, and nothing is written.

Folders that are links are not entered, so that a loop ends; links to files are followed to regular files only.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from flowhub_jobs.fs.names import MAX_NAME_BYTES, is_unseen, name_problem, path_problem
from flowhub_jobs.store.file_hash import UnreadableFile, read_error_text, stamp_of
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
    """One file of a candidate: its path inside the model, and the path of its bytes, links resolved.

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
    """A model by its first bytes. `where` is the file or folder by which a user knows it."""

    program: str
    where: Path
    name: str
    format: HubFormat | None
    folder: bool
    files: tuple[FoundFile, ...]
    hub: HubSource | None = None
    source: str | None = None  # the reference to its repository at another source than the Hub
    address: str | None = None  # prefix of the URLs of that repository's files

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file or folder that is not taken; `why` ends the sentence "it …"."""

    path: Path
    why: str


@dataclass(slots=True)
class ScanResult:
    """The models found so far, and the files and folders not taken."""

    candidates: list[Candidate] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def skip(self, path: Path, why: str) -> None:
        self.skipped.append(Skipped(path, why))


def scan_folder(top: Path, program: str, result: ScanResult, *, within: Path | None = None) -> None:
    """Find the models in a folder, at any depth; `top` is not a link. No link is followed out of `within`."""
    inside_of: Path | None = None
    for folder, files in folders_below(top, result):
        if inside_of is not None and folder.is_relative_to(inside_of):
            continue  # a part of the model above it
        inside_of = None
        find_ggufs(folder, files, program, result)
        if "config.json" in files and any(name.lower().endswith(".safetensors") for name in files):
            inside_of = folder
            find_folder(folder, within or top, program, result)


def folders_below(top: Path, result: ScanResult) -> Iterator[tuple[Path, list[str]]]:
    """Yield each folder below `top`, parents first, with the names of its files."""
    pending, count = [(top, 0)], 0
    while pending:
        folder, depth = pending.pop()
        try:
            with os.scandir(folder) as entries:
                children = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            result.skip(folder, read_error_text(error))
            continue
        count += len(children)
        if count > ENTRIES_MAX or depth > DEPTH_MAX:
            result.skip(folder, "is too deep, or holds too much: name the folder of the models itself")
            return
        for entry in children:
            if not is_utf8(entry.name):
                result.skip(Path(entry.path), NO_UTF8)
        children = [entry for entry in children if is_utf8(entry.name)]
        subfolders = [entry for entry in children if entry.is_dir(follow_symlinks=False)]
        yield folder, [entry.name for entry in children if not entry.is_dir(follow_symlinks=False)]
        pending += [(Path(entry.path), depth + 1) for entry in reversed(subfolders) if not entry.name.startswith(".")]


# GGUF ----------------------------------------------------------------------------------------------------------------


def find_ggufs(folder: Path, names: list[str], program: str, result: ScanResult) -> None:
    """Find the GGUF files among these names of one folder; the parts of a split file are one model."""
    split: dict[tuple[str, int], dict[int, str]] = {}
    for name in names:
        if not name.lower().endswith(".gguf"):
            continue
        part = _PART.fullmatch(name)
        if part:
            split.setdefault((part[1], int(part[3])), {})[int(part[2])] = name
        elif candidate := single_file_model(folder / name, program, result):
            result.candidates.append(candidate)
    for (base, count), parts in split.items():
        if sorted(parts) != list(range(1, count + 1)):
            result.skip(folder / next(iter(parts.values())), f"is a part of a model of {count}: {len(parts)} there")
            continue
        files = [_weights(folder / name, result) for name in parts.values()]
        if all(files):
            all_parts = tuple(file for file in files if file is not None)
            result.candidates.append(
                Candidate(program, folder / parts[1], safe_name(base), HubFormat.GGUF, folder=True, files=all_parts)
            )


def single_file_model(path: Path, program: str, result: ScanResult, name: str | None = None) -> Candidate | None:
    """Return a model of one file, in the format of its first bytes."""
    file = _weights(path, result)
    if file is None:
        return None
    model_format = weights_format(file.real)
    name = safe_name(name or path.name)
    return Candidate(program, path, name, model_format, folder=False, files=(replace(file, path=name),))


def _weights(path: Path, result: ScanResult) -> FoundFile | None:
    file = found_file(path, path.name, result)
    if file is None:
        return None
    if weights_format(file.real) is None:
        result.skip(path, "is neither GGUF nor safetensors by its first bytes")
        return None
    return file


def weights_format(path: Path) -> HubFormat | None:
    """Return the format of a regular file by its first bytes; MLX names itself in the header of a safetensors file."""
    head = first_bytes(path, 9)
    if head[:4] in GGUF_MAGIC:
        return HubFormat.GGUF
    length = int.from_bytes(head[:8], "little")
    if len(head) < 9 or head[8:9] != b"{" or not 2 <= length <= 100_000_000:
        return None
    header = first_bytes(path, min(8 + length, HEADER_MAX))
    return HubFormat.MLX if _MLX.search(header) else HubFormat.SAFETENSORS


def first_bytes(path: Path, count: int) -> bytes:
    """Return the first bytes of a file, or nothing if it cannot be read."""
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


def found_file(path: Path, inside: str, result: ScanResult, *, within: Path | None = None) -> FoundFile | None:
    """Return a regular file, links followed; for anything else, skip it and return None. `within` bounds its links."""
    try:
        real = path.resolve(strict=True)
        size = stamp_of(real).size
    except UnreadableFile as error:
        result.skip(path, str(error))
        return None
    except (OSError, ValueError, RuntimeError) as error:  # RuntimeError: a loop of links
        result.skip(path, "is a link that leads nowhere" if path.is_symlink() else read_error_text(OSError(str(error))))
        return None
    if not is_utf8(path, real):
        result.skip(path, NO_UTF8)
        return None
    if within is not None and not real.is_relative_to(within):
        result.skip(path, "is a link that leads out of its folder")
        return None
    return FoundFile(inside, real, size)


# Folders -------------------------------------------------------------------------------------------------------------


def find_folder(folder: Path, within: Path, program: str, result: ScanResult) -> None:
    """Find the model that is this whole folder; GGUF files in it are separate models."""
    files = files_below(folder, within, result)
    if files is None:
        return
    files = [file for file in files if not file.path.lower().endswith(".gguf")]
    if missing := _missing_shards(files):
        result.skip(folder, f"is not whole: {missing} is not there")
        return
    kind = folder_format(files)
    if kind is None:
        result.skip(folder, "has weights that are not safetensors by their first bytes")
        return
    result.candidates.append(Candidate(program, folder, safe_name(folder.name), kind, folder=True, files=tuple(files)))


def files_below(folder: Path, within: Path | None, result: ScanResult) -> list[FoundFile] | None:
    """Return every file of a folder, at any depth; if one cannot be taken, skip the folder and return None.

    Only links to weights are followed out of `within`: their first bytes prove their format.
    """
    files = []
    scan = ScanResult()
    for directory, names in folders_below(folder, scan):
        for name in names:
            inside = str((directory / name).relative_to(folder))
            if name.startswith("."):
                continue
            if problem := path_problem(inside):
                scan.skip(directory / name, f"has a name that is not taken: it {problem}")
                continue
            weights = name.lower().endswith(".safetensors")
            file = found_file(directory / name, inside, scan, within=None if weights else within)
            files += [file] if file else []
    if scan.skipped:
        first = scan.skipped[0]
        result.skip(folder, f"has something in it that cannot be taken: {first.path.name} {first.why}")
        return None
    return sorted(files, key=lambda file: file.path)


def candidate_in_store(path: Path, result: ScanResult) -> Candidate | None:
    """Return an entry of the store as a model: a file, or a whole folder."""
    if not path.is_dir():
        model = single_file_model(path, STORE, result)
        return model and replace(model, name=path.name, files=(replace(model.files[0], path=path.name),))
    files = files_below(path.resolve(), None, result)
    if files is None:
        return None
    if not any(weights_format(file.real) for file in files if _is_weights(file.path)):
        result.skip(path, "is not a model: neither GGUF nor safetensors is in it")
        return None
    return Candidate(STORE, path, path.name, folder_format(files), folder=True, files=tuple(files))


def file_by_name(path: Path, program: str, result: ScanResult) -> None:
    """Find the model of a file, or of all parts if it is one part."""
    part = _PART.fullmatch(path.name)
    if not part:
        model = single_file_model(path, program, result)
        result.candidates += [model] if model else []
        return
    siblings = (_PART.fullmatch(name) for name in os.listdir(path.parent))
    find_ggufs(path.parent, [b[0] for b in siblings if b and (b[1], b[3]) == (part[1], part[3])], program, result)


def _is_weights(name: str) -> bool:
    return name.lower().endswith((".safetensors", ".gguf"))


def folder_format(files: list[FoundFile]) -> HubFormat | None:
    """Return the format of a folder's weights; None if they differ."""
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
    """Return a missing file that the index of the weights names."""
    index = next((file for file in files if file.path == "model.safetensors.index.json"), None)
    if index is None:
        return None
    page = _json(index.real)
    shards = page.get("weight_map") if isinstance(page, dict) else None
    if not isinstance(shards, dict):
        return "a readable model.safetensors.index.json"
    present = {file.path for file in files}
    return next((f"{name!s:.200}" for name in shards.values() if name not in present), None)


def _json(path: Path) -> object:
    text = first_bytes(path, JSON_MAX + 1)
    try:
        return json.loads(text) if len(text) <= JSON_MAX else None
    except (ValueError, RecursionError):
        return None


# Names ---------------------------------------------------------------------------------------------------------------


def is_utf8(*paths: Path | str) -> bool:
    """Return whether all are valid UTF-8: neither the database nor JSON takes other names."""
    try:
        return all(str(path).encode() is not None for path in paths)
    except UnicodeEncodeError:
        return False


def safe_name(name: str) -> str:
    """Return the valid store name that is nearest to `name`."""
    text = "".join("-" if char in '/\\:*?"<>|' or is_unseen(char) else char for char in name).strip().lstrip(".~- ")
    text = text.encode(errors="ignore")[-MAX_NAME_BYTES:].decode(errors="ignore").strip(". ") or "model"
    return text if name_problem(text) is None else f"model-{text}"[:MAX_NAME_BYTES]
