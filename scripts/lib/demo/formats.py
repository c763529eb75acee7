"""Converts model files byte by byte with the standard library: safetensors and GGUF v3.

Sources: huggingface/safetensors, README, "Format"; ggml, docs/gguf.md.
"""

import json
import re
import struct
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

CHUNK = 1 << 16  # values converted at a time: more would only cost memory
ALIGNMENT = 32  # alignment of a tensor's data in a GGUF file, also in general.alignment
GGUF_TYPES = {"F32": 0, "F16": 1}


@dataclass(frozen=True)
class Tensor:
    """`dtype` as safetensors names it; `shape` outermost first; `data` little-endian, as in the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: bytes | memoryview


def read_safetensors(path: Path) -> list[Tensor]:
    """Return the file's tensors in the order of their data."""
    content = memoryview(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(bytes(content[8:start]))
    header.pop("__metadata__", None)
    tensors = sorted(header.items(), key=lambda item: item[1]["data_offsets"][0])
    return [
        Tensor(name, about["dtype"], tuple(about["shape"]), content[start:][slice(*about["data_offsets"])])
        for name, about in tensors
    ]


def write_safetensors(path: Path, tensors: Sequence[Tensor], metadata: Mapping[str, str]) -> None:
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for tensor in tensors:
        end = offset + len(tensor.data)
        header[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the data begins at a multiple of eight
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.writelines(tensor.data for tensor in tensors)


def halved(tensor: Tensor) -> Tensor:
    """Return an F32 tensor as F16, rounded to nearest; return any other unchanged."""
    if tensor.dtype != "F32":
        return tensor
    values = array("f", bytes(tensor.data))  # both formats and all supported machines are little-endian
    parts = (values[at : at + CHUNK] for at in range(0, len(values), CHUNK))
    return replace(tensor, dtype="F16", data=b"".join(struct.pack(f"<{len(part)}e", *part) for part in parts))


def write_gguf(path: Path, metadata: Mapping[str, str | int | float], tensors: Sequence[Tensor]) -> None:
    """Write a GGUF file of version 3. A number in `metadata` becomes a uint32 or a float32."""
    described = {**metadata, "general.alignment": ALIGNMENT}
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(described))
    head += b"".join(_text(key) + _value(value) for key, value in described.items()) + _tensor_infos(tensors)
    with path.open("wb") as file:
        file.write(head + _padding(len(head)))
        for tensor in tensors:
            file.write(tensor.data)
            file.write(_padding(len(tensor.data)))


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def _value(value: str | int | float) -> bytes:
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    return struct.pack("<II", 4, value) if isinstance(value, int) else struct.pack("<If", 6, value)


def _tensor_infos(tensors: Iterable[Tensor]) -> bytes:
    infos, offset = b"", 0
    for tensor in tensors:
        sizes = tensor.shape[::-1]  # GGUF names the innermost dimension first
        infos += _text(tensor.name) + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
        infos += struct.pack("<IQ", GGUF_TYPES[tensor.dtype], offset)
        offset += len(tensor.data) + len(_padding(len(tensor.data)))
    return infos


def _padding(length: int) -> bytes:
    return bytes(-length % ALIGNMENT)


# BERT in GGUF -------------------------------------------------------------------------------------------------------

# llama.cpp, gguf-py/gguf/tensor_mapping.py: its names of the parts of a BERT.
BERT_NAMES = {
    r"embeddings\.word_embeddings": "token_embd",
    r"embeddings\.position_embeddings": "position_embd",
    r"embeddings\.token_type_embeddings": "token_types",
    r"embeddings\.LayerNorm": "token_embd_norm",
    r"encoder\.layer\.(\d+)\.attention\.self\.query": r"blk.\1.attn_q",
    r"encoder\.layer\.(\d+)\.attention\.self\.key": r"blk.\1.attn_k",
    r"encoder\.layer\.(\d+)\.attention\.self\.value": r"blk.\1.attn_v",
    r"encoder\.layer\.(\d+)\.attention\.output\.dense": r"blk.\1.attn_output",
    r"encoder\.layer\.(\d+)\.attention\.output\.LayerNorm": r"blk.\1.attn_output_norm",
    r"encoder\.layer\.(\d+)\.intermediate\.dense": r"blk.\1.ffn_up",
    r"encoder\.layer\.(\d+)\.output\.dense": r"blk.\1.ffn_down",
    r"encoder\.layer\.(\d+)\.output\.LayerNorm": r"blk.\1.layer_output_norm",
}


def bert_for_gguf(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Return a BERT's tensors under llama.cpp's names, without those that it does not use (position ids, pooler)."""
    renamed = ((_gguf_name(tensor.name), tensor) for tensor in tensors)
    return [replace(tensor, name=name) for name, tensor in renamed if name]


def _gguf_name(name: str) -> str | None:
    part, _, kind = name.rpartition(".")
    for pattern, replacement in BERT_NAMES.items():
        if found := re.fullmatch(pattern, part):
            return f"{found.expand(replacement)}.{kind}"
    return None


def bert_metadata(name: str, config: Mapping[str, int | float]) -> dict[str, str | int | float]:
    """Return a BERT's GGUF metadata from its config.json. It has no tokenizer, so that no runtime can run it."""
    return {
        "general.architecture": "bert",
        "general.name": name,
        "general.file_type": 0,  # all F32
        "bert.block_count": config["num_hidden_layers"],
        "bert.context_length": config["max_position_embeddings"],
        "bert.embedding_length": config["hidden_size"],
        "bert.feed_forward_length": config["intermediate_size"],
        "bert.attention.head_count": config["num_attention_heads"],
        "bert.attention.layer_norm_epsilon": config["layer_norm_eps"],
        "bert.pooling_type": 1,  # mean
    }
