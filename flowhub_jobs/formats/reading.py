"""The anatomy of a model that lies on this disk; only the first bytes of its files are read."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from flowhub_jobs.formats import config, gguf, safetensors
from flowhub_jobs.formats.anatomy import Anatomy, HeaderUnreadable, NeedMore
from flowhub_jobs.formats.gguf_cursor import MAGIC, MAX_HEADER, SWAPPED_MAGIC

FIRST_BYTES = 256 * 1024
MAX_FILES = 2000


def read_head(data: bytes) -> Anatomy:
    """Return what the first bytes of a weights file tell, whichever format they are of.

    Raises NeedMore, HeaderUnreadable.
    """
    return gguf.read_gguf(data) if data.startswith((MAGIC, SWAPPED_MAGIC)) else safetensors.read_safetensors(data)


def grown(read: Callable[[int], bytes], *, first: int = FIRST_BYTES, most: int = MAX_HEADER) -> Anatomy:
    """Return what the head of a file tells, asking `read` for its first n bytes, more each time it is too few.

    HeaderUnreadable where the file ends inside its header, or the header is longer than `most`.
    """
    wanted = first
    while True:
        data = read(wanted)
        try:
            return read_head(data)
        except NeedMore as short:
            if len(data) < wanted:
                raise HeaderUnreadable("it ends inside its own header") from short
            if short.bytes_wanted > most:
                raise HeaderUnreadable(f"its header is longer than {most // 2**20} MiB") from short
            # Four times as much, so that a long vocabulary is not walked a hundred times.
            wanted = min(most, max(short.bytes_wanted, 4 * wanted))


def read_anatomy(path: Path) -> Anatomy:
    """Return what a model tells of itself: a file, or a folder with its weights and its config.json.

    Raises HeaderUnreadable, OSError. A folder of split weights tells the sum of all of them.
    """
    if not path.is_dir():
        return grown(lambda count: _first(path, count))
    weights = sorted(file for file in path.rglob("*") if file.suffix in (".gguf", ".safetensors"))[:MAX_FILES]
    models = [file for file in weights if "mmproj" not in file.name.lower()]
    if models and models[0].suffix == ".gguf":
        return grown(lambda count: _first(models[0], count))
    heads = [read_anatomy(file) for file in models]
    described = path / "config.json"
    told = config.read_config(_first(described, config.MAX_BYTES)) if described.is_file() else Anatomy()
    return joined(told, heads)


def joined(told: Anatomy, heads: Sequence[Anatomy]) -> Anatomy:
    """Return the config's anatomy with what the headers of all its weights say together."""
    if not heads:
        return told
    counts = [head.parameters for head in heads]
    sizes = [head.weights_bytes for head in heads]
    return replace(
        told,
        parameters=None if None in counts else sum(count for count in counts if count is not None),
        weights_bytes=None if None in sizes else sum(size for size in sizes if size is not None),
        quantization=told.quantization or heads[0].quantization,
        parts=len(heads) if len(heads) > 1 else None,
    )


def _first(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)
