"""The end of the demo: huggingface_hub opens the real model offline, from its own cache."""

import json
import subprocess
from pathlib import Path
from typing import Any

from lib.demo.checks import Demo, NotAsPromised, megabytes
from lib.demo.models import RESOLVE, Model, check_files
from lib.demo.processes import SCRIPTS, CommandFailed, Flowhub


def open_placed(demo: Demo, model: Model, cache: Path) -> None:
    """Place the model in the Hub's cache and open it offline. Raises CommandFailed, NotAsPromised, NotAsPublished."""
    flowhub = Flowhub(demo.flowhub.python, {**demo.flowhub.environ, "HF_HUB_CACHE": str(cache)})
    flowhub.show("place", model.ref, "--in", "hf-cache")
    repo = repository_of(model)
    result = _opened(flowhub, repo)
    folder = Path(result["folder"])
    check_files(model, folder)
    if result["faults"] or (result["files"], result["bytes"]) != (len(model.files), model.size):
        raise NotAsPromised(
            f"the cache has {megabytes(result['bytes'])} in {result['files']} files; {result['faults']}"
        )
    print(f"\nOpened offline by huggingface_hub {result['version']}: {repo} at {', '.join(result['refs'])}")
    print(f"  {folder}")
    print(
        f"  {result['files']} files, {megabytes(result['bytes'])}, each with its published sha256; nothing was fetched"
    )
    flowhub.show("placements")


def repository_of(model: Model) -> str:
    """Return the model's repository on the Hub. Raises NotAsPromised if its files are in several."""
    result = {match["repo"] for file in model.files if (match := RESOLVE.fullmatch(file.url))}
    if len(result) != 1:
        raise NotAsPromised(f"{model.ref} is in {len(result)} repositories")
    return result.pop()


def _opened(flowhub: Flowhub, repo: str) -> dict[str, Any]:
    """Return what huggingface_hub finds in the cache, in a process without network access."""
    command = [str(flowhub.python), str(SCRIPTS / "lib" / "demo" / "open_offline.py"), repo]
    environ = {name: value for name, value in flowhub.environ.items() if name not in ("HF_ENDPOINT", "HF_TOKEN")}
    offline = {**environ, "HF_HUB_OFFLINE": "1"}
    answer = subprocess.run(command, env=offline, check=False, capture_output=True, text=True)
    if answer.returncode:
        raise CommandFailed(f"huggingface_hub did not open {repo}: {answer.stderr.strip()[-500:]}")
    result: dict[str, Any] = json.loads(answer.stdout)
    return result
