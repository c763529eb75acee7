"""GGUF models of a repository: their files, their quants, and the default quant. Pure.

A label is part of the file's name, else of the folder's: the Hub has no field for it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flowhub_jobs.huggingface.responses import RepoFile

# A label as publishers write it: the kind, then all its suffixes, each of which makes another kind. `Q4_K` is not
# `Q4_K_M`, `IQ4_K` not `IQ4_KSS`, `MXFP4_MOE` not `MXFP4_MOE_F16`. Kinds: llama.cpp, `llama-quant`; ik_llama.cpp,
# `ggml-type` (KS, KSS, KL, KT, R4, R8); Unsloth (UD-…_XL); noctrex (MXFP4_MOE_F16).
_LABEL = re.compile(
    r"(?<![a-z0-9])(?:ud-)?"
    r"(?:i?q[1-8]|tq[12]|mxfp[468]|nvfp4|bf16|f16|fp16|f32|fp32)"
    r"(?:_(?!v[0-9]|it(?![a-z0-9]))(?:[a-z]{1,3}[0-9]{0,3}|[0-9]{1,2}|bf16|fp16))*"
    r"(?![a-z0-9])",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"(?P<base>.+)-(?P<number>[0-9]{5})-of-(?P<count>[0-9]{5})\.gguf", re.IGNORECASE)
_SAME = {"FP16": "F16", "FP32": "F32"}
# Pieces of one file that was cut for an upload limit: they are joined before use (`cat`), and no runtime reads one.
_CUT = re.compile(
    r"(?P<base>.+\.gguf)(?:[.-]part[.-]?(?P<number>[0-9]+)of(?P<count>[0-9]+)|[.-](?:part|split)[.-]?(?:[0-9]+|[a-z]{1,2})"
    r"|\.[0-9]{3}|-[0-9]{5}-of-[0-9]{5})",
    re.IGNORECASE,
)

# The order of defaults: the best known trade-off of size and quality first, then its neighbours, the largest last.
# fmt: off
PREFERRED = (
    "Q4_K_M", "UD-Q4_K_XL", "Q4_K_S", "Q4_K_L", "IQ4_XS", "IQ4_NL", "MXFP4", "MXFP4_MOE", "Q4_0", "Q4_1",
    "Q5_K_M", "UD-Q5_K_XL", "Q5_K_S", "Q6_K", "Q8_0", "Q3_K_L", "Q3_K_M", "Q3_K_S", "Q2_K", "BF16", "F16", "F32",
)
# fmt: on


@dataclass(frozen=True, slots=True)
class GgufModel:
    """The files of one GGUF model, in the order of its parts. `count` is the number that it should have."""

    quant: str | None
    files: tuple[RepoFile, ...]
    count: int

    @property
    def whole(self) -> bool:
        return len(self.files) == self.count

    @property
    def size(self) -> int | None:
        sizes = [file.size for file in self.files if file.size is not None]
        return sum(sizes) if len(sizes) == len(self.files) else None


def quant_of(path: str) -> str | None:
    """Return the quant's label in a file's path, in capitals: the file's own, else the nearest folder's."""
    for name in reversed(path.split("/")):
        if matches := _LABEL.findall(name):
            label = str(matches[-1]).upper()
            return _SAME.get(label, label)
    return None


def cut_pieces(files: Iterable[RepoFile]) -> dict[str, tuple[RepoFile, ...]]:
    """Return the pieces of each GGUF file that was cut, in order, by the path of the joined file."""
    groups: dict[str, list[RepoFile]] = {}
    for file in files:
        if piece := _CUT.fullmatch(file.path):
            groups.setdefault(piece["base"], []).append(file)
    return {base: tuple(sorted(pieces, key=_piece_order)) for base, pieces in groups.items()}


def _piece_order(file: RepoFile) -> tuple[int, str]:
    piece = _CUT.fullmatch(file.path)
    return int(piece["number"]) if piece and piece["number"] else 0, file.path


def is_gguf(path: str) -> bool:
    return path.lower().endswith(".gguf")


def is_companion(path: str) -> bool:
    """Return whether it is a projector for images or sound (mmproj), which is no model by itself."""
    return is_gguf(path) and "mmproj" in _base_name(path)


def gguf_models(files: Iterable[RepoFile]) -> list[GgufModel]:
    """Return the models among the files, the preferred quant first, without companions and importance matrices."""
    groups: dict[tuple[str, int], dict[int, RepoFile]] = {}
    for file in files:
        if is_gguf(file.path) and not is_companion(file.path) and not _is_matrix(file.path):
            split = _SPLIT.fullmatch(file.path)
            key = (split["base"], int(split["count"])) if split else (file.path, 1)
            groups.setdefault(key, {})[int(split["number"]) if split else 1] = file
    return sorted((_model(count, parts) for (_, count), parts in groups.items()), key=_rank)


def _model(count: int, parts: dict[int, RepoFile]) -> GgufModel:
    in_order = tuple(parts[number] for number in sorted(parts) if 1 <= number <= count)
    return GgufModel(quant_of(next(iter(parts.values())).path), in_order, count)


def _rank(model: GgufModel) -> tuple[bool, int, str]:
    is_preferred = model.quant in PREFERRED
    return not model.whole, PREFERRED.index(model.quant or "") if is_preferred else len(PREFERRED), str(model.quant)


def labels(models: Sequence[GgufModel]) -> list[str]:
    """Return the quants that can be named, each once."""
    return list(dict.fromkeys(model.quant for model in models if model.quant))


def described(models: Sequence[GgufModel]) -> list[str]:
    """Return the quants that can be named, each once, with the number of parts where a model is in several."""
    parts = {model.quant: model.count for model in reversed(models)}
    return [label if parts[label] == 1 else f"{label} (in {parts[label]} parts)" for label in labels(models)]


def _is_matrix(path: str) -> bool:
    return "imatrix" in _base_name(path) and quant_of(_base_name(path)) is None


def _base_name(path: str) -> str:
    return path.rpartition("/")[2].lower()
