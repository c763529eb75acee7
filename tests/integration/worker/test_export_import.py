"""export, import: models carried on a disk to a machine without a network, verified at both ends."""

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
def elsewhere(tmp_path, app, models, monkeypatch):
    """Another machine's home, whose catalog is the same, and which no origin serves."""

    def go():
        monkeypatch.setenv("FLOWHUB_HOME", str(tmp_path / "elsewhere"))
        return app_of(tmp_path / "elsewhere", *models)

    return go


def test_what_was_exported_is_imported_elsewhere_and_listed_like_any_other(cli, app, elsewhere, drive, origin):
    assert cli("export", "a", "c", "--to", drive).status == 0
    assert (drive / "a.gguf").read_bytes() == A
    assert {path: (drive / "c-mlx-4bit" / path).read_bytes() for path in FOLDER} == FOLDER
    for path in ("/a.gguf", *(f"/c/{path}" for path in FOLDER)):
        origin.remove(path)
    with elsewhere() as there:
        jobs = cli("import", drive, "--json").jobs
        assert {(job["kind"], job["state"], job["sha256_state"], job["bytes_fetched"]) for job in jobs} == {
            ("import", "completed", "verified", 0)
        }
        assert (there.store / "a.gguf").read_bytes() == A
        listed = {model["name"]: model for model in cli("list", "--json").json["models"]}
        assert listed["a.gguf"]["in_catalog"]
        assert listed["c-mlx-4bit"]["model"] == "c"
        assert "already installed" in cli("enqueue", "a").out
        assert there.leftover_partials() == []


def test_only_what_is_named_is_imported(cli, app, elsewhere, drive):
    cli("export", "a", "c", "--to", drive)
    with elsewhere() as there:
        assert cli("import", drive, "a.gguf").status == 0
        assert [model.name for model in there.session.installed.models()] == ["a.gguf"]
        said = cli("import", drive, "b")
        assert (said.status, "It holds: a@q4 (a.gguf), c@mlx-4bit (c-mlx-4bit)" in said.error_text) == (3, True)


@pytest.mark.parametrize("named", ["a", "A", "a@q4", "a:q4", "a.gguf"])
def test_a_model_is_imported_by_every_name_that_enqueue_takes(cli, app, elsewhere, drive, named):
    cli("export", "a", "c", "--to", drive)
    with elsewhere() as there:
        assert cli("import", drive, named).status == 0
        assert [model.name for model in there.home.store.models()] == ["a.gguf"]


def test_what_a_folder_does_not_hold_is_answered_with_what_it_holds(cli, app, drive):
    cli("export", "a", "c", "--to", drive)
    error = cli("import", drive, "b", "--json").error
    assert (error["code"], error["hint"]) == ("not_found", "It holds: a@q4 (a.gguf), c@mlx-4bit (c-mlx-4bit).")


def test_a_byte_that_turned_on_the_way_is_found(cli, app, elsewhere, drive):
    cli("export", "a", "--to", drive)
    (drive / "a.gguf").write_bytes(A[:-1] + bytes([A[-1] ^ 1]))
    with elsewhere() as there:
        said = cli("import", drive)
        assert said.status == 8
        assert str(drive / "a.gguf") in said.error_text
        assert list(there.store.glob("*.gguf")) == []


def test_what_is_damaged_here_is_not_carried_away(cli, app, drive):
    place = app.store / "a.gguf"
    place.write_bytes(A[:-1] + bytes([A[-1] ^ 1]))
    said = cli("export", "a", "--to", drive)
    assert said.status == 8
    assert "--repair" in said.error_text
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


def test_a_second_export_replaces_what_was_changed_there(cli, app, drive):
    cli("export", "c", "--to", drive)
    path = max(FOLDER, key=lambda path: len(FOLDER[path]))
    os.truncate(drive / "c-mlx-4bit" / path, 1)
    assert cli("export", "c", "--to", drive).status == 0
    assert (drive / "c-mlx-4bit" / path).read_bytes() == FOLDER[path]


@pytest.mark.parametrize(
    "damage",
    [
        lambda page: page["models"][0].update(name="../a.gguf"),
        lambda page: page["models"][0]["artifact"].update(name="../../a.gguf"),
        lambda page: page["models"][0]["files"][0].update(path="../a.gguf"),
        lambda page: page["models"][0]["files"][0].update(sha256="ab"),
        lambda page: page["models"][0]["files"][0].update(bytes=-1),
        lambda page: page["models"][0].update(files=[]),
        lambda page: page["models"].append(7),
        lambda page: page.update(schema="other/1"),
        lambda page: page["models"].append({**page["models"][0], "name": "A.GGUF"}),
        *(
            lambda page, name=name, value=value: page["models"][0]["artifact"].update({name: value})
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
            lambda page, name=name, value=value: page["models"][0]["artifact"]["files"][0].update({name: value})
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
        lambda page: page.update(models={}),
    ],
)
def test_a_manifest_is_believed_in_nothing(cli, app, elsewhere, drive, damage):
    cli("export", "a", "--to", drive)
    manifest = drive / "flowhub-manifest.json"
    page = json.loads(manifest.read_text())
    damage(page)
    manifest.write_text(json.dumps(page))
    with elsewhere() as there:
        said = cli("import", drive)
        assert said.status == 1
        assert said.error_text
        assert there.home.queries.all() == []


@pytest.mark.parametrize("text", ["", "<html>", "[" * 100_000, "\0", '{"schema": "flowhub/export/1"}'])
def test_a_manifest_that_is_none_is_named(cli, app, drive, text):
    drive.mkdir()
    (drive / "flowhub-manifest.json").write_text(text)
    assert "flowhub-manifest.json" in cli("import", drive).error_text


def test_a_file_in_the_place_of_a_folder_is_named_as_one(cli, app, tmp_path):
    (tmp_path / "file").write_text("")
    assert "is a file, not a folder" in cli("import", tmp_path / "file").error_text


def test_a_folder_without_a_manifest_points_to_adopt(cli, app, drive):
    drive.mkdir()
    said = cli("import", drive)
    assert (said.status, f"flowhub adopt {drive}" in said.error_text) == (1, True)


def test_wrong_calls(cli, app, tmp_path):
    (tmp_path / "file").write_text("")
    assert cli("export", "a").status == 2
    assert cli("export", "a", "--to", app.store / "x").status == 2
    assert cli("export", "a", "--to", tmp_path / "file").status == 2
    assert cli("export", "nothing", "--to", tmp_path / "x").status == 3


def test_a_worker_carries_it_later_if_asked(cli, app, drive):
    assert "export a@q4, 4.1 KB, queued" in cli("export", "a", "--to", drive, "--later").out
    assert not drive.exists()
    run_due_jobs(app)
    assert (drive / "a.gguf").read_bytes() == A


@pytest.mark.parametrize("ours", [True, False], ids=["exported", "put there by hand"])
def test_a_link_in_its_place_is_no_copy(cli, app, drive, ours):
    """What is carried away is the disk, and not what a link on it leads to."""
    if ours:
        cli("export", "a", "--to", drive)
        (drive / "a.gguf").unlink()
    drive.mkdir(exist_ok=True)
    (drive / "a.gguf").symlink_to(app.store / "a.gguf")
    said = cli("export", "a", "--to", drive)
    assert (said.status == 0, (drive / "a.gguf").is_symlink()) == (ours, not ours)


def test_a_model_that_is_there_whole_is_only_written_into_the_manifest(cli, app, drive):
    drive.mkdir()
    (drive / "a.gguf").write_bytes(A)
    before = stamp_of(drive / "a.gguf")  # not all of its stat: it is read, and that changes one of its times
    assert cli("export", "a", "--to", drive).status == 0
    assert stamp_of(drive / "a.gguf") == before
    assert [one["name"] for one in json.loads((drive / "flowhub-manifest.json").read_bytes())["models"]] == ["a.gguf"]


def test_no_signature_is_carried_away(cli, app, drive, origin):
    url = origin.serve("/signed.gguf", gguf(4096, 8)) + "?token=secret-of-mine"
    app.enqueue(url)
    run_due_jobs(app)
    assert cli("export", "signed.gguf", "--to", drive).status == 0
    assert "secret-of-mine" not in (drive / "flowhub-manifest.json").read_text()


def test_an_import_that_fails_takes_nothing_from_what_a_fetch_has_kept(cli, app, drive, elsewhere, origin):
    """Bytes of a damaged disk never pass for those that a journal speaks of."""
    big = gguf(3 << 20, 9)
    model = one_file_model("big", origin.serve("/big.gguf", big), big)
    app.set_models(model)
    app.enqueue("big")
    run_due_jobs(app)
    cli("export", "big", "--to", drive)
    damaged = bytearray(big)
    damaged[100] ^= 1
    (drive / "big.gguf").write_bytes(damaged)
    with elsewhere() as there:
        there.set_models(model)
        origin.serve("/big.gguf", big, faults=[Stall(after=2 << 20)])
        number = there.enqueue("big")
        worker = there.worker()
        there.until(lambda: there.job(number).bytes_done >= 1 << 20)
        there.session.cancel(number)
        there.until_ended(number)
        worker.terminate()
        worker.wait()
        assert cli("import", drive).status == 8
        origin.serve("/big.gguf", big)
        there.session.again(number, "retry")
        run_due_jobs(there)
        assert (there.store / "big.gguf").read_bytes() == big


@pytest.mark.parametrize("damage", ["gone", "pipe", "link", "longer", "shorter"])
def test_a_source_that_is_no_such_file_is_refused_before_a_byte_is_copied(cli, app, drive, elsewhere, damage):
    cli("export", "a", "--to", drive)
    place = drive / "a.gguf"
    place.unlink()
    if damage == "pipe":
        os.mkfifo(place)
    elif damage == "link":
        place.symlink_to("/dev/zero")
    elif damage != "gone":
        place.write_bytes(A + b"more" if damage == "longer" else A[:-1])
    with elsewhere() as there:
        said = cli("import", drive)
        assert said.status == (8 if damage in ("longer", "shorter") else 3)
        assert str(place) in said.error_text
        assert there.home.queries.all()[-1].state is State.FAILED


def test_a_manifest_that_is_a_pipe_is_refused(cli, app, drive):
    drive.mkdir()
    os.mkfifo(drive / "flowhub-manifest.json")
    assert "is not a file" in cli("import", drive).error_text


@pytest.mark.parametrize("lies", ["a link", "a pipe", "what a killed export left"])
def test_nothing_is_written_through_a_link_in_the_place_of_the_manifest(cli, app, drive, tmp_path, lies):
    outside, made = tmp_path / "outside", drive / ".flowhub-partial" / "flowhub-manifest.json"
    outside.write_text("theirs")
    made.parent.mkdir(parents=True)
    {
        "a link": lambda: made.symlink_to(outside),
        "a pipe": lambda: os.mkfifo(made),
        "what a killed export left": lambda: made.write_text('{"mod'),
    }[lies]()
    assert cli("export", "a", "--to", drive).status == 0
    assert outside.read_text() == "theirs"
    [model] = json.loads((drive / "flowhub-manifest.json").read_bytes())["models"]
    assert model["name"] == "a.gguf"
    assert not os.path.lexists(made)


@pytest.mark.parametrize("full", ["rename_new", "write_manifest"])
def test_a_folder_that_becomes_full_is_an_error_of_its_own(cli, app, drive, monkeypatch, full):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(export_job, full, refuse)
        said = cli("export", "a", "--to", drive)
    assert (said.status, str(drive) in said.error_text) == (6, True)
    assert cli("export", "a", "--to", drive).status == 0


def test_an_export_again_mends_what_turned_on_the_way(cli, app, drive):
    cli("export", "a", "--to", drive)
    (drive / "a.gguf").write_bytes(A[:-1] + bytes([A[-1] ^ 1]))
    assert cli("export", "a", "--to", drive).status == 0
    assert (drive / "a.gguf").read_bytes() == A


def test_an_export_to_what_cannot_be_a_folder_fails_at_once(cli, app):
    said = cli("export", "a", "--to", "/proc/nobody")
    assert said.status == 1
    assert app.home.queries.all()[-1].state is State.FAILED
