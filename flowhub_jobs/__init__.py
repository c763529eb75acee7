"""flowhub fetches model files to this machine, unattended: a durable queue, exact resume, every byte verified.

The names below are the Python API (README, "For programs"); a test pins them. They load on first use, so that
`flowhub --help` pays for none of them.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "catalog": "api",
    "find": "api",
    "resolve_option": "api",
    "download": "api",
    "list_local_llms": "api",
    "delete_local_llm": "api",
    "search": "api",
    "machine": "api",
    "fits": "api",
    "installed": "api",
    "outdated": "api",
    "path": "api",
    "HubCatalog": "catalogs.schema",
    "HubModel": "catalogs.schema",
    "HubVersion": "catalogs.schema",
    "DownloadOption": "catalogs.schema",
    "Hardware": "catalogs.schema",
    "InstalledModel": "values.artifacts",
    "LocalLlm": "values.artifacts",
    "HubFormat": "values.enums",
    "Offload": "values.enums",
    "FlowhubError": "errors",
}

__all__ = [*_PUBLIC, "__version__"]  # a test compares it with _PUBLIC


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
