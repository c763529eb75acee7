"""The `export` and `import` commands: models on a disk for a machine without a network, verified at both ends."""

import errno
import json
import os

import pytest
from support.app import app_of
from support.cli import cli_app, run_due_jobs
from support.connection_faults import Stall
from support.models import folder_model, gguf, mlx_folder, one_file_model

from flowhub_jobs.store.file_hash import stamp_of
from flowhub_jobs.values.enums import State
from flowhub_jobs.worker import export_job

A = gguf(4096, 1)
FOLDER = mlx_folder()


@pytest.fixture
def models(origin):
    files = {path: (origin.serve(f"/c/{path}", data), data) for path, data in FOLDER.items()}
    return [one_file_model("a", origin.serve("/a.gguf", A), A), folder_model("c", files)]


@pytest.fixture
def app(home, models, monkeypatch):
    with cli_app(home, monkeypatch, *models) as app:
        for model in ("a", "c"):
            app.enqueue(model)
        run_due_jobs(app)
        yield app


@pytest.fixture
def other_home(tmp_path, app, models, monkeypatch):
    """Return a function that opens another machine's home, with the same catalog."""

    def open_other_home():
        monkeypatch.setenv("FLOWHUB_HOME", str(tmp_path / "other-home"))
        return app_of(tmp_path / "other-home", *models)

    return open_other_home


def test_exported_models_are_imported_in_another_home_and_listed_like_any_other(cli, app, other_home, drive, origin):
    assert cli("export", "a", "c", "--to", drive).status == 0
    assert (drive / "a.gguf").read_bytes() == A
    assert {path: (drive / "c-mlx-4bit" / path).read_bytes() for path in FOLDER} == FOLDER
    for path in ("/a.gguf", *(f"/c/{path}" for path in FOLDER)):
        origin.remove(path)
    with other_home() as other_app:
        jobs = cli("import", drive, "--json").jobs
        assert {(job["kind"], job["state"], job["sha256_state"], job["bytes_fetched"]) for job in jobs} == {
            ("import", "completed", "verified", 0)
        }
        assert (other_app.store / "a.gguf").read_bytes() == A
        models = {model["name"]: model for model in cli("list", "--json").json["models"]}
        assert models["a.gguf"]["in_catalog"]
        assert models["c-mlx-4bit"]["model"] == "c"
        assert "already installed" in cli("enqueue", "a").out
        assert other_app.leftover_partials() == []


def test_only_the_named_models_are_imported(cli, app, other_home, drive):
    cli("export", "a", "c", "--to", drive)
    with other_home() as other_app:
        assert cli("import", drive, "a.gguf").status == 0
        assert [model.name for model in other_app.session.installed.models()] == ["a.gguf"]
        result = cli("import", drive, "b")
        assert (result.status, "It holds: a@q4 (a.gguf), c@mlx-4bit (c-mlx-4bit)" in result.error_text) == (3, True)


@pytest.mark.parametrize("name", ["a", "A", "a@q4", "a:q4", "a.gguf"])
def test_a_model_is_imported_by_every_name_that_enqueue_takes(cli, app, other_home, drive, name):
    cli("export", "a", "c", "--to", drive)
    with other_home() as other_app:
        assert cli("import", drive, name).status == 0
        assert [model.name for model in other_app.home.store.models()] == ["a.gguf"]


def test_an_import_of_an_absent_model_fails_with_a_list_of_the_models_in_the_folder(cli, app, drive):
    cli("export", "a", "c", "--to", drive)
    error = cli("import", drive, "b", "--json").error
    assert (error["code"], error["hint"]) == ("not_found", "It holds: a@q4 (a.gguf), c@mlx-4bit (c-mlx-4bit).")


def test_a_byte_that_was_flipped_on_the_drive_fails_the_import(cli, app, other_home, drive):
    cli("export", "a", "--to", drive)
    (drive / "a.gguf").write_bytes(A[:-1] + bytes([A[-1] ^ 1]))
    with other_home() as other_app:
        result = cli("import", drive)
        assert result.status == 8
        assert str(drive / "a.gguf") in result.error_text
        assert list(other_app.store.glob("*.gguf")) == []


def test_a_damaged_model_is_not_exported(cli, app, drive):
    path = app.store / "a.gguf"
    path.write_bytes(A[:-1] + bytes([A[-1] ^ 1]))
    result = cli("export", "a", "--to", drive)
    assert result.status == 8
    assert "--repair" in result.error_text
    assert not (drive / "a.gguf").exists()


def test_a_file_that_was_not_exported_is_never_replaced(cli, app, drive):
    drive.mkdir()
    (drive / "a.gguf").write_text("mine")
    assert cli("export", "a", "--to", drive).status == 1
    assert (drive / "a.gguf").read_text() == "mine"


def test_a_second_export_copies_nothing_again(cli, app, drive):
    cli("export", "a", "--to", drive)
    before = (drive / "a.gguf").stat()
    assert cli("export", "a", "--to", drive).status == 0
    assert (drive / "a.gguf").stat().st_ino == before.st_ino


def test_a_second_export_replaces_a_file_that_was_changed_on_the_drive(cli, app, drive):
    cli("export", "c", "--to", drive)
    path = max(FOLDER, key=lambda path: len(FOLDER[path]))
    os.truncate(drive / "c-mlx-4bit" / path, 1)
    assert cli("export", "c", "--to", drive).status == 0
    assert (drive / "c-mlx-4bit" / path).read_bytes() == FOLDER[path]


@pytest.mark.parametrize(
    "damage",
    [
        lambda manifest: manifest["models"][0].update(name="../a.gguf"),
        lambda manifest: manifest["models"][0]["artifact"].update(name="../../a.gguf"),
        lambda manifest: manifest["models"][0]["files"][0].update(path="../a.gguf"),
        lambda manifest: manifest["models"][0]["files"][0].update(sha256="ab"),
        lambda manifest: manifest["models"][0]["files"][0].update(bytes=-1),
        lambda manifest: manifest["models"][0].update(files=[]),
        lambda manifest: manifest["models"].append(7),
        lambda manifest: manifest.update(schema="other/1"),
        lambda manifest: manifest["models"].append({**manifest["models"][0], "name": "A.GGUF"}),
        *(
            lambda manifest, name=name, value=value: manifest["models"][0]["artifact"].update({name: value})
            for name, value in [
                ("ref", 5),
                ("ref", None),
                ("ref", ""),
                ("ref", "a\ud800"),
                ("model", {}),
                ("format", {}),
                ("folder", None),
            ]
        ),
        *(
            lambda manifest, name=name, value=value: manifest["models"][0]["artifact"]["files"][0].update({name: value})
            for name, value in [
                ("size", 10**30),
                ("size", "x"),
                ("size", -5),
                ("size", 5),
                ("url", 7),
                ("url", "file:///x"),
                ("git_sha1", 5),
            ]
        ),
        lambda manifest: manifest.update(models={}),
    ],
)
def test_no_field_of_a_manifest_is_trusted(cli, app, other_home, drive, damage):
    cli("export", "a", "--to", drive)
    path = drive / "flowhub-manifest.json"
    manifest = json.loads(path.read_text())
    damage(manifest)
    path.write_text(json.dumps(manifest))
    with other_home() as other_app:
        result = cli("import", drive)
        assert result.status == 1
        assert result.error_text
        assert other_app.home.queries.all() == []


@pytest.mark.parametrize("text", ["", "<html>", "[" * 100_000, "\0", '{"schema": "flowhub/export/1"}'])
def test_a_file_that_is_no_manifest_is_named(cli, app, drive, text):
    drive.mkdir()
    (drive / "flowhub-manifest.json").write_text(text)
    assert "flowhub-manifest.json" in cli("import", drive).error_text


def test_a_file_in_the_place_of_a_folder_is_named_as_one(cli, app, tmp_path):
    (tmp_path / "file").write_text("")
    assert "is a file, not a folder" in cli("import", tmp_path / "file").error_text


def test_a_folder_without_a_manifest_points_to_adopt(cli, app, drive):
    drive.mkdir()
    result = cli("import", drive)
    assert (result.status, f"flowhub adopt {drive}" in result.error_text) == (1, True)


def test_a_wrong_call_is_a_usage_error_or_not_found(cli, app, tmp_path):
    (tmp_path / "file").write_text("")
    assert cli("export", "a").status == 2
    assert cli("export", "a", "--to", app.store / "x").status == 2
    assert cli("export", "a", "--to", tmp_path / "file").status == 2
    assert cli("export", "nothing", "--to", tmp_path / "x").status == 3


def test_with_later_a_worker_exports_the_model(cli, app, drive):
    assert "export a@q4, 4.1 KB, queued" in cli("export", "a", "--to", drive, "--later").out
    assert not drive.exists()
    run_due_jobs(app)
    assert (drive / "a.gguf").read_bytes() == A


@pytest.mark.parametrize("exported", [True, False], ids=["exported", "put there by hand"])
def test_a_link_at_the_path_of_an_exported_file_is_no_copy(cli, app, drive, exported):
    """The user takes the drive away, and not the file to which a link on it leads."""
    if exported:
        cli("export", "a", "--to", drive)
        (drive / "a.gguf").unlink()
    drive.mkdir(exist_ok=True)
    (drive / "a.gguf").symlink_to(app.store / "a.gguf")
    result = cli("export", "a", "--to", drive)
    assert (result.status == 0, (drive / "a.gguf").is_symlink()) == (exported, not exported)


def test_a_complete_model_on_the_drive_is_only_added_to_the_manifest(cli, app, drive):
    drive.mkdir()
    (drive / "a.gguf").write_bytes(A)
    before = stamp_of(drive / "a.gguf")  # not the whole stat: reading the file changes its atime
    assert cli("export", "a", "--to", drive).status == 0
    assert stamp_of(drive / "a.gguf") == before
    [model] = json.loads((drive / "flowhub-manifest.json").read_bytes())["models"]
    assert model["name"] == "a.gguf"


def test_no_signature_of_a_url_is_exported(cli, app, drive, origin):
    url = origin.serve("/signed.gguf", gguf(4096, 8)) + "?token=secret-of-mine"
    app.enqueue(url)
    run_due_jobs(app)
    assert cli("export", "signed.gguf", "--to", drive).status == 0
    assert "secret-of-mine" not in (drive / "flowhub-manifest.json").read_text()


def test_an_import_that_fails_leaves_the_partial_of_a_fetch(cli, app, drive, other_home, origin):
    """Bytes of a damaged drive never replace those that the journal of a fetch lists."""
    big = gguf(3 << 20, 9)
    model = one_file_model("big", origin.serve("/big.gguf", big), big)
    app.set_models(model)
    app.enqueue("big")
    run_due_jobs(app)
    cli("export", "big", "--to", drive)
    damaged = bytearray(big)
    damaged[100] ^= 1
    (drive / "big.gguf").write_bytes(damaged)
    with other_home() as other_app:
        other_app.set_models(model)
        origin.serve("/big.gguf", big, faults=[Stall(after=2 << 20)])
        number = other_app.enqueue("big")
        worker = other_app.start_worker()
        other_app.until(lambda: other_app.job(number).bytes_done >= 1 << 20)
        other_app.session.cancel(number)
        other_app.until_ended(number)
        worker.terminate()
        worker.wait()
        assert cli("import", drive).status == 8
        origin.serve("/big.gguf", big)
        other_app.session.requeue(number, "retry")
        run_due_jobs(other_app)
        assert (other_app.store / "big.gguf").read_bytes() == big


@pytest.mark.parametrize("damage", ["gone", "pipe", "link", "longer", "shorter"])
def test_a_source_of_another_type_or_size_is_refused_before_a_byte_is_copied(cli, app, drive, other_home, damage):
    cli("export", "a", "--to", drive)
    path = drive / "a.gguf"
    path.unlink()
    if damage == "pipe":
        os.mkfifo(path)
    elif damage == "link":
        path.symlink_to("/dev/zero")
    elif damage != "gone":
        path.write_bytes(A + b"more" if damage == "longer" else A[:-1])
    with other_home() as other_app:
        result = cli("import", drive)
        assert result.status == (8 if damage in ("longer", "shorter") else 3)
        assert str(path) in result.error_text
        assert other_app.home.queries.all()[-1].state is State.FAILED


def test_a_manifest_that_is_a_pipe_is_refused(cli, app, drive):
    drive.mkdir()
    os.mkfifo(drive / "flowhub-manifest.json")
    assert "is not a file" in cli("import", drive).error_text


@pytest.mark.parametrize("leftover", ["a link", "a pipe", "half of a manifest"])
def test_nothing_is_written_through_a_link_in_the_place_of_the_manifest(cli, app, drive, tmp_path, leftover):
    outside, partial = tmp_path / "outside", drive / ".flowhub-partial" / "flowhub-manifest.json"
    outside.write_text("of the user")
    partial.parent.mkdir(parents=True)
    {
        "a link": lambda: partial.symlink_to(outside),
        "a pipe": lambda: os.mkfifo(partial),
        "half of a manifest": lambda: partial.write_text('{"mod'),
    }[leftover]()
    assert cli("export", "a", "--to", drive).status == 0
    assert outside.read_text() == "of the user"
    [model] = json.loads((drive / "flowhub-manifest.json").read_bytes())["models"]
    assert model["name"] == "a.gguf"
    assert not os.path.lexists(partial)


@pytest.mark.parametrize("failing", ["rename_new", "write_manifest"])
def test_a_drive_that_becomes_full_fails_the_export_with_its_path(cli, app, drive, monkeypatch, failing):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(export_job, failing, refuse)
        result = cli("export", "a", "--to", drive)
    assert (result.status, str(drive) in result.error_text) == (6, True)
    assert cli("export", "a", "--to", drive).status == 0


def test_a_second_export_repairs_a_flipped_byte_on_the_drive(cli, app, drive):
    cli("export", "a", "--to", drive)
    (drive / "a.gguf").write_bytes(A[:-1] + bytes([A[-1] ^ 1]))
    assert cli("export", "a", "--to", drive).status == 0
    assert (drive / "a.gguf").read_bytes() == A


def test_an_export_to_a_path_that_cannot_be_a_folder_fails_at_once(cli, app):
    result = cli("export", "a", "--to", "/proc/absent")
    assert result.status == 1
    assert app.home.queries.all()[-1].state is State.FAILED
