"""Tests of models placed in each program by the command line: a reader written after its source opens them."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from support import app_readers
from support.cli import cli_app, run_due_jobs
from support.disk_files import files_in
from support.disks import image_disk, tmpfs_disk
from support.gguf_files import GgufFile, llama_8b
from support.hub import commit_of
from support.models import folder_model, gguf, one_file_model

from flowhub_jobs import system
from flowhub_jobs.placement import staging
from flowhub_jobs.placement.apps import app_named, lm_studio

REPO, FILE, MMPROJ = "owner/Some-Model-GGUF", "Some-Model-Q4_K_M.gguf", "mmproj-Some-Model-F16.gguf"
MODEL, OTHER = "b", gguf(4000, 4)
FOLDERS = {
    "lm-studio": ".lmstudio/models",
    "ollama": ".ollama/models",
    "llama-cpp": ".cache/huggingface/hub",
    "jan": ".local/share/Jan/data",
    "localai": ".localai/models",
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return llama_8b(GgufFile(tmp_path_factory.mktemp("gguf") / "w.gguf", words=["word"] * 100)).read_bytes()


@pytest.fixture
def app(home, hub, origin, monkeypatch, tmp_path, weights):
    """A home with a GGUF model and its projector, of the Hub, and the model `a` of one file from another origin."""
    files = {FILE: weights, MMPROJ: gguf(3000, 3)}
    for path, content in files.items():
        hub.add(REPO, path, content)
    addresses = {
        path: (f"https://huggingface.co/{REPO}/resolve/main/{path}", content) for path, content in files.items()
    }
    with_projector = folder_model(MODEL, addresses, option="q4_k_m", format="gguf")
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("flowhub_jobs.store.app_folders.MACOS", False)
    use_home_folder(monkeypatch, tmp_path / "user")
    with cli_app(home, monkeypatch, catalog_model(origin, OTHER), with_projector) as app:
        app.enqueue(MODEL)
        app.enqueue("a")
        run_due_jobs(app)
        yield app


def catalog_model(origin, content):
    return one_file_model("a", origin.serve(f"/{len(content)}/a-q4.gguf", content), content)


def use_home_folder(monkeypatch, user_home):
    monkeypatch.setenv("OLLAMA_MODELS", str(user_home / ".ollama" / "models"))
    (user_home / ".localai" / "models").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(user_home))


def read_placed(program: str, folder: Path) -> tuple[bytes, bytes]:
    """Return the weights and the projector of the Hub's model as the program reads them."""
    if program == "lm-studio":
        assert app_readers.read_lm_studio(folder) == {REPO: [FILE, MMPROJ]}
        top = folder / REPO
        files = top / FILE, top / MMPROJ
    elif program == "ollama":
        model = app_readers.read_ollama(folder)["b:q4_k_m"]
        files = model.weights, model.projectors[0]
    elif program == "llama-cpp":
        snapshot = app_readers.read_llama_cpp(folder, REPO)
        files = snapshot["parts"][0], snapshot["projector"]
    elif program == "jan":
        jan_model = app_readers.read_jan(folder)["owner/Some-Model-Q4_K_M"]
        files = jan_model.weights[0], jan_model.projector
    else:
        config = app_readers.read_localai(folder)["Some-Model-Q4_K_M"]
        files = config["weights"][0], config["projector"]
    return files[0].read_bytes(), files[1].read_bytes()


@pytest.mark.parametrize("program", FOLDERS)
def test_a_program_opens_a_placed_model_and_unplace_removes_all_of_its_files(cli, app, tmp_path, weights, program):
    user_home = tmp_path / "user"
    before = sorted(user_home.rglob("*"))
    [placed] = cli("place", MODEL, "--in", program, "--json").json["placements"]
    assert (placed["app"], placed["how"], placed["state"]) == (program, "hardlink", "ok")
    assert Path(placed["path"]).exists()
    assert read_placed(program, user_home / FOLDERS[program]) == (weights, gguf(3000, 3))
    assert cli("unplace", MODEL, "--in", program).status == 0
    left = [path for path in sorted(user_home.rglob("*")) if path not in before and not path.is_dir()]
    assert left == []
    assert cli("verify").status == 0


def test_a_program_on_another_disk_opens_a_model_by_a_symbolic_link(cli, app, tmp_path, weights, monkeypatch):
    with tmpfs_disk(tmp_path / "disk") as disk:
        use_home_folder(monkeypatch, disk.mount_point)
        page = cli("place", MODEL, *(f"--in={program}" for program in FOLDERS), "--json").json
        assert {placed["how"] for placed in page["placements"]} == {"symlink"}
        for program, folder in FOLDERS.items():
            assert read_placed(program, disk.mount_point / folder) == (weights, gguf(3000, 3))
        assert cli("rm", MODEL, "-y").status == 0
        assert [path for path in disk.mount_point.rglob("*") if path.is_symlink() or path.is_file()] == []


def test_a_program_that_follows_no_symbolic_link_gets_none(cli, app, tmp_path, monkeypatch):
    monkeypatch.setattr(lm_studio, "APP", replace(lm_studio.APP, follows_symlinks=False))
    with tmpfs_disk(tmp_path / "disk") as disk:
        use_home_folder(monkeypatch, disk.mount_point)
        error = cli("place", MODEL, "--in", "lm-studio", "--json").error
        assert error["code"] == "placement_refused"
        assert "follows no symbolic link" in error["message"]
        assert cli("place", MODEL, "--in", "lm-studio", "--copy").status == 0
        assert list(app_readers.read_lm_studio(disk.mount_point / FOLDERS["lm-studio"])) == [REPO]


@pytest.mark.parametrize(
    ("kind", "link_kinds"), [("ext4", {"hardlink"}), ("xfs", {"reflink", "hardlink"}), ("btrfs", {"reflink"})]
)
def test_every_program_opens_a_model_on_each_file_system(cli, app, tmp_path, weights, monkeypatch, kind, link_kinds):
    """The store is copied to the same file system."""
    with image_disk(tmp_path / "image", kind) as mount_point:
        use_home_folder(monkeypatch, mount_point)
        shutil.copytree(app.store, mount_point / "llms")
        monkeypatch.setenv("FLOWHUB_STORE", str(mount_point / "llms"))
        assert cli("verify", MODEL).status == 0
        page = cli("place", MODEL, *(f"--in={program}" for program in FOLDERS), "--json").json
        assert {placed["how"] for placed in page["placements"]} <= link_kinds
        for program, folder in FOLDERS.items():
            assert read_placed(program, mount_point / folder) == (weights, gguf(3000, 3))
        assert cli("rm", MODEL, "-y").status == 0
        left = [path for folder in FOLDERS.values() for path in (mount_point / folder).rglob("*") if not path.is_dir()]
        assert left == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
@pytest.mark.parametrize("program", FOLDERS)
def test_a_program_on_a_disk_without_any_links_opens_a_copy(cli, app, tmp_path, weights, monkeypatch, program, code):
    """FAT and some network disks have neither links nor a rename that replaces nothing."""
    folder = tmp_path / "user" / FOLDERS[program]
    before = {path for path in (tmp_path / "user").rglob("*") if not path.is_dir()}
    disable_links(monkeypatch, code)
    if program != "jan":  # its model.yml has the path of the store's file
        error = cli("place", MODEL, "--in", program, "--json").error
        assert (error["code"], "--copy" in error["hint"]) == ("placement_refused", True)
        assert {path for path in (tmp_path / "user").rglob("*") if not path.is_dir()} == before
    [placed] = cli("place", MODEL, "--in", program, "--copy", "--json").json["placements"]
    assert (placed["state"], placed["how"]) == ("ok", "copy" if program != "jan" else placed["how"])
    assert read_placed(program, folder) == (weights, gguf(3000, 3))
    assert [path for path in folder.rglob("*") if path.is_symlink()] == []
    assert cli("unplace", MODEL).status == 0
    assert {path for path in (tmp_path / "user").rglob("*") if not path.is_dir()} == before


def disable_links(monkeypatch, code):
    def refuse(*arguments, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(system, "_rename_flags", lambda *arguments, **options: False)
    monkeypatch.setattr("flowhub_jobs.store.links.reflink", lambda source, target: False)


def test_jan_gets_the_path_of_the_stores_file_on_a_disk_without_links(cli, app, tmp_path, weights, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    [placed] = cli("place", MODEL, "--in", "jan", "--json").json["placements"]
    assert placed["state"] == "ok"
    assert read_placed("jan", tmp_path / "user" / FOLDERS["jan"]) == (weights, gguf(3000, 3))
    assert cli("unplace", MODEL).status == 0
    assert app_readers.read_jan(tmp_path / "user" / FOLDERS["jan"]) == {}


# Ollama --------------------------------------------------------------------------------------------------------------


def test_ollama_lists_no_incomplete_model(cli, app, tmp_path, monkeypatch):
    """Ollama lists every file next to a tag as a model."""
    root, lists = tmp_path / "user" / FOLDERS["ollama"], []
    original = staging.put_in_place

    def put_in_place(*arguments, **options):
        lists.append(app_readers.read_ollama(root))
        return original(*arguments, **options)

    monkeypatch.setattr(staging, "put_in_place", put_in_place)
    assert cli("place", MODEL, "--in", "ollama").status == 0
    assert cli("place", "a", "--in", "ollama").status == 0
    assert [list(names) for names in lists] == [[], ["b:q4_k_m"]]
    assert list(root.rglob(".flowhub-*")) == []


def test_an_update_of_a_model_is_run_by_ollama_under_the_same_name(cli, app, origin, tmp_path):
    root = tmp_path / "user" / FOLDERS["ollama"]
    assert cli("place", "a", "--in", "ollama").status == 0
    newer = gguf(5000, 5)
    app.set_models(catalog_model(origin, newer))  # the new catalog does not have `b`
    cli("update", "a")
    run_due_jobs(app)
    [model] = app_readers.read_ollama(root).values()
    assert (model.name, model.weights.read_bytes()) == ("a:q4", newer)
    assert app_readers.ollama_prune(root) == []


def test_a_model_that_its_user_copied_in_ollama_keeps_its_weights(cli, app, tmp_path):
    root = tmp_path / "user" / FOLDERS["ollama"]
    cli("place", "a", "--in", "ollama")
    library = root / "manifests" / "registry.ollama.ai" / "library"
    shutil.copytree(library / "a", library / "mine")
    assert cli("rm", "a", "-y").status == 0
    assert [(name, model.weights.read_bytes()) for name, model in app_readers.read_ollama(root).items()] == [
        ("mine:q4", OTHER)
    ]


def test_a_model_that_ollama_pulled_itself_is_used_and_stays(cli, app, tmp_path):
    root = tmp_path / "user" / FOLDERS["ollama"]
    (root / "blobs").mkdir(parents=True)
    blob = root / "blobs" / app_readers.write_blob(root, OTHER).replace(":", "-")
    cli("place", "a", "--in", "ollama")
    assert list(app_readers.read_ollama(root)) == ["a:q4"]
    assert cli("unplace", "a").status == 0
    assert files_in(root / "blobs") == {blob.name: OTHER}


def test_a_name_that_ollama_has_already_is_not_taken_over(cli, app, tmp_path):
    manifest = tmp_path / "user" / FOLDERS["ollama"] / "manifests/registry.ollama.ai/library/a/q4"
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(b"{}")
    assert cli("place", "a", "--in", "ollama", "--json").error["code"] == "name_taken"
    assert manifest.read_bytes() == b"{}"
    assert not (manifest.parents[4] / "blobs").exists()


# Several programs ----------------------------------------------------------------------------------------------------


def test_vllm_and_lm_studio_open_one_copy_of_the_bytes(cli, app, tmp_path):
    cli("place", MODEL, "--in", "hf-cache", "--in", "lm-studio")
    user_home, installed = tmp_path / "user", app.store / "b-q4_k_m" / FILE
    snapshot = (
        user_home / f".cache/huggingface/hub/models--{REPO.replace('/', '--')}/snapshots/{commit_of(REPO, 'main')}"
    )
    copies = [installed, snapshot / FILE, user_home / FOLDERS["lm-studio"] / REPO / FILE]
    assert len({path.stat().st_ino for path in copies}) == 1


def test_two_programs_that_share_a_cache_keep_each_others_model(cli, app, tmp_path, weights):
    cache = tmp_path / "user" / FOLDERS["llama-cpp"]
    assert cli("place", MODEL, "--in", "hf-cache", "--in", "llama-cpp").status == 0
    assert cli("unplace", MODEL, "--in", "hf-cache").status == 0
    assert read_placed("llama-cpp", cache) == (weights, gguf(3000, 3))
    assert cli("unplace", MODEL, "--in", "llama-cpp").status == 0
    assert files_in(cache) == {}


def test_two_models_of_the_same_bytes_share_a_blob_until_both_are_removed(cli, app, origin, tmp_path):
    root = tmp_path / "user" / FOLDERS["ollama"]
    same = one_file_model("same", origin.serve("/same.gguf", OTHER), OTHER)
    app.set_models(catalog_model(origin, OTHER), same)
    app.enqueue("same")
    run_due_jobs(app)
    assert cli("place", "a", "same", "--in", "ollama").status == 0
    assert list(app_readers.read_ollama(root)) == ["a:q4", "same:q4"]
    assert cli("unplace", "a").status == 0
    assert list(app_readers.read_ollama(root)) == ["same:q4"]
    assert cli("rm", "same", "-y").status == 0
    assert files_in(root) == {}


def test_placed_models_are_not_offered_for_adoption(cli, app):
    cli("place", MODEL, "a", "--in", "lm-studio", "--in", "ollama")
    page = cli("adopt", "--dry-run", "--json").json
    assert (page["models"], page["skipped"]) == ([], [])


def test_every_documented_program_is_known():
    names = ("hf-cache", "lm-studio", "ollama", "llama-cpp", "comfyui", "jan", "localai")
    assert [app_named(name).name for name in names] == list(names)
