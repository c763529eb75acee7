"""The `enqueue hf:owner/repo` command: from a reference to verified files, and clear errors."""

import hashlib
import json
import sqlite3

import pytest
from support.answer_faults import LoginPage, Status
from support.app import App
from support.cli import cli_app, run_due_jobs
from support.hub import commit_of
from support.models import gguf, mlx_folder

from flowhub_jobs.operations.repositories import latest_version, repository_details
from flowhub_jobs.settings import load_settings
from flowhub_jobs.values.enums import State

TOKEN = "hf_" + "S3cret" * 5
GGUF = "org/Tiny-GGUF"
MLX = "mlx-community/Tiny-4bit"
SPLIT = [f"UD-Q2_K_XL/Tiny-UD-Q2_K_XL-0000{n}-of-00002.gguf" for n in (1, 2)]


@pytest.fixture
def app(home, hub, monkeypatch):
    for seed, path in enumerate(["Tiny-Q4_K_M.gguf", "Tiny-Q8_0.gguf", "mmproj-F16.gguf", *SPLIT]):
        hub.add(GGUF, path, gguf(4096, seed))
    hub.add(GGUF, "README.md", b"# Tiny\n", lfs=False)
    for path, content in mlx_folder().items():
        hub.add(MLX, path, content, lfs=path.endswith(".safetensors"))
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    with cli_app(home, monkeypatch) as app:
        yield app


def installed_files(app: App) -> dict[str, bytes]:
    """Return the files in the store by path, without flowhub's own."""
    paths = {path.relative_to(app.store).as_posix(): path for path in app.store.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in paths.items() if not name.startswith(".")}


# From a reference to verified files ----------------------------------------------------------------------------------


def test_a_quant_is_fetched_pinned_to_its_commit_and_verified_by_the_hubs_sha256(cli, app, hub):
    [job] = cli("enqueue", f"hf:{GGUF}:Q8_0", "--json").jobs
    assert (job["ref"], job["model"], job["format"], job["bytes_total"]) == (f"hf:{GGUF}:Q8_0", None, "gguf", 4096)
    assert job["files"][0]["sha256"] == hashlib.sha256(gguf(4096, 1)).hexdigest()
    assert app.drain() == 0
    assert installed_files(app) == {"Tiny-Q8_0.gguf": gguf(4096, 1)}
    assert app.job(job["id"]).sha256_state == "verified"
    requested_paths = {request.path for request in hub.front.requests() if "/resolve/" in request.path}
    assert requested_paths == {f"/{GGUF}/resolve/{commit_of(GGUF, 'main')}/Tiny-Q8_0.gguf"}


def test_the_job_stores_the_commit_of_its_reference(cli, app, hub):
    [job] = cli("enqueue", f"hf:{GGUF}", "--json").jobs
    source = app.home.commands.artifact(job["id"]).hub
    assert source is not None
    assert (source.repo, source.commit, source.revision, source.quant) == (
        GGUF,
        commit_of(GGUF, "main"),
        "main",
        "Q4_K_M",
    )
    file = app.home.commands.artifact(job["id"]).files[0]
    assert file.url == f"https://huggingface.co/{GGUF}/resolve/{source.commit}/Tiny-Q4_K_M.gguf"


def test_an_mlx_folder_is_verified_by_sha256_and_by_git_sha1(cli, app):
    [job] = cli("enqueue", f"hf:{MLX}", "--json").jobs
    assert job["format"] == "mlx"
    assert app.drain() == 0
    assert installed_files(app) == {f"Tiny-4bit/{path}": content for path, content in mlx_folder().items()}
    assert app.job(job["id"]).sha256_state == "verified"


@pytest.mark.parametrize("path", ["config.json", "model.safetensors"])
def test_a_file_that_differs_from_the_hubs_digest_is_never_installed(cli, app, hub, path):
    [job] = cli("enqueue", f"hf:{MLX}/{path}", "--json").jobs
    hub.add(MLX, path, mlx_folder(seed=9)[path], lfs=path.endswith(".safetensors"))
    assert app.drain() == 10
    error = app.job(job["id"]).error
    assert error is not None
    assert error["code"] == "digest_mismatch"
    assert installed_files(app) == {}


def test_split_parts_and_a_companion_are_downloaded_together(cli, app):
    result = cli("enqueue", f"hf:{GGUF}:ud-q2_k_xl", "--include", "mmproj*")
    assert f"hf:{GGUF}:UD-Q2_K_XL,include=mmproj*" in result.out
    run_due_jobs(app)
    names = ["Tiny-UD-Q2_K_XL-00001-of-00002.gguf", "Tiny-UD-Q2_K_XL-00002-of-00002.gguf", "mmproj-F16.gguf"]
    assert sorted(installed_files(app)) == [f"Tiny-GGUF-UD-Q2_K_XL/{name}" for name in names]


def test_a_pasted_link_and_a_reference_are_the_same_job(cli, app):
    refs = [
        f"hf:{GGUF}:Q4_K_M",
        f"https://huggingface.co/{GGUF}/blob/main/Tiny-Q4_K_M.gguf?download=true",
        f"hf.co/{GGUF}:q4_k_m",
    ]
    assert {cli("enqueue", ref, "--json").jobs[0]["id"] for ref in refs} == {1}


def test_a_list_takes_repositories_with_globs_of_their_own(cli, app, tmp_path):
    (tmp_path / "list").write_text(f"hf:{GGUF}:Q8_0 --include 'mmproj*'\nhf:{MLX} --exclude tokenizer.json # small\n")
    first, second = cli("enqueue", "-f", tmp_path / "list", "--json").jobs
    assert [len(job["files"]) for job in (first, second)] == [2, 2]


def test_the_reference_that_is_shown_can_be_typed_again(cli, app):
    [job] = cli("enqueue", f"hf:{GGUF}", "--include", "mmproj*", "--json").jobs
    assert cli("enqueue", job["ref"], "--json").jobs[0]["id"] == job["id"]


def test_the_chosen_file_and_the_alternatives_are_printed(cli, app):
    result = cli("enqueue", f"hf:{GGUF}")
    assert "No quant was named: Q4_K_M is taken." in result.err
    assert "add --include" in result.err
    assert cli("enqueue", f"hf:{GGUF}", "--json").err == ""


def test_a_dry_run_asks_the_hub_and_queues_nothing(cli, app):
    plan = cli("enqueue", f"hf:{MLX}", "--dry-run", "--json").json["plan"]
    assert (plan[0]["ref"], plan[0]["action"]) == (f"hf:{MLX}", "fetch")
    assert app.home.queries.in_state(list(State)) == []


def test_a_revision_with_a_slash_is_one_segment_of_the_requested_path(cli, app, hub):
    hub.add("org/pr", "m.gguf", gguf(4096, 5), revision="refs/pr/1")
    [job] = cli("enqueue", "https://huggingface.co/org/pr/tree/refs%2Fpr%2F1", "--json").jobs
    assert job["ref"] == "hf:org/pr@refs%2Fpr%2F1/m.gguf"
    assert app.drain() == 0
    assert installed_files(app) == {"m.gguf": gguf(4096, 5)}


def test_a_repository_without_an_owner_is_accepted(cli, app, hub):
    hub.add("gpt2", "model.safetensors", mlx_folder()["model.safetensors"])
    [job] = cli("enqueue", "hf:gpt2", "--json").jobs
    assert app.drain() == 0
    assert (job["ref"], list(installed_files(app))) == ("hf:gpt2", ["gpt2/model.safetensors"])


def test_a_renamed_repository_is_queued_under_its_current_name(cli, app, hub):
    hub.facts.renamed["org/Old-GGUF"] = GGUF
    result = cli("enqueue", "hf:org/Old-GGUF:Q8_0")
    assert f"hf:{GGUF}:Q8_0" in result.out
    assert f"is called {GGUF} now" in result.err
    run_due_jobs(app)
    assert list(installed_files(app)) == ["Tiny-Q8_0.gguf"]


def test_many_pages_make_one_artifact(cli, app, hub):
    hub.facts.page_size = 2
    assert len(cli("enqueue", f"hf:{GGUF}:UD-Q2_K_XL", "--json").jobs[0]["files"]) == 2


# Updates and retries -------------------------------------------------------------------------------------------------


def test_the_latest_version_is_requested_by_the_same_reference(cli, app, hub):
    first = app.artifact(f"hf:{GGUF}:Q8_0,include=mmproj*")
    assert latest_version(app.settings, first) == first
    newer = "b" * 40
    for path in ("Tiny-Q8_0.gguf", "Tiny-Q4_K_M.gguf", "mmproj-F16.gguf"):
        hub.add(GGUF, path, gguf(8192, 7), revision=newer)
    hub.repositories.points[GGUF, "main"] = newer
    latest = latest_version(app.settings, first)
    assert latest is not None
    assert (latest.ref, latest.name, latest.hub.commit) == (first.ref, first.name, newer)
    assert latest.key != first.key
    assert latest.claim == first.claim


def test_a_retry_downloads_the_commit_of_the_first_attempt(cli, app, hub):
    [job] = cli("enqueue", f"hf:{GGUF}:Q8_0", "--json").jobs
    hub.break_front(Status(404), path=f"/{GGUF}/resolve/{commit_of(GGUF, 'main')}/Tiny-Q8_0.gguf")
    run_due_jobs(app)
    assert app.job(job["id"]).state is State.FAILED
    hub.break_front(path=f"/{GGUF}/resolve/{commit_of(GGUF, 'main')}/Tiny-Q8_0.gguf")
    hub.add(GGUF, "Tiny-Q8_0.gguf", gguf(8192, 9), revision="b" * 40)
    hub.repositories.points[GGUF, "main"] = "b" * 40
    cli("retry", job["id"])
    run_due_jobs(app)
    assert installed_files(app) == {"Tiny-Q8_0.gguf": gguf(4096, 1)}


def test_a_repository_has_a_card_of_all_its_variants(app, hub):
    hub.facts.about[GGUF] = {"cardData": {"license": "apache-2.0"}, "tags": ["gguf", "chat"], "gated": "manual"}
    card = repository_details(app.settings, f"hf:{GGUF}")
    assert card is not None
    assert (card.name, card.license, card.tags, card.gated) == (GGUF, "apache-2.0", ("gguf", "chat"), True)
    rows = [
        (variant.ref, variant.format, variant.hub.quant, variant.size, len(variant.files)) for variant in card.variants
    ]
    assert rows == [
        (f"hf:{GGUF}:Q4_K_M", "gguf", "Q4_K_M", 4096, 1),
        (f"hf:{GGUF}:Q8_0", "gguf", "Q8_0", 4096, 1),
        (f"hf:{GGUF}:UD-Q2_K_XL", "gguf", "UD-Q2_K_XL", 8192, 2),
    ]
    assert card.companions == ("mmproj-F16.gguf",)
    assert repository_details(app.settings, "qwen3-8b") is None


# Unavailable ---------------------------------------------------------------------------------------------------------


def test_a_private_repository_is_read_with_the_token_which_no_other_host_receives(cli, app, hub, monkeypatch):
    hub.access.token, hub.access.private = TOKEN, {GGUF}
    assert cli("enqueue", f"hf:{GGUF}", "--json").error["code"] == "token_missing"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    [job] = cli("enqueue", f"hf:{GGUF}:Q8_0", "--json").jobs
    assert app.drain() == 0
    assert app.job(job["id"]).state is State.COMPLETED
    assert hub.leaked_tokens == []
    assert_not_stored(TOKEN, app)


def test_the_error_of_a_refused_token_does_not_show_it(cli, app, hub, monkeypatch):
    hub.access.token = "hf_right"
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    result = cli("enqueue", f"hf:{GGUF}:Q8_0")
    assert result.status == 4
    assert TOKEN not in result.error_text
    assert_not_stored(TOKEN, app)


def assert_not_stored(secret: str, app: App) -> None:
    with sqlite3.connect(app.path / "flowhub.db") as database:
        dump = "\n".join(database.iterdump())
    database.close()
    texts = [path.read_bytes() for path in app.path.rglob("*") if path.is_file()]
    assert secret not in dump
    assert not any(secret.encode() in text for text in texts)


@pytest.mark.parametrize("variable", ["HF_TOKEN_PATH", "HF_HOME", "HOME"])
def test_the_token_is_read_from_the_file_of_the_hubs_own_tools(cli, app, hub, monkeypatch, tmp_path, variable):
    hub.access.token, hub.access.private = TOKEN, {GGUF}
    folder = tmp_path / "own" / ".cache" / "huggingface"
    folder.mkdir(parents=True)
    (folder / "token").write_text(f"{TOKEN}\n")
    monkeypatch.delenv("HF_HOME")
    values = {"HF_TOKEN_PATH": folder / "token", "HF_HOME": folder, "HOME": tmp_path / "own"}
    monkeypatch.setenv(variable, str(values[variable]))
    assert cli("enqueue", f"hf:{GGUF}:Q8_0", "--json").status == 0


def test_a_gated_repository_is_queued_with_a_hint(cli, app, hub):
    hub.access.gated.add(GGUF)
    result = cli("enqueue", f"hf:{GGUF}:Q8_0")
    assert "gated" in result.err
    run_due_jobs(app)
    error = app.job(1).error
    assert error is not None
    assert error["code"] == "gated"
    hub.access.unlisted.add(GGUF)
    assert cli("enqueue", f"hf:{GGUF}:Q4_K_M", "--json").error["code"] == "gated"


@pytest.mark.parametrize(
    ("ref", "status", "words"),
    [
        (f"hf:{GGUF}:Q5_K_M", 3, "It has: Q4_K_M, Q8_0, UD-Q2_K_XL (in 2 parts)."),
        (f"hf:{GGUF}/Tiny-Q4_K.gguf", 3, "Did you mean Tiny-Q4_K_M.gguf"),
        (f"hf:{GGUF}@v9", 3, "no such revision"),
        ("hf:org/none", 4, "Check its name"),
        ("hf:org/empty", 3, "is empty"),
        ("hf:org/evil", 5, "climbs out"),
        ("hf:org/disabled", 5, "has disabled"),
        ("hf:org/", 2, "hf:owner/repo"),
        ("https://huggingface.co/datasets/org/data", 4, "data set org/data"),
        ("https://huggingface.co/spaces/org/app", 2, "Spaces"),
    ],
)
def test_an_unavailable_reference_is_a_clear_error_and_nothing_is_queued(cli, app, hub, ref, status, words):
    hub.facts.about["org/empty"] = {}
    hub.add("org/evil", "model.safetensors", b"x")
    hub.add("org/evil", "../x.safetensors", b"x")
    hub.add("org/disabled", "m.gguf", b"x")
    hub.facts.disabled.add("org/disabled")
    result = cli("enqueue", ref)
    assert result.status == status
    assert words in " ".join(result.error_text.split())
    assert app.home.queries.in_state(list(State)) == []
    assert cli("enqueue", ref, "--json").error


def test_a_busy_hub_is_waited_for_and_a_long_wait_is_an_error(cli, app, hub):
    hub.break_front(Status(429, {"RateLimit": '"api";r=0;t=0'}).first(2))
    assert cli("enqueue", f"hf:{GGUF}:Q8_0", "--json").status == 0
    hub.break_front(Status(429, {"RateLimit": '"api";r=0;t=299'}))
    error = cli("enqueue", f"hf:{MLX}", "--json").error
    assert error["code"] == "wait_too_long"
    assert "4 min 59 s" in error["message"]


def test_a_web_page_is_not_accepted_as_the_hubs_answer(cli, app, hub):
    hub.break_front(LoginPage())
    result = cli("enqueue", f"hf:{GGUF}")
    assert result.status == 5
    assert "web page" in result.error_text


def test_without_a_network_the_error_says_to_check_it(cli, app, hub):
    hub.close()
    result = cli("enqueue", f"hf:{GGUF}")
    assert result.status == 5
    assert "Check the network" in result.error_text


def test_options_that_exclude_each_other_are_refused_without_a_request(cli, app, hub):
    assert cli("enqueue", f"hf:{GGUF}", "--sha256", "ab" * 32).status == 2
    assert cli("enqueue", f"https://huggingface.co/{GGUF}#sha256={'ab' * 32}").status == 2
    assert cli("enqueue", "https://h.example/m.gguf", "--include", "x").status == 2
    assert hub.front.requests() == []


# The token file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "token"),
    [(b"hf_abc\n", "hf_abc"), (b"", None), (b" \n", None), (b"\xff\xfe", None), (b"two words", None), (b"a\nb", None)],
)
def test_the_token_file_is_read_and_an_invalid_one_is_ignored(tmp_path, content, token):
    (tmp_path / "token").write_bytes(content)
    environ = {"FLOWHUB_HOME": str(tmp_path / "home"), "HF_HOME": str(tmp_path)}
    assert load_settings(environ).hf_token == token
    assert load_settings(environ | {"HF_TOKEN": "hf_own"}).hf_token == "hf_own"
    assert load_settings(environ | {"HF_TOKEN_PATH": str(tmp_path)}).hf_token is None
    assert load_settings({"FLOWHUB_HOME": str(tmp_path / "home")}).hf_token is None
    assert "hf_abc" not in json.dumps(repr(load_settings(environ)))
