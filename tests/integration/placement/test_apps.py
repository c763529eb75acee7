"""Models placed in each program by the command line, opened by readers that follow the programs' sources."""

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
    """A home with a GGUF model and its projector, of the Hub, and the model `a` of one file from elsewhere."""
    files = {FILE: weights, MMPROJ: gguf(3000, 3)}
    for path, content in files.items():
        hub.add(REPO, path, content)
    addresses = {
        path: (f"https://huggingface.co/{REPO}/resolve/main/{path}", content) for path, content in files.items()
    }
    whole = folder_model(MODEL, addresses, option="q4_k_m", format="gguf")
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    for name in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("flowhub_jobs.store.app_folders.MACOS", False)
    use_home_folder(monkeypatch, tmp_path / "user")
    with cli_app(home, monkeypatch, catalog_model(origin, OTHER), whole) as app:
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


def opened(program: str, folder: Path) -> tuple[bytes, bytes]:
    """Return the weights and the projector that the program finds of the model of the Hub."""
    if program == "lm-studio":
        assert app_readers.read_lm_studio(folder) == {REPO: [FILE, MMPROJ]}
        top = folder / REPO
        files = top / FILE, top / MMPROJ
    elif program == "ollama":
        model = app_readers.read_ollama(folder)["b:q4_k_m"]
        files = model.weights, model.projectors[0]
    elif program == "llama-cpp":
        found = app_readers.read_llama_cpp(folder, REPO)
        files = found["parts"][0], found["projector"]
    elif program == "jan":
        known = app_readers.read_jan(folder)["owner/Some-Model-Q4_K_M"]
        files = known.weights[0], known.projector
    else:
        config = app_readers.read_localai(folder)["Some-Model-Q4_K_M"]
        files = config["weights"][0], config["projector"]
    return files[0].read_bytes(), files[1].read_bytes()


@pytest.mark.parametrize("program", FOLDERS)
def test_a_program_opens_a_placed_model_and_nothing_is_left_of_it_after_unplace(cli, app, tmp_path, weights, program):
    user_home = tmp_path / "user"
    before = sorted(user_home.rglob("*"))
    [placed] = cli("place", MODEL, "--in", program, "--json").json["placements"]
    assert (placed["app"], placed["how"], placed["state"]) == (program, "hardlink", "ok")
    assert Path(placed["path"]).exists()
    assert opened(program, user_home / FOLDERS[program]) == (weights, gguf(3000, 3))
    assert cli("unplace", MODEL, "--in", program).status == 0
    left = [path for path in sorted(user_home.rglob("*")) if path not in before and not path.is_dir()]
    assert left == []
    assert cli("verify").status == 0


def test_a_program_on_another_disk_opens_it_by_a_symbolic_link(cli, app, tmp_path, weights, monkeypatch):
    with tmpfs_disk(tmp_path / "disk") as disk:
        use_home_folder(monkeypatch, disk.mount_point)
        page = cli("place", MODEL, *(f"--in={program}" for program in FOLDERS), "--json").json
        assert {placed["how"] for placed in page["placements"]} == {"symlink"}
        for program, folder in FOLDERS.items():
            assert opened(program, disk.mount_point / folder) == (weights, gguf(3000, 3))
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
    ("kind", "ways"), [("ext4", {"hardlink"}), ("xfs", {"reflink", "hardlink"}), ("btrfs", {"reflink"})]
)
def test_every_program_opens_it_on_a_file_system_of_this_kind(cli, app, tmp_path, weights, monkeypatch, kind, ways):
    """The store is on the same one: moved there, as its user would."""
    with image_disk(tmp_path / "image", kind) as place:
        use_home_folder(monkeypatch, place)
        shutil.copytree(app.store, place / "llms")
        monkeypatch.setenv("FLOWHUB_STORE", str(place / "llms"))
        assert cli("verify", MODEL).status == 0
        page = cli("place", MODEL, *(f"--in={program}" for program in FOLDERS), "--json").json
        assert {placed["how"] for placed in page["placements"]} <= ways
        for program, folder in FOLDERS.items():
            assert opened(program, place / folder) == (weights, gguf(3000, 3))
        assert cli("rm", MODEL, "-y").status == 0
        left = [path for folder in FOLDERS.values() for path in (place / folder).rglob("*") if not path.is_dir()]
        assert left == []


@pytest.mark.parametrize("code", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
@pytest.mark.parametrize("program", FOLDERS)
def test_a_program_on_a_disk_without_any_links_opens_a_copy(cli, app, tmp_path, weights, monkeypatch, program, code):
    """As FAT and some network disks: neither links nor a rename that replaces nothing."""
    folder = tmp_path / "user" / FOLDERS[program]
    before = {path for path in (tmp_path / "user").rglob("*") if not path.is_dir()}
    without_links(monkeypatch, code)
    if program != "jan":  # whose model.yml has the path of the store's file
        error = cli("place", MODEL, "--in", program, "--json").error
        assert (error["code"], "--copy" in error["hint"]) == ("placement_refused", True)
        assert {path for path in (tmp_path / "user").rglob("*") if not path.is_dir()} == before
    [placed] = cli("place", MODEL, "--in", program, "--copy", "--json").json["placements"]
    assert (placed["state"], placed["how"]) == ("ok", "copy" if program != "jan" else placed["how"])
    assert opened(program, folder) == (weights, gguf(3000, 3))
    assert [path for path in folder.rglob("*") if path.is_symlink()] == []
    assert cli("unplace", MODEL).status == 0
    assert {path for path in (tmp_path / "user").rglob("*") if not path.is_dir()} == before


def without_links(monkeypatch, code):
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
    assert opened("jan", tmp_path / "user" / FOLDERS["jan"]) == (weights, gguf(3000, 3))
    assert cli("unplace", MODEL).status == 0
    assert app_readers.read_jan(tmp_path / "user" / FOLDERS["jan"]) == {}


# Ollama --------------------------------------------------------------------------------------------------------------


def test_ollama_lists_nothing_that_is_half_made(cli, app, tmp_path, monkeypatch):
    """Its list takes every file next to a tag for a model."""
    root, lists = tmp_path / "user" / FOLDERS["ollama"], []
    real = staging.put_in_place

    def put_in_place(*arguments, **options):
        lists.append(app_readers.read_ollama(root))
        return real(*arguments, **options)

    monkeypatch.setattr(staging, "put_in_place", put_in_place)
    assert cli("place", MODEL, "--in", "ollama").status == 0
    assert cli("place", "a", "--in", "ollama").status == 0
    assert [list(names) for names in lists] == [[], ["b:q4_k_m"]]
    assert list(root.rglob(".flowhub-*")) == []


def test_an_update_of_a_model_is_run_by_ollama_under_the_same_name(cli, app, origin, tmp_path):
    root = tmp_path / "user" / FOLDERS["ollama"]
    assert cli("place", "a", "--in", "ollama").status == 0
    newer = gguf(5000, 5)
    app.set_models(catalog_model(origin, newer))  # `b` is no longer in it
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


# Together ------------------------------------------------------------------------------------------------------------


def test_vllm_and_lm_studio_open_one_copy_of_the_bytes(cli, app, tmp_path):
    cli("place", MODEL, "--in", "hf-cache", "--in", "lm-studio")
    user_home, here = tmp_path / "user", app.store / "b-q4_k_m" / FILE
    snapshot = (
        user_home / f".cache/huggingface/hub/models--{REPO.replace('/', '--')}/snapshots/{commit_of(REPO, 'main')}"
    )
    copies = [here, snapshot / FILE, user_home / FOLDERS["lm-studio"] / REPO / FILE]
    assert len({path.stat().st_ino for path in copies}) == 1


def test_two_programs_that_share_a_cache_do_not_lose_each_others_model(cli, app, tmp_path, weights):
    cache = tmp_path / "user" / FOLDERS["llama-cpp"]
    assert cli("place", MODEL, "--in", "hf-cache", "--in", "llama-cpp").status == 0
    assert cli("unplace", MODEL, "--in", "hf-cache").status == 0
    assert opened("llama-cpp", cache) == (weights, gguf(3000, 3))
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


def test_every_program_of_the_contract_is_there():
    names = ("hf-cache", "lm-studio", "ollama", "llama-cpp", "comfyui", "jan", "localai")
    assert [app_named(name).name for name in names] == list(names)
