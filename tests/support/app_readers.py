"""Readers of other programs' folders, written from those programs' sources and documentation.

Each reader finds models as its program does, and rejects what its program rejects.
"""

import hashlib
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


class NotLoadable(Exception):
    """The program would not load the model, or would fail to list any."""


# Ollama: manifest/manifest.go (Manifests, ParseNamedManifest), types/model/name.go, server/images.go (GetModel) -------


@dataclass
class OllamaModel:
    """A model as `ollama list` and `ollama run` see it."""

    name: str
    weights: Path
    config: dict[str, Any]
    projectors: list[Path] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)


_PARTS = (
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"),
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"),
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
    re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"),
)


def read_ollama(root: Path) -> dict[str, OllamaModel]:
    """Return the models by the name that `ollama list` shows. Raises NotLoadable."""
    models = {}
    for manifest in sorted(root.joinpath("manifests").glob("*/*/*/*")):
        manifest.stat()  # a broken link makes the list of older servers fail
        if manifest.is_dir():
            continue
        parts = manifest.relative_to(root / "manifests").parts
        for part, pattern in zip(parts, _PARTS, strict=True):
            if not pattern.fullmatch(part):
                raise NotLoadable(f"invalid manifest name: {'/'.join(parts)}")
        model = _ollama_model(root, json.loads(manifest.read_bytes()), parts)
        models[model.name] = model
    return models


def _ollama_model(root: Path, manifest: dict[str, Any], parts: tuple[str, ...]) -> OllamaModel:
    host, space, name, tag = parts
    if manifest["schemaVersion"] != 2:
        raise NotLoadable("the schema's version")
    full_name = name if space == "library" else f"{space}/{name}"
    full_name = full_name if host == "registry.ollama.ai" else f"{host}/{space}/{name}"
    config = json.loads(_ollama_blob(root, manifest["config"]).read_bytes())
    if config["model_format"] != "gguf":
        raise NotLoadable(config["model_format"])
    model = OllamaModel(f"{full_name}:{tag}", Path(), config)
    for layer in manifest["layers"]:
        blob = _ollama_blob(root, layer)
        kind = layer["mediaType"].removeprefix("application/vnd.ollama.image.")
        if kind == "model":
            model.weights = blob
        elif kind == "projector":
            model.projectors.append(blob)
        elif kind == "params":
            model.parameters = json.loads(blob.read_bytes())
        else:
            raise NotLoadable(kind)
    if model.weights.read_bytes()[:4] != b"GGUF":
        raise NotLoadable("no weights")
    return model


def _ollama_blob(root: Path, layer: dict[str, Any]) -> Path:
    """Return the file of a layer. The server itself compares nothing, so this function does."""
    digest = re.fullmatch(r"sha256:([0-9a-f]{64})", layer["digest"])
    if digest is None:
        raise NotLoadable(layer["digest"])
    blob = root / "blobs" / f"sha256-{digest[1]}"
    content = blob.read_bytes()
    if hashlib.sha256(content).hexdigest() != digest[1] or len(content) != layer["size"]:
        raise NotLoadable(f"{blob.name} has other bytes")
    return blob


def write_blob(root: Path, content: bytes) -> str:
    """Put a blob into Ollama's folder; return its digest."""
    digest = hashlib.sha256(content).hexdigest()
    (root / "blobs" / f"sha256-{digest}").write_bytes(content)
    return f"sha256:{digest}"


def ollama_prune(root: Path) -> list[str]:
    """Return the names of the blobs that a server removes when it starts (server/images.go, PruneLayers)."""
    referenced = set()
    for manifest in root.joinpath("manifests").glob("*/*/*/*"):
        content = json.loads(manifest.read_bytes())
        referenced |= {layer["digest"].replace(":", "-") for layer in [*content["layers"], content["config"]]}
    return sorted(path.name for path in root.joinpath("blobs").iterdir() if path.name not in referenced)


# LM Studio: https://lmstudio.ai/docs/advanced/sideload; issues #449 and #2096 of its bug tracker ----------------------


def read_lm_studio(root: Path) -> dict[str, list[str]]:
    """Return the files of each model by PUBLISHER/REPOSITORY. Raises NotLoadable for what its index rejects."""
    models: dict[str, list[str]] = {}
    for folder, below, names in os.walk(root):
        for name in [*below, *names]:
            path = Path(folder, name)
            if path.is_symlink() and (path.is_dir() or not path.exists()):
                raise NotLoadable(f"{path} is a link to a folder, or a broken link")
        parts = Path(folder).relative_to(root).parts
        for name in names:
            if len(parts) < 2 or (name.endswith(".gguf") and len(parts) != 2):
                raise NotLoadable(f"{name} is at depth {len(parts)}")
            models.setdefault("/".join(parts[:2]), []).append("/".join((*parts[2:], name)))
    for files in models.values():
        is_mlx = "config.json" in files and any(name.endswith(".safetensors") for name in files)
        if not is_mlx and not all(name.endswith(".gguf") for name in files):
            raise NotLoadable(f"Failed to index {files}")
    return {repo: sorted(files) for repo, files in models.items()}


# llama.cpp: common/hf-cache.cpp (get_cached_files), common/download.cpp (find_best_model, get_split_files) ------------


def read_llama_cpp(root: Path, repo: str, tag: str = "") -> dict[str, Any]:
    """Return what `llama-server -hf repo:tag --offline` loads: the parts of the model, and its projector."""
    if not re.fullmatch(r"[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*/[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*", repo):
        raise NotLoadable(f"invalid repository: {repo}")
    folder = root / ("models--" + repo.replace("/", "--"))
    refs = {path.name: path.read_text().splitlines()[0] for path in (folder / "refs").iterdir() if path.is_file()}
    refs = {name: commit for name, commit in refs.items() if re.fullmatch(r"[0-9a-fA-F]{40}", commit)}
    snapshot = folder / "snapshots" / refs.get("main", next(iter(refs.values()), ""))
    files = sorted(path for path in snapshot.rglob("*") if path.is_file() or path.is_symlink())
    ggufs = [path for path in files if path.name.endswith(".gguf")]
    models = [path for path in ggufs if not any(word in path.name for word in ("mmproj", "imatrix", "mtp-"))]
    tags = [tag] if tag else ["Q4_K_M", "Q8_0", ""]
    first = next(
        (
            path
            for wanted in tags
            for path in models
            if re.search(f"{wanted}[.-]" if wanted else "", path.name, re.IGNORECASE)
            and (not (part := _part_of(path)) or part[1] == 1)
        ),
        None,
    )
    if first is None:
        raise NotLoadable("no GGUF files found in repository")
    part = _part_of(first)
    others = [(path, other) for path in ggufs if (other := _part_of(path))]
    parts = [path for path, other in others if part and (other[0], other[2]) == (part[0], part[2])]
    if part and len(parts) != part[2]:
        raise NotLoadable(f"{len(parts)} of {part[2]} parts")
    projector = next((path for path in ggufs if "mmproj" in path.name), None)
    return {"parts": parts or [first], "projector": projector}


def _part_of(path: Path) -> tuple[str, int, int] | None:
    part = re.fullmatch(r"(.+)-([0-9]{5})-of-([0-9]{5})\.gguf", str(path), re.IGNORECASE)
    return (part[1], int(part[2]), int(part[3])) if part else None


# Jan: extensions/llamacpp-extension/src/index.ts (list, load), mlx-extension/src/index.ts -----------------------------


@dataclass
class JanModel:
    """A model that Jan lists; the paths are those that it gives to its server."""

    name: str
    weights: list[Path]
    projector: Path | None
    config: dict[str, Any]


def read_jan(data: Path, engine: str = "llamacpp") -> dict[str, JanModel]:
    """Return the models by their id. Raises NotLoadable."""
    top, models = data / engine / "models", {}
    for path in sorted(top.rglob("model.yml")):
        model_id = str(path.parent.relative_to(top))
        if not re.fullmatch(r"[a-zA-Z0-9/_\-.]+", model_id):
            raise NotLoadable(f"Invalid modelId: {model_id}")
        config = yaml.safe_load(path.read_text())
        weights = data / config["model_path"]
        parts = _all_parts(weights)
        if "model_sha256" in config and hashlib.sha256(weights.read_bytes()).hexdigest() != config["model_sha256"]:
            raise NotLoadable("Hash verification failed")
        if "model_size_bytes" in config and weights.stat().st_size != config["model_size_bytes"]:
            raise NotLoadable("Size verification failed")
        projector = data / config["mmproj_path"] if config.get("mmproj_path") else None
        for file in [*parts, *([projector] if projector else [])]:
            if not file.is_file():
                raise NotLoadable(f"File not found: {file}")
        models[model_id] = JanModel(config.get("name") or model_id, parts, projector, config)
    return models


def _all_parts(first: Path) -> list[Path]:
    part = _part_of(first)
    return [Path(f"{part[0]}-{n:05}-of-{part[2]:05}.gguf") for n in range(1, part[2] + 1)] if part else [first]


# LocalAI: core/config/model_config_loader.go, model_config.go (Validate) ----------------------------------------------


def read_localai(root: Path) -> dict[str, dict[str, Any]]:
    """Return each model's config by its name, with the absolute paths of its files. Raises NotLoadable."""
    models = {}
    for path in sorted(root.iterdir()):
        if path.name.startswith(".") or not (".yaml" in path.name or ".yml" in path.name):
            if path.is_file():
                raise NotLoadable(f"{path.name} is listed as a model of its own")
            continue
        config = yaml.safe_load(path.read_text())
        if not config.get("name") or not re.fullmatch(r"[a-zA-Z0-9-_.]+", config.get("backend", "")):
            raise NotLoadable("config is not valid")
        files = [config["parameters"]["model"], *([config["mmproj"]] if "mmproj" in config else [])]
        for name in files:
            if name.startswith("/") or ".." in name or not (root / name).is_file():
                raise NotLoadable(name)
        models[config["name"]] = config | {
            "weights": _all_parts(root / files[0]),
            "projector": root / files[1] if len(files) > 1 else None,
        }
    return models


# ComfyUI: folder_paths.py (folder_names_and_paths, recursive_search, filter_files_extensions) -------------------------

_COMFYUI = {
    "checkpoints": ("checkpoints",),
    "loras": ("loras",),
    "vae": ("vae",),
    "text_encoders": ("text_encoders", "clip"),
    "diffusion_models": ("unet", "diffusion_models"),
    "clip_vision": ("clip_vision",),
    "controlnet": ("controlnet", "t2i_adapter"),
    "upscale_models": ("upscale_models",),
    "embeddings": ("embeddings",),
}


def read_comfyui(root: Path) -> dict[str, list[str]]:
    """Return the names in each loader's list, without the lists that are empty."""
    suffixes = {".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"}
    lists: dict[str, list[str]] = {}
    for kind, folders in _COMFYUI.items():
        for top in (root / folder for folder in folders):
            for folder, _, names in os.walk(top, followlinks=True):
                paths = (Path(folder, name) for name in names)
                names_here = [str(path.relative_to(top)) for path in paths if path.suffix.lower() in suffixes]
                if names_here:
                    lists.setdefault(kind, []).extend(sorted(names_here))
    return lists
