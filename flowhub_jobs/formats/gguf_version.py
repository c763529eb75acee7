"""Reads the start of a GGUF file: magic, byte order, version (1 to 3), and the counts of tensors and keys."""

from dataclasses import dataclass

from flowhub_jobs.formats.gguf_cursor import GgufCursor
from flowhub_jobs.formats.metadata import HeaderUnreadable

MAGIC = b"GGUF"
# Some writers on big-endian machines wrote the magic as a number, in their own byte order.
SWAPPED_MAGIC = b"FUGG"
MAX_KEYS = 65_536
VERSIONS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Preamble:
    """The start of a GGUF file: its version, and how many tensors and metadata keys follow."""

    version: int
    tensors: int
    keys: int


def read_preamble(cursor: GgufCursor) -> Preamble:
    """Return the preamble, and set the cursor's byte order and the width of its counts."""
    magic = cursor.data[:4]
    if not (MAGIC.startswith(magic) or SWAPPED_MAGIC.startswith(magic)):
        raise HeaderUnreadable("it does not begin with GGUF")
    cursor.step(4)
    version = cursor.number("I")
    if version & 0xFFFF == 0:  # a small number in the other byte order
        cursor.order = ">"
        version = int.from_bytes(version.to_bytes(4, "little"), "big")
    if version not in VERSIONS:
        raise HeaderUnreadable(f"it is GGUF of version {version}; versions 1 to 3 are read")
    cursor.width = "I" if version == 1 else "Q"
    preamble = Preamble(version, tensors=cursor.count(), keys=cursor.count())
    if preamble.keys > MAX_KEYS:
        raise HeaderUnreadable(f"it claims {preamble.keys:,} keys; at most {MAX_KEYS:,} are read")
    return preamble
