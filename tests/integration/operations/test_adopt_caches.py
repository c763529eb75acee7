"""Caches as other programs lay them out in 2026: what is in them is found, with where it came from."""

import pytest
from support.cli import cli_app
from support.models import gguf, mlx_folder, one_file_model
from support.other_apps import COMMIT, hugging_face, modelscope, put, sha256, shared_blobs, without_links

from flowhub_jobs.store.other_apps import AppFolder, WantedFile, app_folders, find_by_digest

A, B, C = (gguf((1 << 20) + seed, seed) for seed in range(1, 4))


@pytest.fixture
def app(home, user_home, monkeypatch):
    with cli_app(home, monkeypatch, one_file_model("a", "https://h.example/A-Q4.gguf", A)) as app:
        yield app


def adopted(cli, app):
    """Return the reference and the addresses of each model that `adopt` takes, by name."""
    assert cli("adopt", "-y").status == 0
    library = app.home.library
    return {
        entry.name: (entry.ref, [file.url for file in library.artifact(entry.name).files])
        for entry in library.entries()
    }


@pytest.mark.parametrize("lay", [hugging_face, shared_blobs, without_links])
def test_a_cache_of_the_hub_is_read_whether_its_blobs_are_its_own_shared_or_none(cli, app, user_home, lay):
    lay(user_home, "own/beta", {"beta-Q8_0.gguf": B, "README.md": b"# beta"})
    lay(user_home, "own/mlx", mlx_folder(seed=3))
    found = adopted(cli, app)
    url = f"https://huggingface.co/own/beta/resolve/{COMMIT}/beta-Q8_0.gguf"
    assert found["beta-Q8_0.gguf"] == ("hf:own/beta/beta-Q8_0.gguf", [url])
    assert found["mlx"][0] == "hf:own/mlx"
    assert cli("verify").status == 0


def test_a_shared_blob_is_checked_against_the_digest_of_the_first_link(cli, app, user_home):
    folder = shared_blobs(user_home, "own/beta", {"beta.gguf": B})
    [payload] = (folder.parent / "blobs").glob("??/*")
    payload.chmod(0o644)
    payload.write_bytes(C)
    page = cli("adopt", "--dry-run", "--json").json
    assert page["models"] == []
    assert "is damaged" in page["skipped"][0]["why"]


def test_llama_cpps_cache_may_have_the_hubs_layout_and_flat_files(cli, app, user_home, monkeypatch, tmp_path):
    hugging_face(tmp_path / "x", "own/beta", {"beta-Q8_0.gguf": B})
    cache = tmp_path / "x" / ".cache" / "huggingface" / "hub"
    put(cache / "own_gamma.gguf", C)
    monkeypatch.setenv("LLAMA_CACHE", str(cache))
    found = adopted(cli, app)
    assert set(found) == {"beta-Q8_0.gguf", "own_gamma.gguf"}
    assert found["beta-Q8_0.gguf"][0] == "hf:own/beta/beta-Q8_0.gguf"


@pytest.mark.parametrize("revision", ["master", "v1", None])
def test_modelscopes_cache_is_read_in_both_of_its_forms(cli, app, user_home, revision):
    modelscope(user_home, "own/Beta-0.5B", {"beta-q8_0.gguf": B, "configuration.json": b"{}"}, revision=revision)
    modelscope(user_home, "own/m.lx", mlx_folder(seed=3), revision=revision)
    found = adopted(cli, app)
    at = "@v1" if revision == "v1" else ""
    url = f"https://modelscope.cn/models/own/Beta-0.5B/resolve/{revision or 'master'}/beta-q8_0.gguf"
    assert found["beta-q8_0.gguf"] == (f"ms:own/Beta-0.5B{at}/beta-q8_0.gguf", [url])
    assert found["m.lx"][0] == f"ms:own/m.lx{at}"


@pytest.mark.parametrize("lay", [hugging_face, shared_blobs, without_links, modelscope])
def test_bytes_that_a_job_wants_are_found_in_every_form_of_a_cache(user_home, lay):
    lay(user_home, "own/beta", {"beta.gguf": B, "other.gguf": C})
    found = list(find_by_digest(app_folders({}, user_home), [WantedFile(sha256(B), len(B))]))
    assert {path.read_bytes() == B for _, path in found} == {True}


def test_a_data_sets_blobs_are_looked_through_as_well(user_home):
    folder = hugging_face(user_home, "own/beta", {"beta.gguf": B})
    folder.rename(folder.with_name("datasets--own--beta"))
    found = list(find_by_digest(app_folders({}, user_home), [WantedFile(sha256(B), len(B))]))
    assert len(found) == 1


def test_a_folder_that_is_named_by_hand_is_known_by_its_layout(cli, app, user_home):
    folder = modelscope(user_home, "own/beta", {"beta-q8_0.gguf": B})
    page = cli("adopt", folder.parents[3], "--dry-run", "--json").json
    assert page["models"][0]["ref"] == "ms:own/beta/beta-q8_0.gguf"
    assert AppFolder("modelscope", folder.parents[3].resolve()) in app_folders({}, user_home)


def test_a_dry_run_tells_the_name_under_which_it_would_be_adopted(cli, app, user_home):
    lm = user_home / ".lmstudio" / "models" / "p"
    put(lm / "r" / "renamed.gguf", A)
    put(lm / "r" / "same.gguf", B)
    put(lm / "s" / "same.gguf", C)
    told = cli("adopt", "--dry-run", "--json").json["models"]
    assert "A-Q4.gguf" in cli("adopt", "--dry-run").out.splitlines()
    done = cli("adopt", "-y", "--json").json["models"]
    assert [model["name"] for model in told] == [model["name"] for model in done]
    assert {"A-Q4.gguf", "same.gguf"} < {model["name"] for model in told}
