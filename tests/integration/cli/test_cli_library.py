"""The `list`, `show`, `path`, `rm` and `device` commands."""

import json
import os
import pty
import sys

import pytest
from support.cli import cli_app, lease_store_of, run_command, run_due_jobs
from support.models import folder_model, gguf, mlx_folder, one_file_model

KEYS = ["name", "model", "option", "format", "path", "bytes", "sha256", "installed_at", "verified_at", "in_catalog"]
KEYS += ["condition", "source", "linked_from", "placed_in", "pinned", "store"]
A = gguf(4096, 1)


@pytest.fixture
def app(home, origin, monkeypatch):
    """A home whose catalog has a file and a folder, and whose store has two files that were added by hand."""
    files = {path: (origin.serve(f"/c/{path}", data), data) for path, data in mlx_folder().items()}
    models = [one_file_model("a", origin.serve("/a.gguf", A), A), folder_model("c", files)]
    with cli_app(home, monkeypatch, *models) as app:
        app.store.mkdir()
        (app.store / "hand.gguf").write_bytes(b"GGUF")
        (app.store / "notes.txt").write_text("hello")
        yield app


@pytest.fixture
def app_with_models(app):
    app.enqueue("a")
    app.enqueue("c")
    run_due_jobs(app)
    return app


def test_list_joins_the_files_of_the_store_to_the_catalog(cli, app_with_models):
    page = cli("list", "--json").json
    assert page["schema"] == "flowhub/installed/1"
    assert all(list(model) == KEYS for model in page["models"])
    models = {model["name"]: model for model in page["models"]}
    assert list(models) == ["a.gguf", "c-mlx-4bit", "hand.gguf", "notes.txt"]
    file, folder, by_hand, text = models.values()
    assert (file["model"], file["option"], file["format"], file["bytes"]) == ("a", "q4", "gguf", 4096)
    assert (len(file["sha256"]), file["in_catalog"], file["path"]) == (64, True, str(app_with_models.store / "a.gguf"))
    assert file["verified_at"].endswith("Z")
    assert (folder["sha256"], folder["format"], folder["in_catalog"]) == (None, "mlx", True)
    assert folder["bytes"] == sum(len(data) for data in mlx_folder().values())
    null_keys = ("model", "option", "sha256", "installed_at", "verified_at")
    assert {by_hand[key] for key in null_keys} | {text[key] for key in null_keys} == {None}
    assert (by_hand["format"], text["format"], by_hand["in_catalog"]) == ("gguf", None, False)


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_list_cuts_no_name_however_narrow_the_screen(app_with_models, columns):
    long = "a-model-with-quite-a-long-name-for-a-screen-q4_k_m.gguf"
    (app_with_models.store / long).write_bytes(b"GGUF")
    result = run_command("list", COLUMNS=columns)
    assert long in result.out
    assert "c@mlx-4bit" in result.out
    assert "…" not in result.out


def test_an_empty_store_says_how_to_fill_it(cli, home, monkeypatch):
    with cli_app(home, monkeypatch):
        result = cli("list")
    assert (result.status, result.out) == (0, "")
    assert "flowhub enqueue MODEL" in result.err


def test_a_name_that_is_no_valid_utf8_is_listed(cli, app):
    with open(os.fsencode(app.store) + b"/\xff\x1b[31m.gguf", "wb") as file:
        file.write(b"GGUF")
    assert "\x1b" not in cli("list").out
    assert any(model["name"].startswith("\udcff") for model in cli("list", "--json").json["models"])
    assert run_command("list").status == 0


@pytest.mark.parametrize("ref", ["a", "a@q4", "a:q4", "a.gguf", "A"])
def test_path_prints_the_path_of_the_model(cli, app_with_models, ref):
    assert cli("path", ref).out == f"{app_with_models.store / 'a.gguf'}\n"
    page = cli("path", ref, "--json").json
    assert (page["schema"], page["path"]) == ("flowhub/path/1", str(app_with_models.store / "a.gguf"))
    assert (page["name"], page["format"], page["folder"], page["condition"]) == ("a.gguf", "gguf", False, "ok")


def test_path_of_an_unknown_model_is_3_with_the_nearest_names(cli, app):
    result = cli("path", "hand.ggu", "--json")
    assert (result.status, result.error["code"]) == (3, "not_found")
    assert "hand.gguf" in result.error["hint"]


def test_rm_by_reference_and_by_name(cli, app_with_models):
    page = cli("rm", "a", "hand.gguf", "-y", "--json").json
    removed = [(model["name"], model["bytes"], model["freed"]) for model in page["removed"]]
    assert removed == [("a.gguf", 4096, 4096), ("hand.gguf", 4, 4)]
    assert cli("rm", "c@mlx-4bit", "--yes").out.startswith("Removed c-mlx-4bit: ")
    assert [path.name for path in app_with_models.store.iterdir() if path.name[0] != "."] == ["notes.txt"]


def test_rm_with_dry_run_removes_nothing(cli, app):
    assert cli("rm", "hand.gguf", "--dry-run").out == "Would remove hand.gguf: 4 B.\n"
    assert (app.store / "hand.gguf").exists()


def test_rm_without_a_terminal_and_without_yes_is_2(app):
    result = run_command("rm", "hand.gguf")
    assert (result.status, result.out) == (2, "")
    assert "-y" in result.error_text
    assert run_command("rm", "hand.gguf", "--json").error["code"] == "usage"
    assert (app.store / "hand.gguf").exists()


@pytest.mark.parametrize(
    ("answer", "status", "remains"), [("y\n", 0, False), ("n\n", 0, True), ("\n", 0, True), ("\x03", 130, True)]
)
def test_rm_asks_on_a_terminal(app, answer, status, remains):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "flowhub_jobs.cli.main", "rm", "hand.gguf"])
    printed = b""
    while b"[y/N]" not in printed:
        printed += os.read(terminal, 1000)
    os.write(terminal, answer.encode())
    _, wait_status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(wait_status) == status
    assert (app.store / "hand.gguf").exists() == remains


@pytest.mark.parametrize("name", ["none", "../outside", "a/b", "", ".partial", ".store-id"])
def test_rm_of_an_invalid_name_removes_nothing(cli, app, name):
    result = cli("rm", "hand.gguf", name, "-y", "--json")
    assert (result.status, result.out) == (3, "")
    assert (app.store / "hand.gguf").exists()


def test_rm_of_a_model_that_a_job_downloads_is_busy(cli, app_with_models):
    app_with_models.enqueue("a", force=True)
    assert lease_store_of(app_with_models).claim() is not None
    result = cli("rm", "a", "-y", "--json")
    assert (result.status, result.out, result.error["code"]) == (9, "", "busy")
    two_models = cli("rm", "a", "hand.gguf", "-y", "--json")
    assert two_models.status == 10
    assert [entry["name"] for entry in json.loads(two_models.out)["removed"]] == ["hand.gguf"]


def test_show_prints_each_variant_and_its_fit(cli, app_with_models):
    page = cli("show", "a", "--json").json
    assert (page["schema"], page["model"]["id"]) == ("flowhub/model/1", "a")
    [variant] = page["variants"]
    assert (variant["ref"], variant["bytes"], variant["state"]) == ("a@q4", 4096, "installed")
    assert variant["fit"] in ("fits", "tight", "too big", "wrong platform", "unknown")
    assert variant["why"]
    result = cli("show", "a")
    assert variant["why"] in result.out
    assert "flowhub path a@q4" in result.err


@pytest.mark.parametrize(("ref", "status"), [("b", 3), ("a@q9", 3), ("https://h.example/f.gguf", 2), ("a b", 2)])
def test_show_of_an_unknown_model_is_an_error(cli, app, ref, status):
    assert cli("show", ref, "--json").status == status
    assert cli("show", ref).error_text


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_show_of_a_real_model_fits_the_screen_and_cuts_nothing(app, columns):
    result = run_command("show", "qwen3-8b", COLUMNS=columns, FLOWHUB_CATALOG="")
    assert result.status == 0
    assert max(len(line) for line in result.out.splitlines()) <= int(columns)
    assert "…" not in result.out


def test_device_prints_the_figures_of_this_machine(cli, app):
    device = cli("device", "--json").json["device"]
    assert device["ram_total_bytes"] > 0
    assert device["platform"] in ("linux", "macos")
    assert str(app.store) in cli("device").out


def test_one_damaged_model_changes_no_columns_at_eighty(app_with_models):
    """The long text of its state used to turn the whole table into blocks of two lines."""
    (app_with_models.store / "a-model-of-some-length-q4_k_m.gguf").write_bytes(b"GGUF")
    before = run_command("list", COLUMNS="80").out.splitlines()
    os.utime(app_with_models.store / "a.gguf", ns=(1, 1))
    after = run_command("list", COLUMNS="80").out.splitlines()
    assert after[0].startswith("NAME")
    assert len(after) == len(before)
    assert any(line.endswith("changed") for line in after)


def test_quiet_prints_names_alone(cli, app_with_models):
    result = cli("list", "-q")
    assert (result.status, result.err) == (0, "")
    assert set(result.out.split()) == {model["name"] for model in cli("list", "--json").json["models"]}
