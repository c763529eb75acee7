"""Reads the names of the tensors in a safetensors file; they tell which part of an image model it is."""

from pathlib import Path

from flowhub_jobs.formats.metadata import HeaderUnreadable
from flowhub_jobs.formats.safetensors import MAX_HEADER, header_length
from flowhub_jobs.formats.strict_json import read_object


def tensor_names(path: Path) -> list[str]:
    """Return the names in the order of the header. Raises HeaderUnreadable, OSError."""
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            raise HeaderUnreadable("it ends inside its own header")
        end = header_length(start)
        if end > MAX_HEADER:
            raise HeaderUnreadable(f"its header is {end:,} bytes long; at most {MAX_HEADER:,} are read")
        header = file.read(end - 8)
    if len(header) < end - 8:
        raise HeaderUnreadable("it ends inside its own header")
    return [name for name in read_object(header) if name != "__metadata__"]
