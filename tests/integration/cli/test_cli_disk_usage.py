"""The `rm`, `du` and `path` commands: freed bytes of shared files, sizes on the disk, the file that a runtime opens."""

import os

import pytest
import sqlalchemy as sa
from support.cli import cli_app, run_command, run_due_jobs
from support.models import folder_model, gguf, mlx_folder, one_file_model

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import artifacts

A = gguf(8192, 1)


@pytest.fixture
def app_with_models(home, origin, monkeypatch):
    files = {path: (origin.serve(f"/c/{path}", data), data) for path, data in mlx_folder().items()}
    models = [one_file_model("a", origin.serve("/a.gguf", A), A), folder_model("c", files)]
    with cli_app(home, monkeypatch, *models) as app:
        app.enqueue("a")
        app.enqueue("c")
        run_due_jobs(app)
        yield app


def share(app, name: str, linked_from) -> None:
    """Record in the library the file whose bytes a model shares."""
    with writing(app.home.engine) as tx:
        tx.execute(sa.update(artifacts).where(artifacts.c.name == name).values(linked_from=str(linked_from)))


# rm ------------------------------------------------------------------------------------------------------------------


def test_rm_of_a_hard_link_says_that_it_frees_nothing(cli, app_with_models, tmp_path):
    os.link(app_with_models.store / "a.gguf", tmp_path / "other.gguf")
    share(app_with_models, "a.gguf", tmp_path / "other.gguf")
    output = cli("rm", "a", "--dry-run").out
    assert " ".join(output.split()) == (
        f"Would remove a.gguf: 8.2 KB; this frees no space: what {tmp_path / 'other.gguf'} has stays."
    )
    assert cli("rm", "a", "-y", "--json").json["removed"] == [{"name": "a.gguf", "bytes": 8192, "freed": 0}]
    assert (tmp_path / "other.gguf").read_bytes() == A


def test_rm_of_a_folder_with_one_shared_file_says_what_the_rest_frees(cli, app_with_models, tmp_path):
    weights = app_with_models.store / "c-mlx-4bit" / "model.safetensors"
    os.link(weights, tmp_path / "other")
    total, shared = sum(map(len, mlx_folder().values())), weights.stat().st_size
    [removed] = cli("rm", "c", "-y", "--json").json["removed"]
    assert (removed["bytes"], removed["freed"]) == (total, total - shared)


@pytest.mark.parametrize("target_exists", [True, False])
def test_rm_of_a_symlink_removes_only_the_link(cli, app_with_models, tmp_path, target_exists):
    target = tmp_path / "other.gguf"
    if target_exists:
        target.write_bytes(A)
    (app_with_models.store / "a.gguf").unlink()
    (app_with_models.store / "a.gguf").symlink_to(target)
    result = cli("rm", "a", "-y")
    assert result.status == 0
    freed = "8.2 KB" if target_exists else "0 B"
    assert f"Removed the link a.gguf: {freed}; this frees no space" in " ".join(result.out.split())
    assert target.exists() is target_exists
    assert not (app_with_models.store / "a.gguf").is_symlink()
    assert [entry.name for entry in app_with_models.home.library.entries()] == ["c-mlx-4bit"]


# du ------------------------------------------------------------------------------------------------------------------


def test_du_counts_hard_links_once_and_says_what_is_shared(cli, app_with_models, tmp_path):
    os.link(app_with_models.store / "a.gguf", app_with_models.store / "again.gguf")
    partial = app_with_models.store / ".partial" / "x"
    partial.write_bytes(b"1" * 4096)
    page = cli("du", "--json").json
    assert page["schema"] == "flowhub/du/1"
    sizes = {model["name"]: model["bytes_on_disk"] for model in page["models"]}
    folder_bytes = sum(map(len, mlx_folder().values()))
    assert sizes == {"c-mlx-4bit": folder_bytes, "a.gguf": 8192, "again.gguf": 0}
    assert [model["name"] for model in page["models"]] == ["c-mlx-4bit", "a.gguf", "again.gguf"]
    assert (page["partials"]["bytes_on_disk"], page["bytes_on_disk"]) == (4096, folder_bytes + 8192 + 4096)
    assert abs(sum(model["part"] for model in page["models"]) + page["partials"]["part"] - 1) < 0.001
    assert page["store"]["free"] > 0


def test_du_shows_shared_bytes_and_bytes_outside_the_store(cli, app_with_models, tmp_path):
    os.link(app_with_models.store / "a.gguf", tmp_path / "other.gguf")
    (tmp_path / "linked.gguf").write_bytes(b"GGUF" * 1000)
    (app_with_models.store / "linked.gguf").symlink_to(tmp_path / "linked.gguf")
    page = cli("du", "--json").json
    assert (page["bytes_shared"], page["bytes_elsewhere"]) == (8192, 4000)
    result = run_command("du", COLUMNS="80")
    assert "a.gguf (8.2 KB shared)" in result.out
    assert "linked.gguf (4.0 KB elsewhere)" in result.out
    assert "frees nothing" in " ".join(result.err.split())
    lines = (result.out + result.err).splitlines()
    assert all(len(line) <= 80 or str(app_with_models.store) in line for line in lines)


def test_du_of_an_empty_store_is_zero(cli, home, monkeypatch):
    with cli_app(home, monkeypatch):
        page = cli("du", "--json").json
        assert (page["models"], page["bytes_on_disk"]) == ([], 0)
        assert cli("du").status == 0


# path ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["m-00002-of-00002.gguf", "m-00001-of-00002.gguf"], "m-00001-of-00002.gguf"),
        (["m.gguf", "mmproj-m-f16.gguf", "config.json"], "m.gguf"),
        (["deep/M.GGUF"], "deep/M.GGUF"),
        (["one.gguf", "two.gguf"], ""),
        (["model.safetensors", "config.json"], ""),
        (["mmproj.gguf"], ""),
    ],
)
def test_path_prints_the_file_that_a_runtime_opens(cli, app_with_models, names, expected):
    folder = app_with_models.store / "mine"
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"GGUF")
    assert cli("path", "mine").out == f"{folder / expected}\n"
    page = cli("path", "mine", "--json").json
    assert (page["path"], page["name"], page["folder"]) == (str(folder / expected), "mine", True)


def test_path_of_several_variants_asks_for_one(cli, app_with_models, origin):
    app_with_models.set_models(one_file_model("a", origin.serve("/a8.gguf", A), A, option="q8"))
    app_with_models.enqueue("a@q8")
    run_due_jobs(app_with_models)
    result = cli("path", "a", "--json")
    assert (result.status, result.error["code"]) == (2, "usage")
    assert "a8.gguf" in result.error["hint"]
    assert cli("path", "a@q8").out == f"{app_with_models.store / 'a8.gguf'}\n"


def test_path_finds_a_model_by_the_url_of_its_download(cli, app_with_models, origin):
    url = origin.serve("/plain.gguf", A)
    assert cli("enqueue", url).status == 0
    run_due_jobs(app_with_models)
    assert cli("path", url).out == f"{app_with_models.store / 'plain.gguf'}\n"
