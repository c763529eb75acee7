"""Registry of the programs that flowhub places models for. Each layout is one module: it plans, and writes nothing.

directory       any folder: `dir:PATH`
hf_cache        the cache of huggingface_hub, transformers, vLLM, MLX, llama.cpp
lm_studio, ollama, llama_cpp, comfyui, jan, localai    the programs of these names
"""

import importlib
import os
from collections.abc import Iterable

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.placement.app import DIRECTORY, App
from flowhub_jobs.placement.apps.directory import directory_app

# The module of each program, which has its App under the name APP. Imported at use.
_MODULES: dict[str, str] = {
    "hf-cache": "hf_cache",
    "lm-studio": "lm_studio",
    "ollama": "ollama",
    "llama-cpp": "llama_cpp",
    "comfyui": "comfyui",
    "jan": "jan",
    "localai": "localai",
}
APPS = tuple(_MODULES)


def app_named(name: str) -> App:
    """Return the program of this name, or the folder of `dir:PATH`. Raises UsageInvalid."""
    if name.startswith(DIRECTORY):
        return directory_app(name)
    if name not in _MODULES:
        raise UsageInvalid(
            f"flowhub cannot place models in {name!r}.",
            hint=f"The programs: {', '.join((*APPS, 'dir:PATH'))}.",
        )
    app: App = importlib.import_module(f"flowhub_jobs.placement.apps.{_MODULES[name]}").APP
    return app


def program_names(typed: Iterable[str]) -> tuple[str, ...]:
    """Return the names of these programs as rows keep them: the folder of `dir:PATH` is a whole path. UsageInvalid."""
    names = (f"{DIRECTORY}{os.path.abspath(name[len(DIRECTORY) :])}" if _is_relative(name) else name for name in typed)
    return tuple(dict.fromkeys(app_named(name).name for name in names))


def _is_relative(name: str) -> bool:
    path = name.removeprefix(DIRECTORY)
    return name.startswith(DIRECTORY) and path != "" and not path.startswith(("/", "~")) and "\0" not in path
