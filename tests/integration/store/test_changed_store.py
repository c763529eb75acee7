"""`list` and `path` tell the truth: what a person changed, removed or added, and a store whose disk is not there."""

import os
import shutil
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.cli import cli_app, fail_next_job, run_command, run_due_jobs
from support.models import folder_model, gguf, mlx_folder, one_file_model

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import artifacts
from flowhub_jobs.errors import SourceMissing
from flowhub_jobs.store.layout import STORE_ID
from flowhub_jobs.values.enums import State

A = gguf(4096, 1)


@pytest.fixture
def app_with_models(home, origin, monkeypatch, tmp_path):
    """A store on a disk of its own, with a file and a folder in it."""
    monkeypatch.setenv("FLOWHUB_STORE", str(tmp_path / "disk" / "llms"))
    files = {path: (origin.serve(f"/c/{path}", data), data) for path, data in mlx_folder().items()}
    models = [one_file_model("a", origin.serve("/a.gguf", A), A), folder_model("c", files)]
    with cli_app(home, monkeypatch, *models) as app:
        app.enqueue("a")
        app.enqueue("c")
        run_due_jobs(app)
        yield app


def conditions(cli) -> dict[str, str]:
    return {model["name"]: model["condition"] for model in cli("list", "--json").json["models"]}


def known(app) -> list[str]:
    return [entry.name for entry in app.home.library.entries()]


def unmount(app) -> Path:
    """Take the disk away: the folder under it is there, and empty."""
    disk = app.store.parent
    away = disk.rename(disk.with_name("away"))
    disk.mkdir()
    return away


def mount(app, away: Path) -> None:
    shutil.rmtree(app.store.parent)
    away.rename(app.store.parent)


# By hand -------------------------------------------------------------------------------------------------------------


def test_what_is_as_it_was_installed_is_ok(cli, app_with_models):
    page = cli("list", "--json").json
    assert {model["condition"] for model in page["models"]} == {"ok"}
    assert [model["source"] for model in page["models"]] == ["a@q4", "c@mlx-4bit"]
    assert page["partials"] == page["removed_by_hand"] == []
    assert page["store"]["path"] == str(app_with_models.store)
    assert page["store"]["online"] is True
    assert page["store"]["free"] > 0


@pytest.mark.parametrize("how", ["time", "size", "a file of a folder", "a file more", "a link to nothing"])
def test_a_file_that_was_changed_by_hand_is_reported_at_once(cli, app_with_models, how):
    file, folder = app_with_models.store / "a.gguf", app_with_models.store / "c-mlx-4bit"
    if how == "time":
        os.utime(file, (1, 1))
    elif how == "size":
        file.write_bytes(A + b"1")
    elif how == "a file of a folder":
        (folder / "config.json").write_text("{}")
    elif how == "a file more":
        (folder / "more.json").write_text("{}")
    else:
        file.unlink()
        file.symlink_to("/nowhere/at/all.gguf")
    changed = "c-mlx-4bit" if folder.is_dir() and "file" in how else "a.gguf"
    assert conditions(cli)[changed] == "changed"
    said = cli("list")
    assert f"Changed by hand: {changed}" in said.err
    warned = cli("path", changed)
    assert (warned.status, warned.out) == (0, f"{app_with_models.store / changed}\n")
    assert "changed by hand" in warned.err


def test_what_a_desktop_puts_into_a_folder_changes_nothing(cli, app_with_models):
    (app_with_models.store / "c-mlx-4bit" / ".DS_Store").write_bytes(b"x")
    assert conditions(cli)["c-mlx-4bit"] == "ok"


def test_damage_that_verify_found_is_reported(cli, app_with_models):
    with writing(app_with_models.home.engine) as tx:
        tx.execute(sa.update(artifacts).where(artifacts.c.name == "a.gguf").values(damage={"a.gguf": [[0, 9]]}))
    assert conditions(cli)["a.gguf"] == "damaged"
    assert "verify --repair a.gguf" in cli("list").err
    assert "is damaged" in cli("path", "a").err


def test_what_was_removed_by_hand_leaves_the_list_and_is_named_below(cli, app_with_models):
    (app_with_models.store / "a.gguf").unlink()
    assert conditions(cli) == {"c-mlx-4bit": "ok"}
    assert cli("list", "--json").json["removed_by_hand"] == [{"name": "a.gguf", "source": "a@q4"}]
    assert "Removed by hand: a.gguf. `flowhub enqueue a@q4`" in cli("list").err
    assert known(app_with_models) == ["a.gguf", "c-mlx-4bit"]  # list only reads
    said = cli("path", "a", "--json")
    assert (said.status, said.error["code"]) == (3, "not_found")
    assert "flowhub enqueue a@q4" in said.error["hint"]


def test_rm_forgets_what_was_removed_by_hand(cli, app_with_models):
    (app_with_models.store / "a.gguf").unlink()
    assert cli("rm", "a", "-y").out == "Forgot a.gguf: it was removed by hand.\n"
    assert known(app_with_models) == ["c-mlx-4bit"]
    assert cli("list", "--json").json["removed_by_hand"] == []


def test_a_second_fetch_brings_back_what_was_removed_by_hand(cli, app_with_models):
    (app_with_models.store / "a.gguf").unlink()
    app_with_models.enqueue("a")
    run_due_jobs(app_with_models)
    assert conditions(cli)["a.gguf"] == "ok"
    assert cli("list", "--json").json["removed_by_hand"] == []


# The disk ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["empty", "somebody's file", "no folder at all"])
def test_an_unmounted_store_is_offline_and_its_entries_stay(cli, app_with_models, how):
    away = unmount(app_with_models)
    if how != "no folder at all":
        app_with_models.store.mkdir()
    if how == "somebody's file":
        (app_with_models.store / "note.txt").write_text("mount the disk here")
    said = cli("list")
    assert said.status == 0
    assert "is offline" in said.err
    found = conditions(cli)
    assert {name: found[name] for name in ("a.gguf", "c-mlx-4bit")} == {"a.gguf": "offline", "c-mlx-4bit": "offline"}
    store = cli("list", "--json").json["store"]
    assert (store["online"], store["free"]) == (False, None)
    for verb in (("rm", "a", "-y"), ("prune", "-y"), ("path", "a"), ("du",)):
        refused = cli(*verb, "--json")
        assert (refused.status, refused.error["code"]) == (1, "store_offline"), verb
    assert known(app_with_models) == ["a.gguf", "c-mlx-4bit"]
    mount(app_with_models, away)
    assert conditions(cli) == {"a.gguf": "ok", "c-mlx-4bit": "ok"}


def test_a_model_that_no_catalog_knows_is_shown_while_its_disk_is_away(cli, app_with_models):
    app_with_models.set_models()
    away = unmount(app_with_models)
    page = cli("show", "a.gguf", "--json").json
    assert (page["installed"]["condition"], page["variants"][0]["bytes"]) == ("offline", len(A))
    assert cli("fits", "a.gguf").status == 0
    mount(app_with_models, away)
    assert cli("show", "a.gguf", "--json").json["installed"]["condition"] == "ok"


def test_on_another_disk_nothing_of_the_first_is_gone_or_forgotten(cli, app_with_models):
    away = unmount(app_with_models)
    (app_with_models.store / ".partial").mkdir(parents=True)
    (app_with_models.store / STORE_ID).write_text("another\n")
    (app_with_models.store / "theirs.gguf").write_bytes(b"GGUF")
    assert conditions(cli) == {"a.gguf": "offline", "c-mlx-4bit": "offline", "theirs.gguf": "by hand"}
    assert cli("list", "--json").json["removed_by_hand"] == []
    assert cli("prune", "-y", "--json").json["removed"] == []
    assert cli("rm", "a", "-y", "--json").error["code"] == "store_offline"
    assert known(app_with_models) == ["a.gguf", "c-mlx-4bit"]
    mount(app_with_models, away)
    assert conditions(cli) == {"a.gguf": "ok", "c-mlx-4bit": "ok"}


def test_a_store_that_was_moved_with_its_setting_is_what_it_was(cli, app_with_models, monkeypatch, tmp_path):
    app_with_models.store.rename(tmp_path / "moved")
    monkeypatch.setenv("FLOWHUB_STORE", str(tmp_path / "moved"))
    assert conditions(cli) == {"a.gguf": "ok", "c-mlx-4bit": "ok"}
    monkeypatch.setenv("FLOWHUB_STORE", str(tmp_path / "empty"))
    assert conditions(cli) == {"a.gguf": "offline", "c-mlx-4bit": "offline"}


# Partials, screens ---------------------------------------------------------------------------------------------------


def test_a_store_of_which_a_copy_left_out_the_hidden_files_is_what_it_was(cli, app_with_models):
    """`cp -p /old/* /new`: nothing but the models is there."""
    identity = app_with_models.home.store.identity()
    shutil.rmtree(app_with_models.store / ".partial")
    (app_with_models.store / STORE_ID).unlink()
    job = app_with_models.enqueue("a", force=True)
    run_due_jobs(app_with_models)
    assert app_with_models.job(job).state is State.COMPLETED
    assert conditions(cli) == {"a.gguf": "ok", "c-mlx-4bit": "ok"}
    assert app_with_models.home.store.identity() == identity


def test_partials_are_listed_with_their_jobs_and_who_goes_on_with_them(cli, app_with_models, origin):
    app_with_models.set_models(*(one_file_model(name, origin.serve(f"/{name}.gguf", A), A) for name in "xyz"))
    failed = app_with_models.enqueue("x")
    fail_next_job(app_with_models, failed, SourceMissing("It is gone."))
    live = app_with_models.enqueue("y")
    for ref in "xyz":
        (app_with_models.partial(ref) / "files").mkdir(parents=True)
        (app_with_models.partial(ref) / "files" / "part").write_bytes(b"1" * (1000 if ref == "y" else 100_000))
    elsewhere = app_with_models.store / ".partial" / f"w.gguf.{'0' * 16}.n-other"
    elsewhere.mkdir()
    found = {one["name"]: one for one in cli("list", "--json").json["partials"]}
    assert [(name, one["state"], one["job"], one["bytes"]) for name, one in found.items()] == [
        ("w.gguf", "elsewhere", None, 0),
        ("x.gguf", "kept", failed, 100_000),
        ("y.gguf", "live", live, 1000),
        ("z.gguf", "nobody", None, 100_000),
    ]
    assert all(one["age_s"] >= 0 for one in found.values())
    said = cli("list")
    assert f"job {failed}, failed" in said.out
    assert "100.0 KB kept for `flowhub retry`" in said.err
    assert "100.0 KB of no job (`flowhub prune`" in said.err
    assert "y.gguf" not in said.out, "it holds next to nothing"
    assert "y.gguf" in cli("list", "-v").out


@pytest.mark.parametrize("arguments", [(), ("-v",)])
def test_no_screen_is_wider_than_80_columns_unless_a_name_is(app_with_models, arguments):
    (app_with_models.store / ("long-" * 13 + "name.gguf")).write_bytes(b"GGUF")
    (app_with_models.store / ("longer-" * 14 + "name.gguf")).write_bytes(b"GGUF")
    os.utime(app_with_models.store / "a.gguf", (1, 1))
    said = run_command("list", *arguments, COLUMNS="80")
    names = [path.name for path in app_with_models.store.iterdir()]
    for line in (said.out + said.err).splitlines():
        assert len(line) <= 80 or line in names or str(app_with_models.store) in line


def test_concurrent_lists_while_a_job_ends_disturb_no_job(app_with_models, origin):
    app_with_models.set_models(one_file_model("b", origin.serve("/b.gguf", A), A))
    job = app_with_models.enqueue("b")
    said = []
    threads = [threading.Thread(target=lambda: said.append(run_command("list", "--json"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    run_due_jobs(app_with_models)
    for thread in threads:
        thread.join()
    assert {one.status for one in said} == {0}
    assert app_with_models.job(job).state == "completed"


def test_a_catalog_of_thousands_is_asked_by_id(app_with_models, cli):
    models = [one_file_model(f"m{number}", "https://h.example/m.gguf", A) for number in range(3000)]
    app_with_models.set_models(*models, one_file_model("a", "https://h.example/a.gguf", A))
    known_there = {model["name"]: model["in_catalog"] for model in cli("list", "--json").json["models"]}
    assert known_there == {"a.gguf": True, "c-mlx-4bit": False}
