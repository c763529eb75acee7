"""Makes small, well-formed model files, and catalogs of them."""

import hashlib
import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lib.origin.content import Pattern

Entry = dict[str, Any]
STRING, UINT32 = 8, 4  # value types of GGUF's metadata


def gguf_pattern(size: int, seed: int = 0) -> Pattern:
    """Return a GGUF file of any size that needs no memory: magic, version 3, no tensors, two keys, then noise."""
    architecture = _text("general.architecture") + struct.pack("<I", STRING) + _text("llama")
    alignment = _text("general.alignment") + struct.pack("<II", UINT32, 32)
    return Pattern(size, seed, head=b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + architecture + alignment)


def gguf(size: int = 4096, seed: int = 0) -> bytes:
    return gguf_pattern(size, seed).read()


def gguf_with_tensor() -> bytes:
    """Return a GGUF file that ends with its one tensor: 64 numbers of type F32, on a boundary of 32 bytes."""
    tensor = struct.pack("<Q1sIQIQ", 1, b"a", 1, 64, 0, 0)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 0) + tensor
    return head.ljust(-(-len(head) // 32) * 32, b"\0") + bytes(64 * 4)


def safetensors_pattern(size: int, seed: int = 0) -> Pattern:
    """Return a safetensors file: a header of 120 bytes with one U8 tensor, which fills the rest."""
    payload = size - 128
    if payload < 0:
        raise ValueError(f"a safetensors file needs at least 128 bytes, not {size}")
    tensor = {"weight": {"dtype": "U8", "shape": [payload], "data_offsets": [0, payload]}}
    header = json.dumps(tensor, separators=(",", ":")).encode().ljust(120)
    return Pattern(size, seed, head=struct.pack("<Q", 120) + header)


def safetensors(size: int = 4096, seed: int = 0) -> bytes:
    return safetensors_pattern(size, seed).read()


def mlx_folder(seed: int = 0, size: int = 65536) -> dict[str, bytes]:
    """Return the files of an MLX model by path; `size` is that of its weights."""
    config = {"model_type": "llama", "hidden_size": 64, "quantization": {"group_size": 64, "bits": 4}, "seed": seed}
    return {
        "config.json": json.dumps(config, indent=2).encode(),
        "model.safetensors": safetensors(size, seed),
        "tokenizer.json": json.dumps({"version": f"1.{seed}", "model": {"type": "BPE", "vocab": {}}}).encode(),
    }


def one_file_model(
    model: str,
    url: str,
    content: bytes | Pattern,
    *,
    option: str = "q4",
    pin: bool = True,
    format: str = "gguf",  # noqa: A002, the name in the catalog
    **more: Any,
) -> Entry:
    """Return a catalog's model with one option of one file; without `pin` its size and digest are unknown.

    `more` are further fields of the option, such as `filename`.
    """
    fields = _size_and_digest(content) if pin else {}
    return _model(model, {"id": option, "format": format, "url": url, **fields, **more})


def folder_model(
    model: str,
    files: Mapping[str, tuple[str, bytes | Pattern]],
    *,
    option: str = "mlx-4bit",
    pin: bool = True,
    format: str = "mlx",  # noqa: A002
    **more: Any,
) -> Entry:
    """Return a catalog's model with one folder option; `files` are (url, content) by path."""
    file_entries = [
        {"path": path, "url": url, **(_size_and_digest(content) if pin else {})}
        for path, (url, content) in files.items()
    ]
    return _model(model, {"id": option, "format": format, "files": file_entries, **more})


def catalog(*models: Entry) -> Entry:
    """Return a catalog of these models; models with the same id become one model with all their options."""
    merged: dict[str, Entry] = {}
    for model in models:
        merged_model = merged.setdefault(model["id"], {**model, "downloads": []})
        merged_model["downloads"] = [*merged_model["downloads"], *model["downloads"]]
    return {"apiVersion": "v1", "models": list(merged.values())}


def write_catalog(path: Path, *models: Entry) -> Path:
    path.write_text(json.dumps(catalog(*models), indent=2))
    return path


def _model(model: str, option: Entry) -> Entry:
    return {"id": model, "name": model.replace("-", " ").title(), "downloads": [option]}


def _size_and_digest(content: bytes | Pattern) -> Entry:
    if isinstance(content, Pattern):
        return {"sizeBytes": content.size, "sha256": content.sha256()}
    return {"sizeBytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _text(text: str) -> bytes:
    """Return a string as GGUF writes it: its length in 8 bytes, little-endian, and its UTF-8."""
    return struct.pack("<Q", len(text.encode())) + text.encode()
