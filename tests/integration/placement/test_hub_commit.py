"""Tests of a catalog's URL of a branch: the Hub gives its commit, by which the model belongs to its repository."""

import pytest
from support.answer_faults import Status
from support.app_readers import read_llama_cpp, read_lm_studio
from support.cli import cli_app, run_due_jobs
from support.hub import commit_of
from support.models import folder_model, gguf, one_file_model

REPO, FILE = "owner/Some-Model-GGUF", "some-model-Q4_K_M.gguf"
PARTS = {f"some-model-Q8_0-0000{n}-of-00002.gguf": gguf(5000 + n, n) for n in (1, 2)}
A = gguf(4096, 1)


def address(path, revision="main"):
    return f"https://huggingface.co/{REPO}/resolve/{revision}/{path}"


@pytest.fixture
def app(home, hub, monkeypatch, tmp_path):
    hub.add(REPO, FILE, A)
    for path, content in PARTS.items():
        hub.add(REPO, path, content)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("LLAMA_CACHE", str(tmp_path / "llama"))
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    parts = {path: (address(path), content) for path, content in PARTS.items()}
    models = one_file_model("a", address(FILE), A), folder_model("b", parts, option="q8", format="gguf")
    with cli_app(home, monkeypatch, *models) as app:
        yield app


@pytest.mark.parametrize(("model", "tag", "content"), [("a", "Q4_K_M", [A]), ("b", "Q8_0", list(PARTS.values()))])
def test_a_model_of_a_branch_is_placed_under_the_commit_that_it_came_from(cli, app, tmp_path, model, tag, content):
    cli("enqueue", model)
    run_due_jobs(app)
    result = cli("place", model, "--in", "llama-cpp", "--in", "lm-studio")
    assert result.status == 0, result.err
    assert [path.read_bytes() for path in read_llama_cpp(tmp_path / "llama", REPO, tag)["parts"]] == content
    snapshots = tmp_path / "llama" / f"models--{REPO.replace('/', '--')}" / "snapshots"
    assert [path.name for path in snapshots.iterdir()] == [commit_of(REPO, "main")]
    assert list(read_lm_studio(tmp_path / "user" / ".lmstudio" / "models")) == [REPO]


def test_its_identity_and_its_address_stay_those_of_the_catalog(cli, app):
    cli("enqueue", "a")
    run_due_jobs(app)
    [entry] = app.home.library.entries()
    [file] = app.home.library.artifact(entry.name).files
    assert (file.url, file.commit) == (address(FILE), commit_of(REPO, "main"))
    assert cli("outdated", "--json").json["outdated"] == []
    [job] = cli("enqueue", "a", "--json").jobs
    assert (job["state"], job["id"]) == ("completed", 1)


def use_mirror(app, origin):
    """Set a mirror for the file: its responses have no commit."""
    path = f"/{REPO}/resolve/main/{FILE}"
    mirror = origin.serve(path, A).removesuffix(path)
    (app.path / "config.toml").write_text(f'[mirrors]\n"https://huggingface.co" = ["{mirror}"]\n')


def test_a_worker_that_places_a_model_asks_for_its_commit_too(cli, app, hub, origin, tmp_path):
    use_mirror(app, origin)
    cli("enqueue", "a", "--place", "llama-cpp")
    assert cli("worker", "--drain").status == 0
    [file] = app.home.library.artifact(FILE).files
    assert file.commit == commit_of(REPO, "main")
    assert read_llama_cpp(tmp_path / "llama", REPO, "Q4_K_M")["parts"][0].read_bytes() == A


def test_a_hub_that_does_not_answer_is_asked_again(cli, app, hub, origin, tmp_path):
    use_mirror(app, origin)
    cli("enqueue", "a", "--place", "llama-cpp")
    hub.break_front(Status(429, {"Retry-After": "3600"}))
    assert cli("worker", "--drain").status == 0
    [row] = app.home.placement_rows.all()
    assert row.error["retryable"]
    assert row.error["message"].startswith("The Hub does not tell the commit")
    hub.break_front()
    app.home.placements.context.rows.update(row.id, next_at=None)  # an hour later
    assert app.home.placements.place_pending(wait=True)
    assert read_llama_cpp(tmp_path / "llama", REPO, "Q4_K_M")["parts"][0].read_bytes() == A


@pytest.fixture
def adopted(cli, app, tmp_path):
    """A model that was linked from another program: its commit is unknown, as with a mirror."""
    other = tmp_path / "user" / ".cache" / "llama.cpp" / FILE
    other.parent.mkdir(parents=True)
    other.write_bytes(A)
    assert cli("adopt", other.parent, "-y").status == 0


def test_the_hub_is_asked_for_a_commit_that_is_not_known(cli, app, hub, adopted, tmp_path):
    assert cli("place", "a", "--in", "llama-cpp").status == 0
    assert read_llama_cpp(tmp_path / "llama", REPO, "Q4_K_M")["parts"][0].read_bytes() == A
    before = len(hub.front.requests())
    assert cli("unplace", "a").status == 0
    assert cli("place", "a", "--in", "llama-cpp").status == 0
    assert len(hub.front.requests()) == before


def test_a_branch_that_has_other_bytes_now_gives_no_commit(cli, app, hub, adopted):
    hub.add(REPO, FILE, gguf(4096, 9))
    assert "the commit" in cli("place", "a", "--in", "llama-cpp").err


def test_without_a_commit_the_reason_is_given_and_other_programs_get_the_model(
    cli, app, adopted, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    result = cli("place", "a", "--in", "llama-cpp")
    assert result.status == 5
    assert "the commit" in result.err
    assert cli("place", "a", "--in", "ollama", "--in", "lm-studio").status == 0
    assert read_lm_studio(tmp_path / "user" / ".lmstudio" / "models") == {REPO: [FILE]}
