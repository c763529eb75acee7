"""Tests of several stores on the command line: `enqueue --store`, `list`, `move`."""

import pytest
from support.cli import cli_app, run_due_jobs
from support.models import gguf, one_file_model

from flowhub_jobs.cli import output
from flowhub_jobs.cli.library.list_view import models_text
from flowhub_jobs.operations.library.on_nodes import models_on
from flowhub_jobs.operations.library.usage import list_store
from flowhub_jobs.operations.search import headers
from flowhub_jobs.store.space import Room
from flowhub_jobs.units import format_bytes

A, B = gguf(4096, 1), gguf(5000, 2)


@pytest.fixture
def app(home, origin, tmp_path, monkeypatch):
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(f'[stores]\nfast = "{tmp_path / "fast"}"\n')
    models = [
        one_file_model(name, origin.serve(f"/{name}.gguf", content), content) for name, content in (("a", A), ("b", B))
    ]
    with cli_app(home, monkeypatch, *models) as app:
        yield app


def test_a_model_is_downloaded_into_a_store_listed_and_moved(cli, app, tmp_path):
    [job] = cli("enqueue", "a", "--store", "fast", "--json").jobs
    assert (job["store"], job["target"]) == ("fast", str(tmp_path / "fast" / "a.gguf"))
    run_due_jobs(app)
    page = cli("list", "--json").json
    assert [(model["name"], model["store"]) for model in page["models"]] == [("a.gguf", "fast")]
    assert [store["name"] for store in page["stores"]] == ["default", "fast"]
    assert "STORE" in cli("list").out
    assert cli("path", "a").out.strip() == str(tmp_path / "fast" / "a.gguf")
    [job] = cli("move", "a", "--to", "default", "--json").jobs
    assert (job["kind"], job["state"], job["store"]) == ("move", "completed", "default")
    assert (app.store / "a.gguf").read_bytes() == A
    assert cli("move", "a", "--to", "default").status == 0
    assert "STORE" not in cli("list").out


def test_a_model_that_is_still_queued_is_not_installed_and_its_job_is_named(cli, app):
    cli("enqueue", "a")
    for ref in ("a", "a@q4", "a:q4"):
        result = cli("path", ref)
        assert result.status == 3
        assert "Job 1 downloads it" in result.err
    assert "Job 1" not in cli("path", "b").err


def test_the_store_of_a_model_is_listed_on_a_narrow_screen_too(cli, app, monkeypatch):
    cli("enqueue", "a", "--store", "fast")
    run_due_jobs(app)
    monkeypatch.setattr(output, "columns", lambda: 34)
    assert "  a@q4, gguf, verified" in models_text(list_store(app.session).models, verbose=False)
    assert "store fast" in models_text(list_store(app.session).models, verbose=False).split("verified")[1]


def test_a_store_that_is_in_no_setting_is_a_usage_error_that_names_the_others(cli, app):
    assert cli("enqueue", "a", "--store", "fast").status == 0
    run_due_jobs(app)
    for arguments in (
        ("enqueue", "a", "--store", "nosuch"),
        ("enqueue", "a", "--store", "/tmp/x"),
        ("adopt", "--dry-run", "--store", "nosuch"),
        ("move", "a", "--to", "nosuch"),
    ):
        result = cli(*arguments, "--json")
        assert (result.status, result.error["code"]) == (2, "usage")
        assert "default, fast" in result.error["hint"]


def test_the_list_names_a_placement_that_waits_once(cli, app, tmp_path):
    target = f"dir:{tmp_path}/usb/models"
    cli("enqueue", "a", "--place", target)
    run_due_jobs(app)
    assert f"Not placed yet: a.gguf in {target}. `flowhub placements`" in " ".join(cli("list").err.split())


def test_the_models_of_a_store_that_was_removed_from_the_settings_are_offline(cli, app, home, tmp_path):
    cli("enqueue", "a", "--store", "fast")
    run_due_jobs(app)
    assert f"{format_bytes(len(A))} in 2 stores" in cli("du").err
    (home / "config.toml").write_text(f'[stores]\nother = "{tmp_path / "other"}"\n')
    listing = cli("list")
    assert "no longer in config.toml" in listing.out + listing.err
    assert "default: 0 B in" in listing.out + listing.err
    result = cli("move", "a", "--to", "other")
    assert result.status == 1
    assert "is in another store" in result.err
    assert "[stores]" in result.err


def test_doctor_checks_the_files_of_each_mounted_store(cli, app, tmp_path):
    cli("enqueue", "a", "--store", "fast")
    run_due_jobs(app)

    def library_check() -> tuple[str, str]:
        [check] = [row for row in cli("doctor", "--json").json["checks"] if row["name"] == "library.files"]
        return check["status"], check["message"]

    assert library_check()[0] == "ok"
    assert library_check()[1].startswith("1 installed model has its files")
    (tmp_path / "fast" / "a.gguf").rename(tmp_path / "a.gguf")
    assert library_check()[0] == "warn"
    (tmp_path / "a.gguf").rename(tmp_path / "fast" / "a.gguf")
    (tmp_path / "fast").rename(tmp_path / "away")
    assert library_check()[0] == "ok"


def test_enqueue_says_that_the_store_of_a_job_is_offline(cli, app, tmp_path):
    cli("enqueue", "a", "--store", "fast")
    run_due_jobs(app)
    (tmp_path / "fast").rename(tmp_path / "away")
    assert "The store fast" in cli("enqueue", "b", "--store", "fast").err
    assert "offline" in cli("enqueue", "b", "--store", "fast").err
    assert cli("cancel", "--all").status == 0
    assert "offline" not in cli("enqueue", "b", "--store", "default").err
    cli("cancel", "--all")
    queued = cli("enqueue", "b", "--store", "default")
    run_due_jobs(app)
    result = cli("move", "b", "--to", "fast")
    assert result.status == 1
    assert "the store's disk is not mounted" in result.err
    assert queued.status == 0


@pytest.fixture
def twins(cli, app, origin, tmp_path):
    """Two models of one file name, `one` in the default store and `two` in the store fast."""
    contents = {"one": A, "two": B}
    app.set_models(
        *(
            one_file_model(name, origin.serve(f"/{name}.gguf", content), content, filename="m.gguf")
            for name, content in contents.items()
        )
    )
    cli("enqueue", "one")
    cli("enqueue", "two", "--store", "fast")
    run_due_jobs(app)
    assert (app.store / "m.gguf").read_bytes() == A
    assert (tmp_path / "fast" / "m.gguf").read_bytes() == B
    return app.store / "m.gguf", tmp_path / "fast" / "m.gguf"


def test_a_reference_never_means_the_model_of_another_store_that_has_its_name(cli, twins, tmp_path):
    default_path, fast_path = twins
    assert cli("path", "two").out.strip() == str(fast_path)
    assert cli("path", "one").out.strip() == str(default_path)
    assert cli("path", "m.gguf").out.strip() == str(default_path)
    assert cli("path", "fast:m.gguf").out.strip() == str(fast_path)
    [job] = cli("export", "two", "--to", str(tmp_path / "stick"), "--json").jobs
    assert job["ref"] == "two@q4"
    assert (tmp_path / "stick" / "m.gguf").read_bytes() == B
    placed = cli("place", "two", "--in", f"dir:{tmp_path / 'app'}", "--json").json["placements"]
    assert [row["model"] for row in placed] == ["two"]
    assert cli("unplace", "one").status == 3
    assert cli("unplace", "two").status == 0
    assert cli("pin", "two").status == 0
    assert {row["model"]: row["pinned"] for row in cli("list", "--json").json["models"]} == {"one": False, "two": True}
    assert cli("outdated").err.strip().endswith("2 models.")
    assert cli("rm", "two", "-y").status == 0
    assert default_path.read_bytes() == A
    assert not fast_path.exists()


def test_each_store_has_a_job_of_its_own_that_verifies_one_model(cli, app, tmp_path):
    cli("enqueue", "a")
    run_due_jobs(app)
    cli("enqueue", "a", "--store", "fast", "--force")
    run_due_jobs(app)
    assert (tmp_path / "fast" / "a.gguf").read_bytes() == (app.store / "a.gguf").read_bytes()
    first, second = cli("verify", "--later", "--json").jobs
    assert [(job["kind"], job["store"]) for job in (first, second)] == [("verify", "default"), ("verify", "fast")]
    assert [job["id"] for job in cli("verify", "fast:a.gguf", "--later", "--json").jobs] == [second["id"]]
    (tmp_path / "fast" / "a.gguf").write_bytes(b"x" * len(A))
    result = cli("verify")
    assert result.out == "a.gguf: ok, 4.1 KB\nfast:a.gguf: damaged, 4.1 KB\n"
    assert "`flowhub verify fast:a.gguf --repair` repairs it." in result.err
    [repaired] = cli("verify", "fast:a.gguf", "--repair", "--json").json["models"]
    assert (repaired["store"], repaired["state"]) == ("fast", "repaired")


def test_each_of_two_models_of_one_name_has_its_own_placements_in_the_list_of_a_node(cli, app, twins, tmp_path):
    cli("place", "two", "--in", f"dir:{tmp_path / 'app'}")
    models = models_on(app.home, [app.home.node]).models
    assert {model.ref: model.placed_in for model in models} == {"one@q4": (), "two@q4": (f"dir:{tmp_path / 'app'}",)}


def test_fits_reads_the_header_of_the_named_model(cli, twins, monkeypatch):
    paths_read = []
    monkeypatch.setattr(headers, "read_metadata", paths_read.append)
    for model, path in zip(("one", "two"), twins, strict=True):
        assert cli("fits", model).status == 0
        assert paths_read.pop() == path


def test_rm_of_a_name_removes_one_model_and_with_its_store_the_other(cli, twins):
    default_path, fast_path = twins
    assert cli("list", "-q").out.split() == ["default:m.gguf", "fast:m.gguf"]
    assert cli("path", "default:m.gguf").out.strip() == str(default_path)
    assert cli("rm", "two", "-y", "--dry-run").out.startswith("Would remove fast:m.gguf: ")
    assert cli("rm", "fast:m.gguf", "-y").status == 0
    assert (default_path.exists(), fast_path.exists()) == (True, False)
    assert cli("rm", "fast:m.gguf", "-y").status == 3
    assert cli("rm", "m.gguf", "-y").status == 0
    assert not default_path.exists()


def test_the_disk_of_several_stores_is_named_once(cli, app, monkeypatch):
    cli("enqueue", "a", "--store", "fast")
    assert cli("du").err.count(" free on their disk") == 1
    monkeypatch.setattr("flowhub_jobs.home.room_at", lambda *_: Room(free=100, reserve=10))
    warning = cli("enqueue", "b").err
    assert warning.count("The queue needs") == 1
    assert "the disk of the stores default and fast has 100 B free" in warning
