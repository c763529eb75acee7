"""LocalAI: NAME.yaml in the folder of models, weights in llama-cpp/models/NAME below it.

Source: mudler/LocalAI, core/config/model_config_loader.go (only the top folder is read, no hidden file; paths are
relative to it) and core/gallery/importers/llama-cpp.go, whose folders and options are used here.
"""

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from flowhub_jobs.errors import PlacementRefused
from flowhub_jobs.placement.app import App
from flowhub_jobs.placement.gguf_files import GgufFiles, file_name, gguf_files, header_of
from flowhub_jobs.placement.values import InstalledForPlacement, Plan, PlannedLink, PlannedText
from flowhub_jobs.store.app_folders import LOCALAI, UserFolders, model_folder

PROGRAM = "LocalAI"
_EMBEDDINGS = ("bert", "nomic-bert", "jina-bert-v2", "gemma-embedding")


def default_root(environ: Mapping[str, str], home: Path) -> Path:
    """Return the folder of models. Raises PlacementRefused where it is unknown: LocalAI looks where it is started."""
    folder = model_folder(LOCALAI, UserFolders(environ, home))
    if folder is None:
        raise PlacementRefused(
            "LocalAI's folder of models is unknown: LOCALAI_MODELS_PATH is not set.",
            hint='Set it, or add `localai = "/path/to/models"` under [apps] in config.toml.',
        )
    return folder


def plan(installed: InstalledForPlacement, root: Path) -> Plan:
    """Return the plan. Raises PlacementRefused for weights that are not GGUF."""
    models = gguf_files(installed, PROGRAM)
    links = [
        PlannedLink(file.source, root / _folder(model) / file_name(file)) for model in models for file in model.all
    ]
    texts = [PlannedText(root / f"{model.title}.yaml", _config(model)) for model in models]
    shown_path = texts[0].target if len(texts) == 1 else root
    return Plan((*links, *texts), shown_path, notes=("Restart LocalAI, or POST to its /models/reload, to see it.",))


def _folder(model: GgufFiles) -> PurePosixPath:
    return PurePosixPath("llama-cpp", "models", model.title)


def _config(model: GgufFiles) -> bytes:
    is_embedding = header_of(model.first).architecture in _EMBEDDINGS
    lines = [
        f"name: {_text(model.title)}",
        "backend: llama-cpp",
        "known_usecases:",
        f"- {'embeddings' if is_embedding else 'chat'}",
        *(["embeddings: true"] if is_embedding else []),
        "parameters:",
        f"  model: {_text(_folder(model) / file_name(model.first))}",
        *([f"mmproj: {_text(_folder(model) / file_name(model.projector))}"] if model.projector else []),
        "options:",
        "- use_jinja:true",
        "template:",
        "  use_tokenizer_template: true",
        "function:",
        "  grammar:",
        "    disable: true",
    ]
    return "".join(f"{line}\n" for line in lines).encode()


def _text(value: object) -> str:
    """Return a text as YAML, of which JSON's are a subset."""
    return json.dumps(str(value), ensure_ascii=False)


APP = App("localai", default_root, plan)
