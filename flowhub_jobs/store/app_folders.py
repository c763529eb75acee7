"""Model folders of other programs: where each looks, by its environment variables, its settings and its defaults.

`adopt` reads these folders and `place` writes into them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowhub_jobs.store.folder_scan import first_bytes
from flowhub_jobs.system import MACOS

LM_STUDIO, HUGGING_FACE, OLLAMA, LLAMA_CPP = "lm-studio", "huggingface", "ollama", "llama.cpp"
MODELSCOPE, JAN, LOCALAI, COMFYUI = "modelscope", "jan", "localai", "comfyui"
SETTINGS_MAX = 1 << 20


@dataclass(frozen=True, slots=True)
class UserFolders:
    """The environment and the home folder of the user or service whose programs are meant."""

    environ: Mapping[str, str]
    home: Path
    macos: bool = MACOS

    def named(self, *variables: str) -> Path | None:
        """Return the folder that the first of these variables names."""
        value = next((self.environ[name] for name in variables if self.environ.get(name)), None)
        return expanded(Path(value), self.home) if value else None

    @property
    def cache(self) -> Path:
        return self.named("XDG_CACHE_HOME") or self.home / ".cache"

    @property
    def data(self) -> Path:
        if self.macos:
            return self.home / "Library" / "Application Support"
        return self.named("XDG_DATA_HOME") or self.home / ".local" / "share"


def expanded(path: Path, home: Path) -> Path:
    """Return a path in which a leading `~` is this home folder."""
    return home.joinpath(*path.parts[1:]) if path.parts[:1] == ("~",) else path


def user_folders(environ: Mapping[str, str]) -> UserFolders:
    try:
        home = Path(environ.get("HOME") or Path.home())
    except RuntimeError:  # a user whom the system does not know, as in a container
        home = Path("/nonexistent")
    return UserFolders(environ, home)


def model_folders(program: str, user: UserFolders) -> tuple[Path, ...]:
    """Return the folders in which a program may look for models, best first. They need not exist.

    It is empty for a program without default folders, if no variable names one. Jan's is its data folder.
    """
    return _FOLDERS[program](user)


def model_folder(program: str, user: UserFolders) -> Path | None:
    """Return the folder in which a program looks for models: the first that exists, else the first."""
    folders = model_folders(program, user)
    return next((folder for folder in folders if _is_folder(folder)), next(iter(folders), None))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # ValueError: a NUL in its name
        return False


def _hub(user: UserFolders) -> tuple[Path, ...]:
    """huggingface_hub, `constants.py`."""
    hub = user.named("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE")
    return (hub or (user.named("HF_HOME") or user.cache / "huggingface") / "hub",)


def _lm_studio(user: UserFolders) -> tuple[Path, ...]:
    """lms-common-server, `findLMStudioHome`; the folder that the user chose is in settings.json."""
    pointer = first_bytes(user.home / ".lmstudio-home-pointer", 4096).decode(errors="replace").strip()
    legacy, usual = user.home / ".cache" / "lm-studio", user.home / ".lmstudio"
    homes = [Path(pointer)] if pointer.startswith("/") else []
    homes += [legacy, usual] if _is_folder(legacy) else [usual, legacy]
    chosen = [folder for home in homes if (folder := _setting(home / "settings.json", "downloadsFolder", user))]
    return tuple(dict.fromkeys([*chosen, *(home / "models" for home in homes)]))


def _ollama(user: UserFolders) -> tuple[Path, ...]:
    """Ollama, `envconfig/config.go`; the last two are the homes of its service on Linux."""
    if configured := user.named("OLLAMA_MODELS"):
        return (configured,)
    return user.home / ".ollama" / "models", Path("/usr/share/ollama/.ollama/models"), Path("/var/lib/ollama")


def _llama_cpp(user: UserFolders) -> tuple[Path, ...]:
    """llama.cpp, `common/hf-cache.cpp`: the Hub's cache since 2026. The last two are flat, and older."""
    if configured := user.named("LLAMA_CACHE"):
        return (configured,)
    return *_hub(user), user.cache / "llama.cpp", user.home / "Library" / "Caches" / "llama.cpp"


def _modelscope(user: UserFolders) -> tuple[Path, ...]:
    return (user.named("MODELSCOPE_CACHE") or user.home / ".cache" / "modelscope",)


def _jan(user: UserFolders) -> tuple[Path, ...]:
    """Jan, `src-tauri/src/core/app/commands.rs`: the data folder that its settings name, else the default one."""
    settings = [user.data / "Jan", user.data / "jan.ai.app", user.home / ".config" / "Jan"]
    chosen = [folder for place in settings if (folder := _setting(place / "settings.json", "data_folder", user))]
    return (*chosen[:1], user.data / "Jan" / "data")


def _localai(user: UserFolders) -> tuple[Path, ...]:
    """LocalAI, `core/cli/run.go`: ./models without a variable. Its launcher and its service set these two."""
    if configured := user.named("LOCALAI_MODELS_PATH", "MODELS_PATH"):
        return (configured,)
    candidates = (user.home / ".localai" / "models", Path("/usr/share/local-ai/models"))
    return tuple(folder for folder in candidates if _is_folder(folder))


def _comfyui(user: UserFolders) -> tuple[Path, ...]:
    """ComfyUI, `folder_paths.py`: `models` below the program, wherever that is. comfy-cli and the desktop app choose
    the known places."""
    if configured := user.named("COMFYUI_PATH"):
        return (configured / "models",)
    candidates = ("ComfyUI", "comfy/ComfyUI", "Documents/ComfyUI", "Documents/comfy/ComfyUI")
    return tuple(folder for place in candidates if _is_folder(folder := user.home / place / "models"))


_FOLDERS = {
    LM_STUDIO: _lm_studio,
    HUGGING_FACE: _hub,
    OLLAMA: _ollama,
    LLAMA_CPP: _llama_cpp,
    MODELSCOPE: _modelscope,
    JAN: _jan,
    LOCALAI: _localai,
    COMFYUI: _comfyui,
}


def _setting(path: Path, key: str, user: UserFolders) -> Path | None:
    """Return the folder that a JSON file of settings names; None for anything else."""
    try:
        settings: Any = json.loads(first_bytes(path, SETTINGS_MAX))
        folder = settings.get(key)
    except (ValueError, AttributeError, RecursionError):
        return None
    return expanded(Path(folder), user.home) if isinstance(folder, str) and folder and "\0" not in folder else None
