"""Reads the header of a safetensors file from its first bytes: 8 bytes with its length, then JSON.

The format: https://huggingface.co/docs/safetensors. The header lists the tensors; the config.json next to the file
describes the model (`transformers_config`).
"""

from typing import Any

from flowhub_jobs.formats.metadata import MAX_COUNT, HeaderUnreadable, ModelMetadata, NeedMore
from flowhub_jobs.formats.strict_json import read_object

FORMAT_MAX_HEADER = 100_000_000  # the limit of the format's own reader: safetensors/src/tensor.rs, MAX_HEADER_SIZE
MAX_HEADER = 32 * 2**20  # that is parsed; the largest models, with tens of thousands of tensors, have about 10 MB
MAX_DIMENSIONS = 16
_FLOATS = ("F", "BF")  # F64, F32, F16, F8_E4M3, BF16 …


def header_length(data: bytes) -> int:
    """Return how many bytes of the file its header takes, the first eight included."""
    if len(data) < 8:
        raise NeedMore(8)
    length = int.from_bytes(data[:8], "little")
    if not 2 <= length <= FORMAT_MAX_HEADER:
        raise HeaderUnreadable(f"its header claims to be {length:,} bytes long")
    return 8 + length


def read_safetensors(data: bytes) -> ModelMetadata:
    """Return the metadata in the first bytes of a safetensors file: parameters, bytes of the weights, their type.

    Raises NeedMore, HeaderUnreadable. Parameters are the numbers stored as floats. If a good part of the file is
    integers, several parameters are packed into each, and their number is unknown.
    """
    end = header_length(data)
    if end > MAX_HEADER:
        raise HeaderUnreadable(f"its header is {end:,} bytes long; at most {MAX_HEADER:,} are read")
    if len(data) < end:
        raise NeedMore(end)
    tensors = read_object(data[8:end])
    tensors.pop("__metadata__", None)
    counts: dict[str, int] = {}
    sizes: dict[str, int] = {}
    for name, tensor in tensors.items():
        dtype, count, size = _tensor(name, tensor)
        counts[dtype] = counts.get(dtype, 0) + count
        sizes[dtype] = sizes.get(dtype, 0) + size
    total = sum(sizes.values())
    packed = sum(size for dtype, size in sizes.items() if not dtype.startswith(_FLOATS))
    floats = sum(count for dtype, count in counts.items() if dtype.startswith(_FLOATS))
    return ModelMetadata(
        parameters=floats if floats and packed * 20 <= total else None,
        weights_bytes=total,
        quantization=max(sizes, key=lambda dtype: sizes[dtype]) if sizes else None,
    )


def _tensor(name: str, tensor: Any) -> tuple[str, int, int]:
    """Return a tensor's type, how many numbers it has, and its bytes."""
    if not isinstance(tensor, dict):
        raise HeaderUnreadable(f"its tensor {name[:60]!r} is not described by an object")
    dtype, shape, offsets = tensor.get("dtype"), tensor.get("shape"), tensor.get("data_offsets")
    if not isinstance(dtype, str) or not 0 < len(dtype) <= 16:
        raise HeaderUnreadable(f"its tensor {name[:60]!r} has no type")
    shape, span = _whole_numbers(shape), _whole_numbers(offsets)
    if shape is None or len(shape) > MAX_DIMENSIONS:
        raise HeaderUnreadable(f"its tensor {name[:60]!r} has no shape")
    if span is None or len(span) != 2 or span[0] > span[1]:
        raise HeaderUnreadable(f"its tensor {name[:60]!r} has no place in the file")
    count = 1
    for length in shape:
        count *= length
        if count > MAX_COUNT:
            raise HeaderUnreadable(f"its tensor {name[:60]!r} claims more than {MAX_COUNT:,} numbers")
    return dtype, count, span[1] - span[0]


def _whole_numbers(value: Any) -> list[int] | None:
    good = isinstance(value, list) and all(type(one) is int and 0 <= one <= MAX_COUNT for one in value)
    return value if good else None
