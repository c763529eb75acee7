"""The Hub's cache: what the Hub's own package finds in it, offline, and what stays of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import cli_app, work
from support.hub import commit_of
from support.models import gguf, mlx_folder, one_file_model

A, B = gguf(4096, 1), gguf(1 << 20, 2)
FOLDER = mlx_folder()
REPO, MLX = "owner/Some-Model-GGUF", "owner/some-model-mlx"
FILE = "some-model-q4_k_m.gguf"


@pytest.fixture
def shop(home, hub, origin, monkeypatch, tmp_path):
    """A home with a file and a folder of the Hub, and the model `a` of a catalog."""
    for path, content in FOLDER.items():
        hub.add(MLX, path, content, lfs=path.endswith(".safetensors"))
    hub.add(REPO, FILE, B)
    origin.serve("a.gguf", A)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with cli_app(home, monkeypatch, one_file_model("a", origin.url("a.gguf"), A)) as app:
        for ref in (f"hf:{REPO}:Q4_K_M", f"hf:{MLX}", "a"):
            app.enqueue(ref)
        work(app)
        assert len(app.home.store.models()) == 3
        yield app


def hub_program(tmp_path: Path, program: str) -> str:
    """Run a program with the real huggingface_hub, offline; return its stdout."""
    environ = {"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "HOME": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, env=environ | {"PATH": os.environ["PATH"]}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_hubs_own_package_opens_a_placed_repository_without_a_network(cli, shop, tmp_path):
    page = cli("place", f"hf:{MLX}", "--in", "hf-cache", "--json").page
    [placed] = page["placements"]
    assert (placed["app"], placed["state"]) == ("hf-cache", "ok")
    folder = Path(hub_program(tmp_path, f"import huggingface_hub as h; print(h.snapshot_download({MLX!r}))"))
    assert str(folder) == placed["path"]
    assert {path: (folder / path).read_bytes() for path in FOLDER} == FOLDER
    assert folder.name == commit_of(MLX, "main")


def test_it_scans_without_a_warning(cli, shop, tmp_path):
    cli("place", f"hf:{MLX}", f"hf:{REPO}", "--in", "hf-cache")
    program = """
import json, huggingface_hub as h
found = h.scan_cache_dir()
print(json.dumps([[str(w) for w in found.warnings], sorted(r.repo_id for r in found.repos), found.size_on_disk]))
"""
    warnings, repos, size = json.loads(hub_program(tmp_path, program))
    assert (warnings, repos) == ([], [REPO, MLX])
    assert size == len(B) + sum(map(len, FOLDER.values()))
