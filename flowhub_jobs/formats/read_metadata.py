"""Reads the metadata of a model on the disk from the first bytes of its files."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from flowhub_jobs.formats import gguf, safetensors, transformers_config
from flowhub_jobs.formats.gguf_cursor import MAX_HEADER
from flowhub_jobs.formats.gguf_version import MAGIC, SWAPPED_MAGIC
from flowhub_jobs.formats.metadata import HeaderUnreadable, ModelMetadata, NeedMore

FIRST_BYTES = 256 * 1024
MAX_FILES = 2000


def read_head(data: bytes) -> ModelMetadata:
    """Return the metadata in the first bytes of a weights file, of either format.

    Raises NeedMore, HeaderUnreadable.
    """
    return gguf.read_gguf(data) if data.startswith((MAGIC, SWAPPED_MAGIC)) else safetensors.read_safetensors(data)


def read_growing(read: Callable[[int], bytes], *, first: int = FIRST_BYTES, most: int = MAX_HEADER) -> ModelMetadata:
    """Return the metadata in a file's header; `read` returns its first n bytes, and is called for more until they do.

    Raises HeaderUnreadable if the file ends inside its header, or the header is longer than `most`.
    """
    count = first
    while True:
        data = read(count)
        try:
            return read_head(data)
        except NeedMore as short:
            if len(data) < count:
                raise HeaderUnreadable("it ends inside its own header") from short
            if short.bytes_wanted > most:
                raise HeaderUnreadable(f"its header is longer than {most // 2**20} MiB") from short
            # Four times as much: a long vocabulary must not be parsed a hundred times.
            count = min(most, max(short.bytes_wanted, 4 * count))


def read_metadata(path: Path) -> ModelMetadata:
    """Return the metadata of a model: a file, or a folder with its weights and its config.json.

    Raises HeaderUnreadable, OSError. The figures of a folder of split weights are the sums over its files; a figure
    that one file does not have is unknown.
    """
    if not path.is_dir():
        return _head_of(path)
    weights = sorted(file for file in path.rglob("*") if file.suffix in (".gguf", ".safetensors"))[:MAX_FILES]
    models = [file for file in weights if "mmproj" not in file.name.lower()]
    if models and models[0].suffix == ".gguf":
        return _head_of(models[0])
    described = [path / "config.json"] if (path / "config.json").is_file() else []
    read = [_read_if_possible(_config_of, file) for file in described] + [
        _read_if_possible(_head_of, file) for file in models
    ]
    if read and not any(read):
        raise HeaderUnreadable("none of its headers can be read")
    config, heads = read[: len(described)], read[len(described) :]
    return _combined(next(filter(None, config), ModelMetadata()), [head or ModelMetadata() for head in heads])


def _head_of(path: Path) -> ModelMetadata:
    return read_growing(lambda count: _first(path, count))


def _config_of(path: Path) -> ModelMetadata:
    return transformers_config.read_config(_first(path, transformers_config.MAX_BYTES))


def _read_if_possible(read: Callable[[Path], ModelMetadata], path: Path) -> ModelMetadata | None:
    try:
        return read(path)
    except HeaderUnreadable:
        return None


def _combined(config: ModelMetadata, heads: Sequence[ModelMetadata]) -> ModelMetadata:
    """Return the config's metadata with the sums over the headers of all its weights."""
    if not heads:
        return config
    counts = [head.parameters for head in heads]
    sizes = [head.weights_bytes for head in heads]
    return replace(
        config,
        parameters=None if None in counts else sum(count for count in counts if count is not None),
        weights_bytes=None if None in sizes else sum(size for size in sizes if size is not None),
        quantization=config.quantization or heads[0].quantization,
        parts=len(heads) if len(heads) > 1 else None,
    )


def _first(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)
