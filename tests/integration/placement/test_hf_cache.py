"""Tests of placements in the Hub's cache: huggingface_hub opens them offline, and its own files stay."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.cli import cli_app, run_due_jobs
from support.disks import tmpfs_disk
from support.hub import commit_of
from support.models import gguf, mlx_folder, one_file_model

A, B = gguf(4096, 1), gguf(1 << 20, 2)
FOLDER = mlx_folder()
REPO, MLX = "owner/Some-Model-GGUF", "owner/some-model-mlx"
FILE = "some-model-q4_k_m.gguf"


@pytest.fixture
def app(home, hub, origin, monkeypatch, tmp_path):
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
        run_due_jobs(app)
        assert len(app.home.store.models()) == 3
        yield app


def run_with_hub_package(tmp_path: Path, program: str, **extra_environ: str) -> str:
    """Run a program with the real huggingface_hub, offline by default; return its stdout."""
    environ = {
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_OFFLINE": "1",
        "HOME": str(tmp_path),
        "PATH": os.environ["PATH"],
    }
    command = [sys.executable, "-W", "error", "-c", program]
    process = subprocess.run(command, env=environ | extra_environ, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return process.stdout.strip()


def test_the_hubs_own_package_opens_a_placed_repository_without_a_network(cli, app, tmp_path):
    page = cli("place", f"hf:{MLX}", "--in", "hf-cache", "--json").json
    [placed] = page["placements"]
    assert (placed["app"], placed["state"]) == ("hf-cache", "ok")
    folder = Path(run_with_hub_package(tmp_path, f"import huggingface_hub as h; print(h.snapshot_download({MLX!r}))"))
    assert str(folder) == placed["path"]
    assert {path: (folder / path).read_bytes() for path in FOLDER} == FOLDER
    assert folder.name == commit_of(MLX, "main")


def test_the_hubs_package_scans_the_cache_without_a_warning(cli, app, tmp_path):
    cli("place", f"hf:{MLX}", f"hf:{REPO}", "--in", "hf-cache")
    program = """
import json, huggingface_hub as h
cache = h.scan_cache_dir()
print(json.dumps([[str(w) for w in cache.warnings], sorted(r.repo_id for r in cache.repos), cache.size_on_disk]))
"""
    warnings, repos, size = json.loads(run_with_hub_package(tmp_path, program))
    assert (warnings, repos) == ([], [REPO, MLX])
    assert size == len(B) + sum(map(len, FOLDER.values()))


def test_a_model_that_is_not_from_the_hub_is_refused(cli, app):
    error = cli("place", "a", "--in", "hf-cache", "--json").error
    assert error["code"] == "placement_refused"
    assert "does not know the commit" in error["message"]


NEWER = "c" * 40


def publish_commit(hub, repo: str, files: dict[str, bytes]) -> None:
    """Add a commit with these files, and let the repository's branch point to it."""
    for path, content in files.items():
        hub.add(repo, path, content, revision=NEWER, lfs=path.endswith((".safetensors", ".gguf")))
    hub.repositories.points[repo, "main"] = NEWER


def repo_cache(tmp_path: Path, repo: str) -> Path:
    return tmp_path / "hf" / "hub" / f"models--{repo.replace('/', '--')}"


def scan_cache(tmp_path: Path) -> tuple[list[str], dict[str, int]]:
    """Return the warnings of a scan, and how many commits each repository has, as the real package reads them."""
    program = """
import json, huggingface_hub as h
cache = h.scan_cache_dir()
print(json.dumps([[str(w) for w in cache.warnings], {r.repo_id: len(r.revisions) for r in cache.repos}]))
"""
    warnings, repos = json.loads(run_with_hub_package(tmp_path, program))
    return warnings, repos


def test_the_hubs_own_check_of_a_cache_accepts_it(cli, app, hub, tmp_path):
    cli("place", f"hf:{MLX}", "--in", "hf-cache")
    program = f"import huggingface_hub as h; print(h.HfApi().verify_repo_checksums({MLX!r}))"
    output = run_with_hub_package(tmp_path, program, HF_ENDPOINT=hub.endpoint, HF_HUB_OFFLINE="0")
    assert f"checked_count={len(FOLDER)}" in output
    assert "mismatches=[]" in output


def test_files_that_the_hubs_own_package_downloaded_stay_and_are_used(cli, app, hub, tmp_path):
    """flowhub adds only the links that are missing, and leaves the package's commit, branch and blobs."""
    online = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0"}
    run_with_hub_package(tmp_path, f"import huggingface_hub as h; h.hf_hub_download({MLX!r}, 'config.json')", **online)
    before = {path: path.lstat().st_ino for path in repo_cache(tmp_path, MLX).rglob("*") if path.is_file()}
    assert cli("place", f"hf:{MLX}", "--in", "hf-cache").status == 0
    assert scan_cache(tmp_path) == ([], {MLX: 1})
    assert cli("unplace", f"hf:{MLX}").status == 0
    after = {path: path.lstat().st_ino for path in repo_cache(tmp_path, MLX).rglob("*") if path.is_file()}
    assert after == before
    assert scan_cache(tmp_path) == ([], {MLX: 1})


def test_a_file_that_a_snapshot_of_the_program_needs_stays(cli, app, hub, tmp_path):
    """The package links its snapshot to a blob of the cache: without the blob the snapshot would be corrupt."""
    cli("place", f"hf:{MLX}", "--in", "hf-cache")
    publish_commit(hub, MLX, FOLDER | {"README.md": b"# new"})
    online = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0"}
    run_with_hub_package(tmp_path, f"import huggingface_hub as h; h.snapshot_download({MLX!r})", **online)
    assert scan_cache(tmp_path) == ([], {MLX: 2})
    assert cli("unplace", f"hf:{MLX}").status == 0
    assert scan_cache(tmp_path) == ([], {MLX: 1})
    folder = Path(run_with_hub_package(tmp_path, f"import huggingface_hub as h; print(h.snapshot_download({MLX!r}))"))
    assert {path: (folder / path).read_bytes() for path in FOLDER} == FOLDER


def test_removing_a_placed_repository_with_the_hubs_tools_leaves_the_store(cli, app, tmp_path):
    cli("place", f"hf:{MLX}", "--in", "hf-cache")
    program = f"""
import huggingface_hub as h
h.scan_cache_dir().delete_revisions({commit_of(MLX, "main")!r}).execute()
"""
    run_with_hub_package(tmp_path, program)
    assert {path: (app.store / "some-model-mlx" / path).read_bytes() for path in FOLDER} == FOLDER
    assert cli("unplace", f"hf:{MLX}").status == 0
    assert not repo_cache(tmp_path, MLX).exists()


def test_two_variants_of_a_repository_share_its_branch(cli, app, hub, tmp_path):
    cli("place", f"hf:{REPO}", "--in", "hf-cache")
    publish_commit(hub, REPO, {FILE: B, "some-model-q8_0.gguf": gguf(8192, 5)})
    assert cli("enqueue", f"hf:{REPO}:Q8_0", "--place", "hf-cache").status == 0
    run_due_jobs(app)
    refs = repo_cache(tmp_path, REPO) / "refs" / "main"
    assert refs.read_text() == NEWER  # that of the variant that was placed last
    assert scan_cache(tmp_path) == ([], {REPO: 2})
    assert cli("unplace", "some-model-q8_0.gguf").status == 0
    assert refs.read_text() == commit_of(REPO, "main")
    assert scan_cache(tmp_path) == ([], {REPO: 1})
    name = f"import huggingface_hub as h; print(h.hf_hub_download({REPO!r}, {FILE!r}))"
    assert Path(run_with_hub_package(tmp_path, name)).read_bytes() == B
    assert cli("unplace", FILE).status == 0
    assert not repo_cache(tmp_path, REPO).exists()


def test_update_moves_the_branch_to_the_new_commit(cli, app, hub, tmp_path):
    cli("place", f"hf:{MLX}", "--in", "hf-cache")
    newer = FOLDER | {"config.json": FOLDER["config.json"] + b"\n"}
    publish_commit(hub, MLX, newer)
    assert cli("update", f"hf:{MLX}").status == 0
    run_due_jobs(app)
    folder = Path(run_with_hub_package(tmp_path, f"import huggingface_hub as h; print(h.snapshot_download({MLX!r}))"))
    assert {path: (folder / path).read_bytes() for path in newer} == newer
    assert scan_cache(tmp_path) == ([], {MLX: 1})


def test_a_cache_on_another_disk_has_symbolic_links(cli, app, tmp_path, monkeypatch):
    with tmpfs_disk(tmp_path / "disk") as disk:
        monkeypatch.setenv("HF_HOME", str(disk.mount_point))
        [placed] = cli("place", f"hf:{MLX}", "--in", "hf-cache", "--json").json["placements"]
        assert placed["how"] == "symlink"
        program = f"import huggingface_hub as h; print(h.snapshot_download({MLX!r}), h.scan_cache_dir().warnings)"
        output = run_with_hub_package(tmp_path, program, HF_HOME=str(disk.mount_point))
        assert output == f"{placed['path']} []"
        assert cli("rm", f"hf:{MLX}", "-y").status == 0
        assert os.listdir(disk.mount_point / "hub") == []


def test_a_disk_without_symbolic_links_gets_the_files_themselves(cli, app, tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "symlink", refuse)
    [placed] = cli("place", f"hf:{MLX}", "--in", "hf-cache", "--json").json["placements"]
    assert (placed["how"], placed["state"]) == ("hardlink", "ok")
    assert not (repo_cache(tmp_path, MLX) / "blobs").exists()
    folder = Path(run_with_hub_package(tmp_path, f"import huggingface_hub as h; print(h.snapshot_download({MLX!r}))"))
    assert {path: (folder / path).read_bytes() for path in FOLDER} == FOLDER


@pytest.mark.parametrize("another_disk", [False, True])
def test_of_two_placements_that_share_a_file_each_works_without_the_other(
    cli, app, tmp_path, monkeypatch, another_disk
):
    """Both have one blob. It stays with the remaining placement, also if it is a symbolic link to the other's file."""
    with tmpfs_disk(tmp_path / "disk") as disk:
        root = str(disk.mount_point) if another_disk else str(tmp_path / "hf")
        monkeypatch.setenv("HF_HOME", root)
        cli("enqueue", f"hf:{MLX}/config.json")
        run_due_jobs(app)
        cli("place", "config.json", f"hf:{MLX}", "--in", "hf-cache")
        assert [placement["state"] for placement in cli("placements", "--json").json["placements"]] == ["ok", "ok"]
        assert cli("rm", "config.json", "-y").status == 0
        [remaining] = cli("placements", "--json").json["placements"]
        assert (remaining["name"], remaining["state"]) == ("some-model-mlx", "ok")
        program = f"import huggingface_hub as h; print(h.snapshot_download({MLX!r}))"
        folder = Path(run_with_hub_package(tmp_path, program, HF_HOME=root))
        assert {path: (folder / path).read_bytes() for path in FOLDER} == FOLDER
        assert cli("unplace", "some-model-mlx").status == 0
        assert os.listdir(Path(root) / "hub") == []


def test_a_shared_file_that_the_program_replaced_stays_when_it_is_handed_over(cli, app, tmp_path, monkeypatch):
    with tmpfs_disk(tmp_path / "disk") as disk:
        monkeypatch.setenv("HF_HOME", str(disk.mount_point))
        cli("enqueue", f"hf:{MLX}/config.json")
        run_due_jobs(app)
        cli("place", "config.json", f"hf:{MLX}", "--in", "hf-cache")
        [blob] = [path for path in disk.mount_point.rglob("blobs/*") if path.read_bytes() == FOLDER["config.json"]]
        blob.unlink()
        blob.write_bytes(b"of the program")
        assert cli("unplace", "config.json").status == 0
        assert (blob.read_bytes(), blob.is_symlink()) == (b"of the program", False)
