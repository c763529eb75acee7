"""`list` and `path` after a user changed, removed or added files, and while the disk of a store is unmounted."""

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
    """A home whose store is on a separate disk and has a file and a folder."""
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


def library_names(app) -> list[str]:
    return [entry.name for entry in app.home.library.entries()]


def unmount(app) -> Path:
    """Move the disk away and leave an empty folder in its place, as an unmount does."""
    disk = app.store.parent
    away = disk.rename(disk.with_name("away"))
    disk.mkdir()
    return away


def mount(app, away: Path) -> None:
    shutil.rmtree(app.store.parent)
    away.rename(app.store.parent)


# By hand -------------------------------------------------------------------------------------------------------------


def test_an_unchanged_model_is_ok(cli, app_with_models):
    page = cli("list", "--json").json
    assert {model["condition"] for model in page["models"]} == {"ok"}
    assert [model["source"] for model in page["models"]] == ["a@q4", "c@mlx-4bit"]
    assert page["partials"] == page["removed_by_hand"] == []
    assert page["store"]["path"] == str(app_with_models.store)
    assert page["store"]["online"] is True
    assert page["store"]["free"] > 0


@pytest.mark.parametrize("how", ["time", "size", "a file of a folder", "an added file", "a dangling link"])
def test_a_file_that_was_changed_by_hand_is_reported_at_once(cli, app_with_models, how):
    file, folder = app_with_models.store / "a.gguf", app_with_models.store / "c-mlx-4bit"
    if how == "time":
        os.utime(file, (1, 1))
    elif how == "size":
        file.write_bytes(A + b"1")
    elif how == "a file of a folder":
        (folder / "config.json").write_text("{}")
    elif how == "an added file":
        (folder / "added.json").write_text("{}")
    else:
        file.unlink()
        file.symlink_to("/nowhere/at/all.gguf")
    changed = "c-mlx-4bit" if folder.is_dir() and "file" in how else "a.gguf"
    assert conditions(cli)[changed] == "changed"
    result = cli("list")
    assert f"Changed by hand: {changed}" in result.err
    path = cli("path", changed)
    assert (path.status, path.out) == (0, f"{app_with_models.store / changed}\n")
    assert "changed by hand" in path.err


def test_the_files_that_a_desktop_adds_to_a_folder_change_nothing(cli, app_with_models):
    (app_with_models.store / "c-mlx-4bit" / ".DS_Store").write_bytes(b"x")
    assert conditions(cli)["c-mlx-4bit"] == "ok"


def test_damage_that_verify_found_is_reported(cli, app_with_models):
    with writing(app_with_models.home.engine) as tx:
        tx.execute(sa.update(artifacts).where(artifacts.c.name == "a.gguf").values(damage={"a.gguf": [[0, 9]]}))
    assert conditions(cli)["a.gguf"] == "damaged"
    assert "verify --repair a.gguf" in cli("list").err
    assert "is damaged" in cli("path", "a").err


def test_a_model_that_was_removed_by_hand_is_not_listed_but_named_below(cli, app_with_models):
    (app_with_models.store / "a.gguf").unlink()
    assert conditions(cli) == {"c-mlx-4bit": "ok"}
    assert cli("list", "--json").json["removed_by_hand"] == [{"name": "a.gguf", "source": "a@q4"}]
    assert "Removed by hand: a.gguf. `flowhub enqueue a@q4`" in cli("list").err
    assert library_names(app_with_models) == ["a.gguf", "c-mlx-4bit"]  # list only reads
    result = cli("path", "a", "--json")
    assert (result.status, result.error["code"]) == (3, "not_found")
    assert "flowhub enqueue a@q4" in result.error["hint"]


def test_rm_forgets_a_model_that_was_removed_by_hand(cli, app_with_models):
    (app_with_models.store / "a.gguf").unlink()
    assert cli("rm", "a", "-y").out == "Forgot a.gguf: it was removed by hand.\n"
    assert library_names(app_with_models) == ["c-mlx-4bit"]
    assert cli("list", "--json").json["removed_by_hand"] == []


def test_a_second_job_restores_a_model_that_was_removed_by_hand(cli, app_with_models):
    (app_with_models.store / "a.gguf").unlink()
    app_with_models.enqueue("a")
    run_due_jobs(app_with_models)
    assert conditions(cli)["a.gguf"] == "ok"
    assert cli("list", "--json").json["removed_by_hand"] == []


# The disk ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["empty", "a foreign file", "no folder"])
def test_an_unmounted_store_is_offline_and_its_entries_stay(cli, app_with_models, how):
    away = unmount(app_with_models)
    if how != "no folder":
        app_with_models.store.mkdir()
    if how == "a foreign file":
        (app_with_models.store / "note.txt").write_text("mount the disk here")
    result = cli("list")
    assert result.status == 0
    assert "is offline" in result.err
    by_name = conditions(cli)
    assert {name: by_name[name] for name in ("a.gguf", "c-mlx-4bit")} == {"a.gguf": "offline", "c-mlx-4bit": "offline"}
    store = cli("list", "--json").json["store"]
    assert (store["online"], store["free"]) == (False, None)
    for verb in (("rm", "a", "-y"), ("prune", "-y"), ("path", "a"), ("du",)):
        refused = cli(*verb, "--json")
        assert (refused.status, refused.error["code"]) == (1, "store_offline"), verb
    assert library_names(app_with_models) == ["a.gguf", "c-mlx-4bit"]
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


def test_models_of_an_unmounted_disk_stay_known_while_another_is_mounted(cli, app_with_models):
    away = unmount(app_with_models)
    (app_with_models.store / ".partial").mkdir(parents=True)
    (app_with_models.store / STORE_ID).write_text("another\n")
    (app_with_models.store / "other.gguf").write_bytes(b"GGUF")
    assert conditions(cli) == {"a.gguf": "offline", "c-mlx-4bit": "offline", "other.gguf": "by hand"}
    assert cli("list", "--json").json["removed_by_hand"] == []
    assert cli("prune", "-y", "--json").json["removed"] == []
    assert cli("rm", "a", "-y", "--json").error["code"] == "store_offline"
    assert library_names(app_with_models) == ["a.gguf", "c-mlx-4bit"]
    mount(app_with_models, away)
    assert conditions(cli) == {"a.gguf": "ok", "c-mlx-4bit": "ok"}


def test_a_store_that_was_moved_with_its_setting_keeps_its_models(cli, app_with_models, monkeypatch, tmp_path):
    app_with_models.store.rename(tmp_path / "moved")
    monkeypatch.setenv("FLOWHUB_STORE", str(tmp_path / "moved"))
    assert conditions(cli) == {"a.gguf": "ok", "c-mlx-4bit": "ok"}
    monkeypatch.setenv("FLOWHUB_STORE", str(tmp_path / "empty"))
    assert conditions(cli) == {"a.gguf": "offline", "c-mlx-4bit": "offline"}


# Partials, screens ---------------------------------------------------------------------------------------------------


def test_a_store_that_was_copied_without_its_hidden_files_keeps_its_identity(cli, app_with_models):
    """`cp -p /old/* /new` copies the models alone."""
    identity = app_with_models.home.store.identity()
    shutil.rmtree(app_with_models.store / ".partial")
    (app_with_models.store / STORE_ID).unlink()
    job = app_with_models.enqueue("a", force=True)
    run_due_jobs(app_with_models)
    assert app_with_models.job(job).state is State.COMPLETED
    assert conditions(cli) == {"a.gguf": "ok", "c-mlx-4bit": "ok"}
    assert app_with_models.home.store.identity() == identity


def test_partials_are_listed_with_their_jobs_and_what_resumes_them(cli, app_with_models, origin):
    app_with_models.set_models(*(one_file_model(name, origin.serve(f"/{name}.gguf", A), A) for name in "xyz"))
    failed = app_with_models.enqueue("x")
    fail_next_job(app_with_models, failed, SourceMissing("It is gone."))
    live = app_with_models.enqueue("y")
    for ref in "xyz":
        (app_with_models.partial(ref) / "files").mkdir(parents=True)
        (app_with_models.partial(ref) / "files" / "part").write_bytes(b"1" * (1000 if ref == "y" else 100_000))
    of_other_node = app_with_models.store / ".partial" / f"w.gguf.{'0' * 16}.n-other"
    of_other_node.mkdir()
    partials = {partial["name"]: partial for partial in cli("list", "--json").json["partials"]}
    assert [(name, row["state"], row["job"], row["bytes"]) for name, row in partials.items()] == [
        ("w.gguf", "elsewhere", None, 0),
        ("x.gguf", "kept", failed, 100_000),
        ("y.gguf", "live", live, 1000),
        ("z.gguf", "nobody", None, 100_000),
    ]
    assert all(partial["age_s"] >= 0 for partial in partials.values())
    result = cli("list")
    assert f"job {failed}, failed" in result.out
    assert "100.0 KB kept for `flowhub retry`" in result.err
    assert "100.0 KB of no job (`flowhub prune`" in result.err
    assert "y.gguf" not in result.out, "it is almost empty"
    assert "y.gguf" in cli("list", "-v").out


@pytest.mark.parametrize("arguments", [(), ("-v",)])
def test_no_screen_is_wider_than_80_columns_unless_a_name_is(app_with_models, arguments):
    (app_with_models.store / ("long-" * 13 + "name.gguf")).write_bytes(b"GGUF")
    (app_with_models.store / ("longer-" * 14 + "name.gguf")).write_bytes(b"GGUF")
    os.utime(app_with_models.store / "a.gguf", (1, 1))
    result = run_command("list", *arguments, COLUMNS="80")
    names = [path.name for path in app_with_models.store.iterdir()]
    for line in (result.out + result.err).splitlines():
        assert len(line) <= 80 or line in names or str(app_with_models.store) in line


def test_concurrent_lists_while_a_job_ends_disturb_no_job(app_with_models, origin):
    app_with_models.set_models(one_file_model("b", origin.serve("/b.gguf", A), A))
    job = app_with_models.enqueue("b")
    results = []
    threads = [threading.Thread(target=lambda: results.append(run_command("list", "--json"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    run_due_jobs(app_with_models)
    for thread in threads:
        thread.join()
    assert {result.status for result in results} == {0}
    assert app_with_models.job(job).state == "completed"


def test_a_catalog_of_thousands_is_queried_by_id(app_with_models, cli):
    models = [one_file_model(f"m{number}", "https://h.example/m.gguf", A) for number in range(3000)]
    app_with_models.set_models(*models, one_file_model("a", "https://h.example/a.gguf", A))
    in_catalog = {model["name"]: model["in_catalog"] for model in cli("list", "--json").json["models"]}
    assert in_catalog == {"a.gguf": True, "c-mlx-4bit": False}
