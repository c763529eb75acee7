"""Opens the Hub's cache offline with the Hub's own tools, huggingface_hub and transformers, in their own environment.

torch, which loads weights, would be ten times as much as all the rest: the weights are opened with the library of their
format.
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
[seen] = scanned.repos
with safe_open(huggingface_hub.hf_hub_download(repo, "model.safetensors"), "numpy") as weights:
    shape = weights.get_slice("embeddings.word_embeddings.weight").get_shape()
print(json.dumps({
    "folder": folder,
    "faults": [str(fault) for fault in scanned.warnings],
    "repo": seen.repo_id,
    "refs": sorted(ref for revision in seen.revisions for ref in revision.refs),
    "tokens": AutoTokenizer.from_pretrained(repo)("hello world")["input_ids"],
    "hidden_size": AutoConfig.from_pretrained(repo).hidden_size,
    "shape": shape,
}))
"""


# 300 MB with all that it needs, of which the tests import little: to compile it all takes longer than to install it.
PACKAGES = ["--no-compile", "transformers>=5"]


def open_offline(python: Path, cache: Path, repo: str, endpoint: str) -> dict[str, Any]:
    """Return what the tools find of a BERT model in the cache; `endpoint` is the Hub that they must not ask.

    `python` has PACKAGES.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "HF_ENDPOINT": endpoint}
    said = subprocess.run([python, "-c", _OPEN, repo], env=environ, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    found: dict[str, Any] = json.loads(said.stdout)
    return found
