"""Registry of the programs that flowhub places models for. Each layout is one module: it plans, and writes nothing.

directory       any folder: `dir:PATH`
lm_studio, ollama, comfyui, jan, localai    the programs of these names
"""

import importlib

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.placement.app import DIRECTORY, App
from flowhub_jobs.placement.apps.directory import directory_app

# The module of each program, which has its App under the name APP. Imported at use.
_MODULES: dict[str, str] = {
    "lm-studio": "lm_studio",
    "ollama": "ollama",
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
            f"flowhub places models for no program {name!r}.",
            hint=f"The programs: {', '.join((*APPS, 'dir:PATH'))}.",
        )
    app: App = importlib.import_module(f"flowhub_jobs.placement.apps.{_MODULES[name]}").APP
    return app
