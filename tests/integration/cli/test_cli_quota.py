"""The setting `store_max`, `pin` and `prune --to-fit`: the least recently opened models are removed first."""

import os

import pytest
from support.cli import cli_app
from support.models import gguf, one_file_model
from support.origin import Origin

from flowhub_jobs.store import space

SIZE = 100_000
MODELS = {f"m{number}": gguf(SIZE, number) for number in range(4)}


@pytest.fixture
def app(home, origin: Origin, monkeypatch):
    catalog = [one_file_model(name, origin.serve(f"/{name}.gguf", data), data) for name, data in MODELS.items()]
    with cli_app(home, monkeypatch, *catalog) as app:
        yield app


@pytest.fixture
def three_models(cli, app, monkeypatch):
    """Three installed models in a store with room for three and a half, opened in the order m1, m0, m2."""
    monkeypatch.setenv("FLOWHUB_STORE_MAX", str(SIZE * 7 // 2))
    cli("enqueue", "m0", "m1", "m2")
    assert cli("worker", "--drain").status == 0
    set_access_time(app, "m1", 100)
    set_access_time(app, "m0", 200)
    set_access_time(app, "m2", 300)


def set_access_time(app, name, seconds_later):
    """Set the access time of a model as a program that opens it does; its modification time stays."""
    path = app.home.store.root / f"{name}.gguf"
    status = path.stat()
    os.utime(path, ns=(status.st_mtime_ns + seconds_later * 10**9, status.st_mtime_ns))


def names(app):
    return sorted(path.name for path in app.home.store.root.glob("*.gguf"))


def test_a_job_that_would_exceed_the_maximum_waits_and_says_what_would_free_it(cli, app, three_models):
    cli("enqueue", "m3")
    assert cli("worker", "--drain").status == 0
    job = cli("status", "--json").jobs[0]
    assert (job["state"], job["reason"]) == ("queued", "disk")
    text = cli("status", job["id"]).out
    assert "store_max" in text
    assert "m1.gguf" in text
    assert names(app) == ["m0.gguf", "m1.gguf", "m2.gguf"]


def test_a_list_measures_no_store_for_its_free_bytes(cli, app, three_models, monkeypatch):
    monkeypatch.setattr(space, "measure", lambda path: pytest.fail(f"{path} was measured"))
    assert cli("list", "--json").json["store"]["free"] > 0


def test_prune_to_fit_removes_the_least_recently_opened_and_no_more_than_needed(cli, app, three_models):
    cli("enqueue", "m3")
    planned = cli("prune", "--to-fit", "--dry-run", "--json").json
    assert [item["name"] for item in planned["removed"]] == ["m1.gguf"]
    assert names(app) == ["m0.gguf", "m1.gguf", "m2.gguf"]
    assert cli("prune", "--to-fit", "-y").status == 0
    assert names(app) == ["m0.gguf", "m2.gguf"]
    assert cli("worker", "--drain").status == 0
    assert names(app) == ["m0.gguf", "m2.gguf", "m3.gguf"]


def test_without_to_fit_prune_removes_no_model(cli, app, three_models):
    cli("enqueue", "m3")
    assert cli("prune", "-y").status == 0
    assert names(app) == ["m0.gguf", "m1.gguf", "m2.gguf"]


def test_to_fit_removes_nothing_if_everything_fits(cli, app, three_models):
    assert cli("prune", "--to-fit", "-y", "--json").json["removed"] == []


def test_a_pinned_model_stays_also_in_its_next_version(cli, app, three_models, monkeypatch):
    assert cli("pin", "m1").out == "Pinned m1.gguf.\n"
    assert {model["name"]: model["pinned"] for model in cli("list", "--json").json["models"]} == {
        "m0.gguf": False,
        "m1.gguf": True,
        "m2.gguf": False,
    }
    with monkeypatch.context() as patch:
        patch.delenv("FLOWHUB_STORE_MAX")
        cli("enqueue", "m1", "--force")  # a new row of the library
        assert cli("worker", "--drain").status == 0
    set_access_time(app, "m1", 100)
    cli("enqueue", "m3")
    assert cli("prune", "--to-fit", "-y").status == 0
    assert "m1.gguf" in names(app)
    assert "m0.gguf" not in names(app)
    assert cli("unpin", "m1", "--json").json["models"] == [{"name": "m1.gguf", "pinned": False}]


def test_with_all_models_pinned_it_prints_the_missing_bytes(cli, app, three_models):
    cli("pin", "m0", "m1", "m2")
    cli("enqueue", "m3")
    result = cli("prune", "--to-fit", "-y")
    assert "are missing" in result.err
    assert names(app) == ["m0.gguf", "m1.gguf", "m2.gguf"]


def test_a_file_that_was_added_by_hand_is_never_chosen_and_cannot_be_pinned(cli, app, three_models):
    (app.home.store.root / "mine.gguf").write_bytes(gguf(SIZE, 9))
    path = app.home.store.root / "mine.gguf"
    os.utime(path, (0, 0))
    assert cli("pin", "mine.gguf", "--json").status == 3
    cli("enqueue", "m3")
    assert cli("prune", "--to-fit", "-y").status == 0
    assert "mine.gguf" in names(app)


def test_a_store_above_its_maximum_is_brought_below_it_without_any_job(cli, app, three_models, monkeypatch):
    monkeypatch.setenv("FLOWHUB_STORE_MAX", str(SIZE * 5 // 2))
    assert cli("prune", "--to-fit", "-y").status == 0
    assert names(app) == ["m0.gguf", "m2.gguf"]


def test_verify_does_not_count_as_a_use(cli, app, three_models):
    assert cli("verify", "m1").status == 0
    cli("enqueue", "m3")
    planned = cli("prune", "--to-fit", "--dry-run", "--json").json
    assert [item["name"] for item in planned["removed"]] == ["m1.gguf"]


def test_an_unknown_model_cannot_be_pinned(cli, app):
    assert cli("pin", "nothing", "--json").error["code"] == "not_found"


def test_a_placed_model_frees_its_bytes_as_its_links_go_with_it(cli, app, three_models, tmp_path):
    (tmp_path / "program").mkdir()
    assert cli("place", "m1", "--in", f"dir:{tmp_path / 'program'}").status == 0
    cli("enqueue", "m3")
    planned = cli("prune", "--to-fit", "--dry-run", "--json").json["removed"]
    assert [item["name"] for item in planned] == ["m1.gguf"]
    assert cli("prune", "--to-fit", "-y").status == 0
    assert names(app) == ["m0.gguf", "m2.gguf"]
    assert list((tmp_path / "program").rglob("*.gguf")) == []
