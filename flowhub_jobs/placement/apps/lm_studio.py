"""LM Studio: models/PUBLISHER/REPOSITORY/FILE, for GGUF and MLX (https://lmstudio.ai/docs/advanced/sideload).

LM Studio watches the folder: a new model appears without a restart. Foreign files in it are indexed as faults, so that
of a GGUF repository only weights and projectors are placed. `lms import --symbolic-link` shows that links are followed.
"""

from collections.abc import Mapping
from pathlib import Path

from flowhub_jobs.errors import PlacementRefused
from flowhub_jobs.placement.app import App
from flowhub_jobs.placement.gguf_files import file_name, gguf_files, projectors_alone
from flowhub_jobs.placement.values import InstalledForPlacement, Plan, PlannedLink
from flowhub_jobs.store.app_folders import LM_STUDIO, UserFolders, model_folder
from flowhub_jobs.values.enums import HubFormat

PROGRAM = "LM Studio"


def default_root(environ: Mapping[str, str], home: Path) -> Path:
    return model_folder(LM_STUDIO, UserFolders(environ, home)) or home / ".lmstudio" / "models"


def plan(installed: InstalledForPlacement, root: Path) -> Plan:
    """Return the plan. Raises PlacementRefused for safetensors weights that are not of MLX."""
    top = root / installed.owner / installed.short_name
    if installed.format is HubFormat.MLX:
        return _mlx(installed, top)
    files = projectors_alone(installed)  # each finds its model by their folder
    if not files:
        files = list(dict.fromkeys(file for model in gguf_files(installed, PROGRAM) for file in model.all))
    links = [PlannedLink(file.source, top / file_name(file)) for file in files]
    if len({link.target for link in links}) < len(links):
        raise PlacementRefused(
            f"{PROGRAM} has one folder for all files of a repository, and several of {installed.name} have one name.",
            hint="Install one quantization of it, as in hf:OWNER/REPOSITORY:Q4_K_M.",
        )
    return Plan(tuple(links), links[0].target if len(links) == 1 else top)


def _mlx(installed: InstalledForPlacement, top: Path) -> Plan:
    if not any(file.path == "config.json" for file in installed.files):
        raise PlacementRefused(
            f"{PROGRAM} loads an MLX model with its config.json, and {installed.name} has none.",
            hint="Install the whole repository, as in hf:OWNER/REPOSITORY.",
        )
    links = tuple(PlannedLink(file.source, top / file.path) for file in installed.files)
    return Plan(links, top, notes=("LM Studio runs MLX models on Apple silicon only.",))


APP = App("lm-studio", default_root, plan)
