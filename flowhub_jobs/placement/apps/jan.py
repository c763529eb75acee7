"""Jan: llamacpp/models/ID/model.yml below its data folder, and mlx/models/ID for MLX.

Source: janhq/jan, extensions/llamacpp-extension and mlx-extension, `src/index.ts`. `model_path` is relative to the data
folder, or absolute: so a model can be placed where no link can be made. The id is the one that Jan itself gives to a
model of the Hub, OWNER/FILE.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowhub_jobs.errors import PlacementRefused
from flowhub_jobs.placement.app import App
from flowhub_jobs.placement.gguf_files import GgufFiles, file_name, gguf_files, header_of
from flowhub_jobs.placement.values import InstalledForPlacement, PlacementFile, Plan, PlannedLink, PlannedText
from flowhub_jobs.store.app_folders import JAN, UserFolders, model_folder
from flowhub_jobs.values.enums import HubFormat

PROGRAM = "Jan"
_EMBEDDINGS = ("bert", "nomic-bert", "jina-bert-v2", "gemma-embedding")
_NOTES = ("Restart Jan to see it.",)


def default_root(environ: Mapping[str, str], home: Path) -> Path:
    user = UserFolders(environ, home)
    return model_folder(JAN, user) or user.data / "Jan" / "data"


def plan(installed: InstalledForPlacement, root: Path) -> Plan:
    """Return the plan; `root` is the data folder. Raises PlacementRefused for what is neither GGUF nor MLX."""
    if installed.format is HubFormat.MLX:
        return _mlx(installed, root)
    links: list[PlannedLink] = []
    linked, absolute = [], []
    models = gguf_files(installed, PROGRAM)
    for model in models:
        model_id = f"{installed.owner}/{model.title}"
        top = root / "llamacpp" / "models" / model_id
        links += [PlannedLink(file.source, top / file_name(file)) for file in model.all]
        inside = {file: str((top / file_name(file)).relative_to(root)) for file in model.all}
        linked.append(PlannedText(top / "model.yml", _yaml(_gguf_config(model, model_id, inside))))
        outside = {file: str(file.source) for file in model.all}
        absolute.append(PlannedText(top / "model.yml", _yaml(_gguf_config(model, model_id, outside))))
    model_folder = linked[0].target.parent
    return Plan((*links, *linked), model_folder if len(models) == 1 else model_folder.parent, _NOTES, tuple(absolute))


def _gguf_config(model: GgufFiles, model_id: str, paths: Mapping[PlacementFile, str]) -> dict[str, Any]:
    """Return what Jan's own import of these files writes. Jan compares size and digest of an unsplit model."""
    config: dict[str, Any] = {"model_path": paths[model.first]}
    if model.projector:
        config["mmproj_path"] = paths[model.projector]
    config |= {"name": model_id, "size_bytes": sum(file.size for file in model.all)}
    if not model.is_split:
        config |= {"model_sha256": model.first.sha256, "model_size_bytes": model.first.size}
    if model.projector:
        config |= {"mmproj_sha256": model.projector.sha256, "mmproj_size_bytes": model.projector.size}
    return config | {"embedding": header_of(model.first).architecture in _EMBEDDINGS}


def _mlx(installed: InstalledForPlacement, root: Path) -> Plan:
    weights = sorted(file.path for file in installed.files if file.path.endswith(".safetensors"))
    if not weights or not any(file.path == "config.json" for file in installed.files):
        raise PlacementRefused(
            f"{PROGRAM} loads an MLX model with its config.json, and {installed.name} has none.",
            hint="Install the whole repository, as in hf:OWNER/REPOSITORY.",
        )
    model_id = f"{installed.owner}/{installed.short_name}"
    top = root / "mlx" / "models" / model_id
    first = "model.safetensors" if "model.safetensors" in weights else weights[0]
    links = [PlannedLink(file.source, top / file.path) for file in installed.files]
    config = {"name": model_id, "size_bytes": installed.bytes}
    inside = {"model_path": str((top / first).relative_to(root))} | config
    source = next(file.source for file in installed.files if file.path == first)
    outside = {"model_path": str(source)} | config
    target = top / "model.yml"
    absolute = (PlannedText(target, _yaml(outside)),)
    return Plan((*links, PlannedText(target, _yaml(inside))), top, _NOTES, absolute)


def _yaml(config: Mapping[str, Any]) -> bytes:
    """Return a mapping of texts, numbers and flags as YAML, of which JSON's scalars are a subset."""
    return "".join(f"{key}: {json.dumps(value, ensure_ascii=False)}\n" for key, value in config.items()).encode()


APP = App("jan", default_root, plan)
