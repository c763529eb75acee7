"""Computes where the tensors of a GGUF file end: the least size of a complete file."""

from flowhub_jobs.formats.gguf_cursor import MAX_HEADER, MAX_KEY_LENGTH, GgufCursor
from flowhub_jobs.formats.gguf_version import read_preamble
from flowhub_jobs.formats.metadata import MAX_COUNT, HeaderUnreadable

MAX_DIMENSIONS = 16  # ggml has 4
DEFAULT_ALIGNMENT = 32
MAX_ALIGNMENT = 1 << 20

_ALIGNMENT = "general.alignment"
# By a tensor's type the bytes of one block, as in ggml.h's type traits. Missing on purpose: types that were removed
# (4, 5, 31 to 33, 36 to 38) and those from 40 on, whose numbers mean other layouts in llama.cpp's forks (ik_llama.cpp,
# BitNet, PrismML, Ollama). Of these only the offset is used. Where a block had several
# layouts (256 or 64 elements, Q8_1 of 36 or 40 bytes), this is the one with the fewest bytes an element.
_PLAIN = {0: 4, 1: 2, 24: 1, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2}
_BLOCKS_OF_32 = {2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 9: 36, 20: 18, 39: 17}
_K_QUANTS = {10: 84, 11: 110, 12: 144, 13: 176, 14: 210, 15: 292, 34: 54, 35: 66}
_I_QUANTS = {16: 66, 17: 74, 18: 98, 19: 50, 21: 110, 22: 82, 23: 136, 29: 56}
_BY_LENGTH = ((1, _PLAIN), (32, _BLOCKS_OF_32), (256, _K_QUANTS), (256, _I_QUANTS))
# By type: elements and bytes of a block.
BLOCKS = {kind: (elements, size) for elements, sizes in _BY_LENGTH for kind, size in sizes.items()}


def least_size(head: bytes) -> int:
    """Return the least size of a complete file with this beginning: the padding after the last tensor may be missing.

    Raises NeedMore if `head` ends inside the header, HeaderUnreadable if it is invalid.
    """
    cursor = GgufCursor(head)
    preamble = read_preamble(cursor)
    if preamble.tensors * 20 > MAX_HEADER:  # a name's length, dimensions, type and offset
        raise HeaderUnreadable(f"it claims {preamble.tensors:,} tensors")
    alignment = _skip_keys(cursor, preamble.keys)
    end = max([_tensor_end(cursor) for _ in range(preamble.tensors)], default=None)
    if end is None:
        return cursor.at
    return -(-cursor.at // alignment) * alignment + end


def _skip_keys(cursor: GgufCursor, keys: int) -> int:
    """Skip the metadata; return the alignment of the tensors' data, 1 if the stated one is impossible."""
    alignment = DEFAULT_ALIGNMENT
    for _ in range(keys):
        key = cursor.text(MAX_KEY_LENGTH, "a key")
        kind = cursor.number("I")
        if key == _ALIGNMENT:
            value = cursor.value(kind, MAX_KEY_LENGTH, f"the value of {key}", 0)
            alignment = value if type(value) is int and 0 < value <= MAX_ALIGNMENT else 1
        else:
            cursor.skip(kind)
    return alignment


def _tensor_end(cursor: GgufCursor) -> int:
    """Return the least end of a tensor's data, from the beginning of all tensors' data."""
    cursor.text(MAX_KEY_LENGTH, "a tensor's name")
    dimensions = cursor.number("I")
    if dimensions > MAX_DIMENSIONS:
        raise HeaderUnreadable(f"it claims a tensor of {dimensions:,} dimensions")
    lengths = [cursor.count() for _ in range(dimensions)]
    elements, size = BLOCKS.get(cursor.number("I"), (1, 0))
    total = size * (lengths[0] // elements if lengths else 1)
    for length in lengths[1:]:
        total *= length
    end: int = cursor.number("Q") + total
    if end > MAX_COUNT:
        raise HeaderUnreadable(f"it claims a tensor that ends at {end:,} bytes")
    return end
