"""`adopt` from the caches of other programs, in their layouts of 2026: it finds the models and their sources."""

import pytest
from support.cli import cli_app
from support.models import gguf, mlx_folder, one_file_model
from support.other_apps import (
    COMMIT,
    hugging_face,
    hugging_face_with_shared_blobs,
    hugging_face_without_links,
    modelscope,
    sha256,
    write_file,
)

from flowhub_jobs.store.other_apps import AppFolder, WantedFile, app_folders, find_by_digest

A, B, C = (gguf((1 << 20) + seed, seed) for seed in range(1, 4))


@pytest.fixture
def app(home, user_home, monkeypatch):
    with cli_app(home, monkeypatch, one_file_model("a", "https://h.example/A-Q4.gguf", A)) as app:
        yield app


def adopt_all(cli, app):
    """Adopt all models; return the reference and the URLs of each, by name."""
    assert cli("adopt", "-y").status == 0
    library = app.home.library
    return {
        entry.name: (entry.ref, [file.url for file in library.artifact(entry.name).files])
        for entry in library.entries()
    }


@pytest.mark.parametrize("write_cache", [hugging_face, hugging_face_with_shared_blobs, hugging_face_without_links])
def test_a_cache_of_the_hub_is_read_whether_its_blobs_are_its_own_shared_or_none(cli, app, user_home, write_cache):
    write_cache(user_home, "own/beta", {"beta-Q8_0.gguf": B, "README.md": b"# beta"})
    write_cache(user_home, "own/mlx", mlx_folder(seed=3))
    models = adopt_all(cli, app)
    url = f"https://huggingface.co/own/beta/resolve/{COMMIT}/beta-Q8_0.gguf"
    assert models["beta-Q8_0.gguf"] == ("hf:own/beta/beta-Q8_0.gguf", [url])
    assert models["mlx"][0] == "hf:own/mlx"
    assert cli("verify").status == 0


def test_a_shared_blob_is_checked_against_the_digest_of_the_first_link(cli, app, user_home):
    folder = hugging_face_with_shared_blobs(user_home, "own/beta", {"beta.gguf": B})
    [payload] = (folder.parent / "blobs").glob("??/*")
    payload.chmod(0o644)
    payload.write_bytes(C)
    page = cli("adopt", "--dry-run", "--json").json
    assert page["models"] == []
    assert "is damaged" in page["skipped"][0]["why"]


def test_llama_cpps_cache_may_have_the_hubs_layout_and_flat_files(cli, app, user_home, monkeypatch, tmp_path):
    hugging_face(tmp_path / "x", "own/beta", {"beta-Q8_0.gguf": B})
    cache = tmp_path / "x" / ".cache" / "huggingface" / "hub"
    write_file(cache / "own_gamma.gguf", C)
    monkeypatch.setenv("LLAMA_CACHE", str(cache))
    models = adopt_all(cli, app)
    assert set(models) == {"beta-Q8_0.gguf", "own_gamma.gguf"}
    assert models["beta-Q8_0.gguf"][0] == "hf:own/beta/beta-Q8_0.gguf"


@pytest.mark.parametrize("revision", ["master", "v1", None])
def test_modelscopes_cache_is_read_in_both_of_its_forms(cli, app, user_home, revision):
    modelscope(user_home, "own/Beta-0.5B", {"beta-q8_0.gguf": B, "configuration.json": b"{}"}, revision=revision)
    modelscope(user_home, "own/m.lx", mlx_folder(seed=3), revision=revision)
    models = adopt_all(cli, app)
    suffix = "@v1" if revision == "v1" else ""
    url = f"https://modelscope.cn/models/own/Beta-0.5B/resolve/{revision or 'master'}/beta-q8_0.gguf"
    assert models["beta-q8_0.gguf"] == (f"ms:own/Beta-0.5B{suffix}/beta-q8_0.gguf", [url])
    assert models["m.lx"][0] == f"ms:own/m.lx{suffix}"


@pytest.mark.parametrize(
    "write_cache", [hugging_face, hugging_face_with_shared_blobs, hugging_face_without_links, modelscope]
)
def test_bytes_that_a_job_wants_are_found_in_every_form_of_a_cache(user_home, write_cache):
    write_cache(user_home, "own/beta", {"beta.gguf": B, "other.gguf": C})
    matches = list(find_by_digest(app_folders({}, user_home), [WantedFile(sha256(B), len(B))]))
    assert {path.read_bytes() == B for _, path in matches} == {True}


def test_the_blobs_of_a_data_set_are_searched_too(user_home):
    folder = hugging_face(user_home, "own/beta", {"beta.gguf": B})
    folder.rename(folder.with_name("datasets--own--beta"))
    matches = list(find_by_digest(app_folders({}, user_home), [WantedFile(sha256(B), len(B))]))
    assert len(matches) == 1


def test_a_folder_that_is_named_by_hand_is_known_by_its_layout(cli, app, user_home):
    folder = modelscope(user_home, "own/beta", {"beta-q8_0.gguf": B})
    page = cli("adopt", folder.parents[3], "--dry-run", "--json").json
    assert page["models"][0]["ref"] == "ms:own/beta/beta-q8_0.gguf"
    assert AppFolder("modelscope", folder.parents[3].resolve()) in app_folders({}, user_home)


def test_a_dry_run_shows_the_name_under_which_a_model_would_be_adopted(cli, app, user_home):
    lm_studio = user_home / ".lmstudio" / "models" / "p"
    write_file(lm_studio / "r" / "renamed.gguf", A)
    write_file(lm_studio / "r" / "same.gguf", B)
    write_file(lm_studio / "s" / "same.gguf", C)
    planned = cli("adopt", "--dry-run", "--json").json["models"]
    assert "A-Q4.gguf" in cli("adopt", "--dry-run").out.splitlines()
    adopted = cli("adopt", "-y", "--json").json["models"]
    assert [model["name"] for model in planned] == [model["name"] for model in adopted]
    assert {"A-Q4.gguf", "same.gguf"} < {model["name"] for model in planned}
