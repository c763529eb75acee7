"""list, show, path, rm, device: what is installed, what there is, and whether it runs here."""

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
    """A store with a file and a folder of ours, and two that were put there by hand."""
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
    ours, folder, hand, text = models.values()
    assert (ours["model"], ours["option"], ours["format"], ours["bytes"]) == ("a", "q4", "gguf", 4096)
    assert (len(ours["sha256"]), ours["in_catalog"], ours["path"]) == (64, True, str(app_with_models.store / "a.gguf"))
    assert ours["verified_at"].endswith("Z")
    assert (folder["sha256"], folder["format"], folder["in_catalog"]) == (None, "mlx", True)
    assert folder["bytes"] == sum(len(data) for data in mlx_folder().values())
    nothing = ("model", "option", "sha256", "installed_at", "verified_at")
    assert {hand[key] for key in nothing} | {text[key] for key in nothing} == {None}
    assert (hand["format"], text["format"], hand["in_catalog"]) == ("gguf", None, False)


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_list_cuts_no_name_however_narrow_the_screen(app_with_models, columns):
    long = "a-model-with-quite-a-long-name-for-a-screen-q4_k_m.gguf"
    (app_with_models.store / long).write_bytes(b"GGUF")
    said = run_command("list", COLUMNS=columns)
    assert long in said.out
    assert "c@mlx-4bit" in said.out
    assert "…" not in said.out


def test_an_empty_store_says_how_to_fill_it(cli, home, monkeypatch):
    with cli_app(home, monkeypatch):
        said = cli("list")
    assert (said.status, said.out) == (0, "")
    assert "flowhub enqueue MODEL" in said.err


def test_a_name_that_is_no_text_is_listed_all_the_same(cli, app):
    with open(os.fsencode(app.store) + b"/\xff\x1b[31m.gguf", "wb") as file:
        file.write(b"GGUF")
    assert "\x1b" not in cli("list").out
    assert any(model["name"].startswith("\udcff") for model in cli("list", "--json").json["models"])
    assert run_command("list").status == 0


@pytest.mark.parametrize("ref", ["a", "a@q4", "a:q4", "a.gguf", "A"])
def test_path_is_where_it_lies(cli, app_with_models, ref):
    assert cli("path", ref).out == f"{app_with_models.store / 'a.gguf'}\n"
    page = cli("path", ref, "--json").json
    assert (page["schema"], page["path"]) == ("flowhub/path/1", str(app_with_models.store / "a.gguf"))
    assert (page["name"], page["format"], page["folder"], page["condition"]) == ("a.gguf", "gguf", False, "ok")


def test_path_of_what_is_not_installed_is_3_with_the_nearest_names(cli, app):
    said = cli("path", "hand.ggu", "--json")
    assert (said.status, said.error["code"]) == (3, "not_found")
    assert "hand.gguf" in said.error["hint"]


def test_rm_by_reference_and_by_name(cli, app_with_models):
    page = cli("rm", "a", "hand.gguf", "-y", "--json").json
    removed = [(one["name"], one["bytes"], one["freed"]) for one in page["removed"]]
    assert removed == [("a.gguf", 4096, 4096), ("hand.gguf", 4, 4)]
    assert cli("rm", "c@mlx-4bit", "--yes").out.startswith("Removed c-mlx-4bit: ")
    assert [path.name for path in app_with_models.store.iterdir() if path.name[0] != "."] == ["notes.txt"]


def test_rm_only_says_what_it_would_do(cli, app):
    assert cli("rm", "hand.gguf", "--dry-run").out == "Would remove hand.gguf: 4 B.\n"
    assert (app.store / "hand.gguf").exists()


def test_rm_without_a_terminal_and_without_yes_is_2(app):
    said = run_command("rm", "hand.gguf")
    assert (said.status, said.out) == (2, "")
    assert "-y" in said.error_text
    assert run_command("rm", "hand.gguf", "--json").error["code"] == "usage"
    assert (app.store / "hand.gguf").exists()


@pytest.mark.parametrize(
    ("answer", "status", "there"), [("y\n", 0, False), ("n\n", 0, True), ("\n", 0, True), ("\x03", 130, True)]
)
def test_rm_asks_on_a_terminal(app, answer, status, there):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "flowhub_jobs.cli.main", "rm", "hand.gguf"])
    seen = b""
    while b"[y/N]" not in seen:
        seen += os.read(terminal, 1000)
    os.write(terminal, answer.encode())
    _, ended = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(ended) == status
    assert (app.store / "hand.gguf").exists() == there


@pytest.mark.parametrize("name", ["none", "../outside", "a/b", "", ".partial", ".store-id"])
def test_rm_of_what_is_no_model_removes_nothing(cli, app, name):
    said = cli("rm", "hand.gguf", name, "-y", "--json")
    assert (said.status, said.out) == (3, "")
    assert (app.store / "hand.gguf").exists()


def test_rm_of_what_a_job_works_on_is_busy(cli, app_with_models):
    app_with_models.enqueue("a", force=True)
    assert lease_store_of(app_with_models).claim() is not None
    said = cli("rm", "a", "-y", "--json")
    assert (said.status, said.out, said.error["code"]) == (9, "", "busy")
    several = cli("rm", "a", "hand.gguf", "-y", "--json")
    assert several.status == 10
    assert [entry["name"] for entry in json.loads(several.out)["removed"]] == ["hand.gguf"]


def test_show_tells_each_variant_and_whether_it_runs_here(cli, app_with_models):
    page = cli("show", "a", "--json").json
    assert (page["schema"], page["model"]["id"]) == ("flowhub/model/1", "a")
    [variant] = page["variants"]
    assert (variant["ref"], variant["bytes"], variant["state"]) == ("a@q4", 4096, "installed")
    assert variant["fit"] in ("fits", "tight", "too big", "wrong platform", "unknown")
    assert variant["why"]
    said = cli("show", "a")
    assert variant["why"] in said.out
    assert "flowhub path a@q4" in said.err


@pytest.mark.parametrize(("ref", "status"), [("b", 3), ("a@q9", 3), ("https://h.example/f.gguf", 2), ("a b", 2)])
def test_show_of_what_is_no_model(cli, app, ref, status):
    assert cli("show", ref, "--json").status == status
    assert cli("show", ref).error_text


@pytest.mark.parametrize("columns", ["60", "80", "120"])
def test_show_of_a_real_model_fits_the_screen_and_cuts_nothing(app, columns):
    said = run_command("show", "qwen3-8b", COLUMNS=columns, FLOWHUB_CATALOG="")
    assert said.status == 0
    assert max(len(line) for line in said.out.splitlines()) <= int(columns)
    assert "…" not in said.out


def test_device_says_what_this_machine_is(cli, app):
    device = cli("device", "--json").json["device"]
    assert device["ram_total_bytes"] > 0
    assert device["platform"] in ("linux", "macos")
    assert str(app.store) in cli("device").out


def test_one_damaged_model_changes_no_columns_at_eighty(app_with_models):
    """The long words of its state turned the whole table into blocks of two lines."""
    (app_with_models.store / "a-model-of-some-length-q4_k_m.gguf").write_bytes(b"GGUF")
    before = run_command("list", COLUMNS="80").out.splitlines()
    os.utime(app_with_models.store / "a.gguf", ns=(1, 1))
    after = run_command("list", COLUMNS="80").out.splitlines()
    assert after[0].startswith("NAME")
    assert len(after) == len(before)
    assert any(line.endswith("changed") for line in after)


def test_quiet_prints_names_alone(cli, app_with_models):
    said = cli("list", "-q")
    assert (said.status, said.err) == (0, "")
    assert set(said.out.split()) == {model["name"] for model in cli("list", "--json").json["models"]}
