"""llama.cpp: since 2026 its cache has the Hub's layout (`hf_cache`), and `-hf` does not find a flat file.

Source: ggml-org/llama.cpp, common/hf-cache.cpp (folders, references, names of repositories) and common/download.cpp
(the choice of a file; parts and projectors are found by their names). Offline it takes the snapshot of refs/main, else
of any other reference, and none without a reference.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from flowhub_jobs.errors import PlacementRefused
from flowhub_jobs.placement.app import App
from flowhub_jobs.placement.apps import hf_cache
from flowhub_jobs.placement.gguf_files import gguf_files, projectors_alone
from flowhub_jobs.placement.values import InstalledForPlacement, Plan
from flowhub_jobs.store.app_folders import LLAMA_CPP, UserFolders, model_folders
from flowhub_jobs.values.enums import RepoKind

PROGRAM = "llama.cpp"
_REPOSITORY = re.compile(r"[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*/[A-Za-z0-9_]+(?:[.-][A-Za-z0-9_]+)*")


def default_root(environ: Mapping[str, str], home: Path) -> Path:
    """Return the cache in which llama.cpp looks, and not the flat one of versions before 2026."""
    return next(iter(model_folders(LLAMA_CPP, UserFolders(environ, home))))


def plan(installed: InstalledForPlacement, root: Path) -> Plan:
    """Return the plan. Raises PlacementRefused for what is not GGUF, or not from a repository of the Hub."""
    quant = None if projectors_alone(installed) else gguf_files(installed, PROGRAM)[0].quant
    if installed.kind is not RepoKind.MODEL or not installed.commit or not installed.repository:
        raise PlacementRefused(
            f"{PROGRAM}'s cache has models of the Hub alone, and the commit of {installed.name} there is not known.",
            hint="Place it with `--in dir:FOLDER`, and start `llama-server --models-dir FOLDER`.",
        )
    if not _REPOSITORY.fullmatch(installed.repository):
        raise PlacementRefused(
            f"{PROGRAM} does not accept the repository name {installed.repository}.",
            hint="Place it with `--in dir:FOLDER`, and start `llama-server --models-dir FOLDER`.",
        )
    by_branch = replace(installed, revision="main") if installed.revision == installed.commit else installed
    typed = f"{installed.repository}:{quant}" if quant else installed.repository
    return replace(hf_cache.plan_hf_cache(by_branch, root), notes=(f"Run it with `llama-server -hf {typed}`.",))


APP = App("llama-cpp", default_root, plan, needs_commit=True, still_needed=hf_cache.still_needed)
