"""The `search` command: its table, its JSON, and its output if it finds nothing."""

import json
import os
import sqlite3

import pytest
from support.cli import cli_app, run_command, run_due_jobs
from support.models import gguf, one_file_model

from flowhub_jobs.home import opened
from flowhub_jobs.store.installed_options import installed_options
from flowhub_jobs.store.layout import Store

MODEL = ["id", "name", "publisher", "family", "parameters", "license", "context_length", "tags", "catalog",
         "released_at", "installed", "best", "variants"]  # fmt: skip
VARIANT = ["ref", "option", "format", "quantization", "bytes", "fit", "why", "installed"]
A = gguf(4096, 1)


@pytest.fixture
def app(home, origin, monkeypatch):
    models = []
    for name in ("qwen-small", "qwen-large", "llama"):
        url = origin.serve(f"/{name}.gguf", A)
        models += [one_file_model(name, url, A, quantization="Q4_K_M")]
        models += [one_file_model(name, url, A, option="q8", filename=f"{name}-q8.gguf")]
    details = {"publisher": "Some Labs", "family": "f", "license": "MIT", "parameters": "7B", "contextLength": 4096}
    tags_and_versions = {"tags": ["chat"], "versions": [{"version": "1", "releasedAt": "2024-05-06"}]}
    with cli_app(home, monkeypatch, *[model | details | tags_and_versions for model in models]) as app:
        yield app


def installed_refs(page):
    return {variant["ref"] for model in page["models"] for variant in model["variants"] if variant["installed"]}


def test_a_program_reads_every_model_with_its_variants(cli, app):
    page = cli("search", "llama", "--json").json
    assert list(page) == ["schema", "total", "models", "corrected"]
    assert (page["schema"], page["total"], page["corrected"]) == ("flowhub/search/1", 1, None)
    [model] = page["models"]
    assert list(model) == MODEL
    assert (model["id"], model["publisher"], model["license"], model["tags"]) == ("llama", "Some Labs", "MIT", ["chat"])
    assert (model["parameters"], model["context_length"], model["released_at"]) == ("7B", 4096, "2024-05-06")
    assert (model["catalog"], model["installed"], model["family"]) == ("base", False, "f")
    first, second = model["variants"]
    assert list(first) == list(second) == VARIANT
    assert (first["ref"], first["format"], first["quantization"]) == ("llama@q4", "gguf", "Q4_K_M")
    assert (first["bytes"], first["installed"], second["quantization"]) == (4096, False, None)
    assert first["fit"] in ("fits", "tight", "slow", "too big")
    assert first["why"]


def test_quiet_prints_references_that_enqueue_takes(cli, app):
    result = cli("search", "-q", "--sort", "name")
    [page] = [cli("search", "--json", "--sort", "name").json]
    assert result.out.split() == [model["best"] for model in page["models"]]
    variants = cli("search", "--quiet", "--variants", "llama")
    assert set(variants.out.split()) == {"llama@q4", "llama@q8"}
    assert variants.err == ""


def test_the_json_has_the_corrected_word(cli, app):
    page = cli("search", "lama", "--json").json
    assert page["corrected"] == {"typed": "lama", "shown": "llama"}
    assert page["total"] == 1


def test_the_hint_names_the_corrected_word(cli, app):
    result = cli("search", "lama")
    assert "Nothing has 'lama'; showing 'llama'." in result.err
    assert "llama" in result.out


def test_nothing_found_is_no_error(cli, app):
    page = cli("search", "unheardof", "--json").json
    assert page == {"schema": "flowhub/search/1", "total": 0, "models": [], "corrected": None}
    result = cli("search", "unheardof", "--format", "mlx")
    assert (result.status, result.out) == (0, "")
    assert "try fewer" in result.err
    assert "hf:owner/repo" in cli("search", "unheardof").err
    assert "try fewer" in cli("search", "--format", "mlx").err


@pytest.mark.parametrize(
    ("typed", "example"),
    [("--params x", "7..14B"), ("--max-size ten", "10G"), ("--format exe", "gguf"), ("--sort age", "size"),
     ("--license ***", "apache"), ("--tag -", "chat"), ("--publisher .", "--publisher"), ("--limit -1", "--help")],
)  # fmt: skip
def test_a_filter_that_is_not_understood_is_2_with_an_example(cli, app, typed, example):
    assert example in cli("search", *typed.split()).error_text
    assert cli("search", *typed.split(), "--json").error["code"] == "usage"


def test_the_rest_is_counted_and_limit_0_shows_it(cli, app):
    result = cli("search", "--limit", "2")
    assert len(result.out.splitlines()) == 3
    assert "1 more: --limit 0 shows all" in result.err
    assert len(cli("search", "--limit", "0").out.splitlines()) == 4
    page = cli("search", "--limit", "2", "--json").json
    assert (page["total"], len(page["models"])) == (3, 2)


def test_installed_variants_are_marked_until_they_are_removed(cli, app):
    assert installed_refs(cli("search", "--json").json) == set()
    app.enqueue("qwen-small")
    run_due_jobs(app)
    assert installed_refs(cli("search", "--json").json) == {"qwen-small@q4"}
    assert [model["id"] for model in cli("search", "--installed", "--json").json["models"]] == ["qwen-small"]
    result = cli("search", "--installed")
    assert "installed" in result.out
    assert "flowhub enqueue" not in result.err
    (app.store / "qwen-small.gguf").unlink()
    assert cli("search", "--installed", "--json").json["total"] == 0


def test_the_marks_are_those_of_the_library(app):
    app.enqueue("llama@q8")
    run_due_jobs(app)
    with opened(app.settings) as home:
        library_options = {(model.model, model.option) for model in home.library.models(lambda model, option: True)}
    assert (
        installed_options(app.settings.database_url, app.home.node, [Store(app.store)])
        == library_options
        == {("llama", "q8")}
    )
    assert installed_options(app.settings.database_url, "another-node", [Store(app.store)]) == frozenset()


def test_a_library_that_cannot_be_read_is_unknown_not_empty(cli, home, tmp_path, monkeypatch):
    database = tmp_path / "other.db"
    sqlite3.connect(database).close()
    database.write_bytes(b"no database at all, but some text of which there is enough")
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", f"sqlite:///{database}")
    monkeypatch.setenv("FLOWHUB_NODE", "n-1")
    page = cli("search", "qwen3-8b", "--limit", "1", "--json").json
    assert page["models"][0]["installed"] is None
    assert cli("search", "--installed", "--json").error["code"] == "database_unusable"


def test_a_search_makes_no_database(cli, home):
    assert cli("search", "qwen").status == 0
    assert [path.name for path in home.iterdir()] == ["search.db"]


def test_a_named_pipe_in_place_of_the_index_does_not_block_and_stays(home):
    home.mkdir(exist_ok=True)
    os.mkfifo(home / "search.db")
    result = run_command("search", "qwen3-8b")
    assert (result.status, "qwen3-8b" in result.out) == (0, True)
    assert "search.db is not a regular file" in result.err
    assert (home / "search.db").is_fifo()


@pytest.mark.parametrize("typed", [("qwen",), ("--variants", "coder"), ("--fits", "--sort", "size"), ()], ids=" ".join)
@pytest.mark.parametrize("columns", ["40", "80", "120"])
def test_a_screen_of_real_models_is_no_wider_than_the_terminal_and_cuts_no_id(home, columns, typed):
    result = run_command("search", *typed, COLUMNS=columns)
    assert result.status == 0
    assert max(len(line) for line in (result.out + result.err).splitlines()) <= max(int(columns), 80)
    assert max(len(line) for line in result.out.splitlines()) <= int(columns)
    cut = [word for line in result.out.splitlines() for word in line.split() if word.endswith("…")]
    assert not cut or (columns == "80" and "--variants" not in typed)
    assert all("…" not in line.split()[0] for line in result.out.splitlines())


def test_a_search_without_words_is_a_table_at_80_columns(app):
    long_id = "a-model-with-a-name-of-many-words-35"
    page = json.loads(app.catalog.read_text())
    page["models"][0] |= {"id": long_id, "parameters": "22.7M"}
    page["models"][0]["downloads"][0] |= {"id": "q4_k_m-bartowski"}
    page["models"][0]["downloads"] = page["models"][0]["downloads"][:1]
    page["models"][1]["downloads"] = [option | {"format": "mlx"} for option in page["models"][1]["downloads"]]
    app.catalog.write_text(json.dumps(page))
    result = run_command("search", COLUMNS="80")
    assert result.out.startswith("MODEL")
    assert long_id in result.out
    assert "q4_k_m-ba…" in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert "q4_k_m-bartowski" in run_command("search", "--variants", COLUMNS="80").out, (
        "a user types what is printed here"
    )


def test_a_model_that_runs_here_is_shown_with_the_next_command(cli, home):
    result = cli("search", "qwen2.5", "instruct", "72b")
    assert "enqueue qwen2-5-72b" in result.err  # the search matches this model alone
    result = cli("search", "--sort", "size", "--limit", "0")
    assert "too big" in result.out or "tight" in result.out or "fits" in result.out
    [line] = [line for line in result.err.splitlines() if "enqueue" in line]
    model = line.split("enqueue ")[1].partition("@")[0]
    [row] = [row for row in result.out.splitlines() if row.split()[0] == model]
    assert "fits" in row or "tight" in row


def test_every_variant_has_a_line_with_variants(cli, app):
    assert len(cli("search", "llama", "--variants").out.splitlines()) == 3
    assert len(cli("search", "llama").out.splitlines()) == 2
