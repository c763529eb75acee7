"""ComfyUI: models/KIND/FILE, where KIND is the file's role in a pipeline: checkpoints, loras, vae …

Source: comfyanonymous/ComfyUI, folder_paths.py (folders and suffixes; links are followed), and the keys by which its
loaders recognize a file: comfy/model_detection.py, comfy/sd.py, comfy/lora.py, comfy/controlnet.py.

The kind is the name of a folder in the file's path in its repository, as in repositories made for ComfyUI
(split_files/text_encoders/…), else what the names of its tensors tell. Workflows name a file without a folder, so that
it is placed under its own name, and under its model's where that is a general one (diffusion_pytorch_model).
"""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from flowhub_jobs.errors import PlacementRefused
from flowhub_jobs.formats.metadata import HeaderUnreadable
from flowhub_jobs.formats.read_safetensors_tensor_names import tensor_names
from flowhub_jobs.placement.app import App
from flowhub_jobs.placement.gguf_files import file_name
from flowhub_jobs.placement.values import InstalledForPlacement, PlacementFile, Plan, PlannedLink
from flowhub_jobs.store.app_folders import COMFYUI, UserFolders, model_folder
from flowhub_jobs.values.enums import HubFormat

PROGRAM = "ComfyUI"
_SUFFIXES = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf")
_KINDS = (
    "checkpoints loras vae text_encoders diffusion_models clip_vision style_models embeddings controlnet gligen "
    "upscale_models hypernetworks photomaker classifiers model_patches audio_encoders vae_approx"
)
_FOLDERS = dict.fromkeys(_KINDS.split()) | {"clip": "text_encoders", "unet": "diffusion_models", "lora": "loras"}
_GENERAL_NAMES = ("model", "pytorch_model", "diffusion_pytorch_model", "pytorch_lora_weights", "adapter_model")
_LORA = (".lora_a.", ".lora_b.", ".lora_down.", ".lora_up.", ".lora.up.", ".lora.down.", ".hada_w1_", ".lokr_w1")
# By the beginning of a tensor's name; the first kind that fits is taken.
_BEGINNINGS = (
    ("controlnet", ("control_model.", "controlnet_", "input_hint_block.")),
    ("diffusion_models", ("model.diffusion_model.", "double_blocks.", "single_blocks.", "joint_blocks.")),
    ("diffusion_models", ("transformer_blocks.", "single_transformer_blocks.", "input_blocks.", "down_blocks.")),
    ("diffusion_models", ("patch_embedding.", "noise_refiner.", "adaln_single.", "double_layers.")),
    ("vae", ("first_stage_model.", "decoder.conv_in.", "decoder.up_blocks.", "decoder.up.", "decoder.upsamples.")),
    ("text_encoders", ("text_model.", "shared.", "encoder.block.", "text_encoders.")),
    ("clip_vision", ("vision_model.",)),
    ("embeddings", ("emb_params", "string_to_param", "clip_g", "clip_l")),
    ("upscale_models", ("conv_first.", "body.")),
)
_WHOLE = ("first_stage_model.", "vae.", "cond_stage_model.", "conditioner.", "text_encoders.")


def default_root(environ: Mapping[str, str], home: Path) -> Path:
    """Return the folder of models. Raises PlacementRefused where it is unknown: it is below the program."""
    folder = model_folder(COMFYUI, UserFolders(environ, home))
    if folder is None:
        raise PlacementRefused(
            "ComfyUI was not found in its usual folders.",
            hint='Set COMFYUI_PATH to it, or add `comfyui = "/path/to/ComfyUI/models"` under [apps] in config.toml.',
        )
    return folder


def plan(installed: InstalledForPlacement, root: Path) -> Plan:
    """Return the plan. Raises PlacementRefused for a file whose part in a pipeline is unknown, and for MLX weights."""
    if installed.format is HubFormat.MLX:
        raise PlacementRefused(
            f"{PROGRAM} runs on PyTorch, and {installed.name} has MLX weights.",
            hint="Install a safetensors variant of the model.",
        )
    if any(file.path == "model_index.json" for file in installed.files):  # a pipeline of diffusers
        top = root / "diffusers" / installed.short_name
        return _plan([PlannedLink(file.source, top / file.path) for file in installed.files], top)
    weights = [file for file in installed.files if file.path.lower().endswith(_SUFFIXES)]
    if not weights:
        raise PlacementRefused(
            f"{installed.name} has no weights that {PROGRAM} loads.",
            hint="It loads safetensors, .ckpt, .pt, .pth and .bin files.",
        )
    links = [PlannedLink(file.source, root / _kind(file, installed) / _name(file, installed)) for file in weights]
    if len({link.target for link in links}) < len(links):
        links = [
            PlannedLink(link.source, link.target.parent / installed.short_name / PurePosixPath(file.path))
            for link, file in zip(links, weights, strict=True)
        ]
    return _plan(links, links[0].target if len(links) == 1 else root)


def _plan(links: list[PlannedLink], path: Path) -> Plan:
    notes = ["Press R in ComfyUI to see it."]
    if any(link.target.suffix.lower() == ".gguf" for link in links):
        notes.append("ComfyUI loads GGUF files with the custom node ComfyUI-GGUF only.")
    return Plan(tuple(links), path, tuple(notes))


def _name(file: PlacementFile, installed: InstalledForPlacement) -> str:
    name = PurePosixPath(file_name(file))
    return f"{installed.short_name}{name.suffix}" if name.stem in _GENERAL_NAMES else name.name


def _kind(file: PlacementFile, installed: InstalledForPlacement) -> str:
    """Return the folder for a file. Raises PlacementRefused if neither its path nor its tensors tell it."""
    for folder in reversed(PurePosixPath(file.repository_path or file.path).parts[:-1]):
        if folder.lower() in _FOLDERS:
            return _FOLDERS[folder.lower()] or folder.lower()
    suffix = PurePosixPath(file.path).suffix.lower()
    kind = _kind_by_tensors(file) if suffix in (".safetensors", ".sft") else _kind_by_suffix(suffix)
    if kind is None:
        raise PlacementRefused(
            f"{file.path} of {installed.name} does not say which part of a pipeline it is.",
            hint=f"Place it by hand: `flowhub place {installed.name} --in dir:/path/to/ComfyUI/models/loras`.",
        )
    return kind


def _kind_by_suffix(suffix: str) -> str | None:
    """Return the kind of a file whose tensors are not read: unpickling would run its code."""
    return {".ckpt": "checkpoints", ".gguf": "diffusion_models"}.get(suffix)


def _kind_by_tensors(file: PlacementFile) -> str | None:
    try:
        names = [name.lower() for name in tensor_names(file.source)]
    except HeaderUnreadable:
        return None
    if any(part in f".{name}." for name in names for part in _LORA):
        return "loras"
    if any(name.startswith("model.diffusion_model.") for name in names) and any(
        name.startswith(_WHOLE) for name in names
    ):
        return "checkpoints"
    return next(
        (kind for kind, beginnings in _BEGINNINGS if any(name.startswith(beginnings) for name in names)),
        None,
    )


APP = App("comfyui", default_root, plan)
