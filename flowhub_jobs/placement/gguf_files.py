"""The GGUF models among the files of an installed model, and the metadata of their headers, for layouts."""

from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.errors import PlacementRefused
from flowhub_jobs.formats.metadata import HeaderUnreadable, ModelMetadata
from flowhub_jobs.formats.read_metadata import read_metadata
from flowhub_jobs.huggingface import quants
from flowhub_jobs.huggingface.responses import RepoFile
from flowhub_jobs.placement.values import InstalledForPlacement, PlacementFile, path_component
from flowhub_jobs.values.enums import HubFormat

# Heads for speculative decoding, which run next to their model alone: llama.cpp, `gguf_filename_is_model`.
_DRAFTS = ("mtp-", "eagle3-", "dflash-", "dspark-")
# Of several projectors of one model, those of the quantization that runs everywhere come first.
_PROJECTORS = ("F16", "Q8_0", "BF16", "F32")


@dataclass(frozen=True, slots=True)
class GgufFiles:
    """One GGUF model: its parts in order, one for a file that is not split, and its projector for images or sound.

    `quant` is the label in the file's name, such as Q4_K_M; None if it has none.
    """

    quant: str | None
    parts: tuple[PlacementFile, ...]
    projector: PlacementFile | None = None

    @property
    def first(self) -> PlacementFile:
        return self.parts[0]

    @property
    def is_split(self) -> bool:
        return len(self.parts) > 1

    @property
    def all(self) -> tuple[PlacementFile, ...]:
        return (*self.parts, self.projector) if self.projector else self.parts

    @property
    def title(self) -> str:
        """Return the name of its file without `.gguf` and the number of the part, as one component of a path."""
        name = file_name(self.first)[: -len(".gguf")]
        return path_component(name[: -len("-00001-of-00001")] if self.is_split else name)


def file_name(file: PlacementFile) -> str:
    """Return the name of a file as its publisher gave it; the one in the store may have a prefix."""
    return (file.repository_path or file.path).rpartition("/")[2]


def gguf_files(installed: InstalledForPlacement, program: str) -> list[GgufFiles]:
    """Return the GGUF models of an installed model, the preferred quantization first.

    Raises PlacementRefused, in the name of the program, if there are none, or a part of one is missing.
    """
    by_path = {file.path: file for file in installed.files}
    gguf_models = quants.gguf_models(RepoFile(path, file.size) for path, file in by_path.items())
    if not gguf_models:
        raise PlacementRefused(
            f"{program} loads GGUF files, and {installed.name} {_content(installed)}.",
            hint="`flowhub show` and `flowhub search --format gguf` list the variants that it loads.",
        )
    if broken := next((model for model in gguf_models if not model.whole), None):
        missing = broken.count - len(broken.files)
        raise PlacementRefused(
            f"{installed.name} lacks {missing} of the {broken.count} parts of {broken.files[0].path}.",
            hint="`flowhub verify --repair` downloads the missing files.",
        )
    projector = _projector(installed)
    models = [GgufFiles(one.quant, tuple(by_path[part.path] for part in one.files), projector) for one in gguf_models]
    return [model for model in models if not file_name(model.first).lower().startswith(_DRAFTS)] or models


def projectors_alone(installed: InstalledForPlacement) -> list[PlacementFile]:
    """Return the projectors of an installed model that has no other GGUF file; they were downloaded by themselves."""
    ggufs = [file for file in installed.files if quants.is_gguf(file.path)]
    return ggufs if all(quants.is_companion(file.path) for file in ggufs) else []


def _content(installed: InstalledForPlacement) -> str:
    if projectors_alone(installed):
        return "is a projector, which runs next to its model alone"
    kinds = {HubFormat.SAFETENSORS: "safetensors weights", HubFormat.MLX: "MLX weights"}
    return f"has {kinds[installed.format]}" if installed.format in kinds else "has none"


def _projector(installed: InstalledForPlacement) -> PlacementFile | None:
    projectors = [file for file in installed.files if quants.is_companion(file.path)]
    labels = [quants.quant_of(file_name(file)) for file in projectors]
    ranks = [_PROJECTORS.index(label) if label in _PROJECTORS else len(_PROJECTORS) for label in labels]
    return min(zip(ranks, range(len(projectors)), projectors, strict=True))[2] if projectors else None


def header_of(file: PlacementFile) -> ModelMetadata:
    """Return what the header of a GGUF file says; nothing where it cannot be read. Raises OSError."""
    try:
        return read_metadata(Path(file.source))
    except HeaderUnreadable:
        return ModelMetadata()
