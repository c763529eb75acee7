"""Opens the Hub's cache offline with the Hub's own tools, huggingface_hub and transformers, in a separate environment.

torch, which loads weights, is ten times as large as all other packages: safetensors opens the weights instead.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

_OPEN = """
import json, sys
import huggingface_hub
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer

repo = sys.argv[1]
folder = huggingface_hub.snapshot_download(repo)
scanned = huggingface_hub.scan_cache_dir()
[cached_repo] = scanned.repos
with safe_open(huggingface_hub.hf_hub_download(repo, "model.safetensors"), "numpy") as weights:
    shape = weights.get_slice("embeddings.word_embeddings.weight").get_shape()
print(json.dumps({
    "folder": folder,
    "faults": [str(fault) for fault in scanned.warnings],
    "repo": cached_repo.repo_id,
    "refs": sorted(ref for revision in cached_repo.revisions for ref in revision.refs),
    "tokens": AutoTokenizer.from_pretrained(repo)("hello world")["input_ids"],
    "hidden_size": AutoConfig.from_pretrained(repo).hidden_size,
    "shape": shape,
}))
"""


# 300 MB with its dependencies, of which the tests import little: compiling all takes longer than installing.
PACKAGES = ["--no-compile", "transformers>=5"]


def open_offline(python: Path, cache: Path, repo: str, endpoint: str) -> dict[str, Any]:
    """Return what the tools find of a BERT model in the cache; `endpoint` is a Hub that they must not contact.

    `python` has PACKAGES.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "HF_ENDPOINT": endpoint}
    result = subprocess.run([python, "-c", _OPEN, repo], env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    report: dict[str, Any] = json.loads(result.stdout)
    return report
