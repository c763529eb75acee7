"""export, import: models carried on a disk to a machine without a network, verified at both ends."""

import errno
import json
import os

import pytest
from support.app import app_of
from support.cli import cli_app, work
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
def shop(home, models, monkeypatch):
    with cli_app(home, monkeypatch, *models) as shop:
        for model in ("a", "c"):
            shop.enqueue(model)
        work(shop)
        yield shop


@pytest.fixture
def elsewhere(tmp_path, shop, models, monkeypatch):
    """Another machine's home, whose catalog is the same, and which no origin serves."""

    def go():
        monkeypatch.setenv("FLOWHUB_HOME", str(tmp_path / "elsewhere"))
        return app_of(tmp_path / "elsewhere", *models)

    return go


def test_what_was_exported_is_imported_elsewhere_and_listed_like_any_other(cli, shop, elsewhere, stick, origin):
    assert cli("export", "a", "c", "--to", stick).status == 0
    assert (stick / "a.gguf").read_bytes() == A
    assert {path: (stick / "c-mlx-4bit" / path).read_bytes() for path in FOLDER} == FOLDER
    for path in ("/a.gguf", *(f"/c/{path}" for path in FOLDER)):
        origin.remove(path)
    with elsewhere() as there:
        jobs = cli("import", stick, "--json").jobs
        assert {(job["kind"], job["state"], job["sha256_state"], job["bytes_fetched"]) for job in jobs} == {
            ("import", "completed", "verified", 0)
        }
        assert (there.store / "a.gguf").read_bytes() == A
        listed = {model["name"]: model for model in cli("list", "--json").page["models"]}
        assert listed["a.gguf"]["in_catalog"]
        assert listed["c-mlx-4bit"]["model"] == "c"
        assert "already installed" in cli("enqueue", "a").out
        assert there.left_over() == []


def test_only_what_is_named_is_imported(cli, shop, elsewhere, stick):
    cli("export", "a", "c", "--to", stick)
    with elsewhere() as there:
        assert cli("import", stick, "a.gguf").status == 0
        assert [model.name for model in there.session.installed.models()] == ["a.gguf"]
        said = cli("import", stick, "b")
        assert (said.status, "It holds: a@q4 (a.gguf), c@mlx-4bit (c-mlx-4bit)" in said.complaint) == (3, True)


@pytest.mark.parametrize("named", ["a", "A", "a@q4", "a:q4", "a.gguf"])
def test_a_model_is_imported_by_every_name_that_enqueue_takes(cli, shop, elsewhere, stick, named):
    cli("export", "a", "c", "--to", stick)
    with elsewhere() as there:
        assert cli("import", stick, named).status == 0
        assert [model.name for model in there.home.store.models()] == ["a.gguf"]


def test_what_a_folder_does_not_hold_is_answered_with_what_it_holds(cli, shop, stick):
    cli("export", "a", "c", "--to", stick)
    error = cli("import", stick, "b", "--json").error
    assert (error["code"], error["hint"]) == ("not_found", "It holds: a@q4 (a.gguf), c@mlx-4bit (c-mlx-4bit).")


def test_a_byte_that_turned_on_the_way_is_found(cli, shop, elsewhere, stick):
    cli("export", "a", "--to", stick)
    (stick / "a.gguf").write_bytes(A[:-1] + bytes([A[-1] ^ 1]))
    with elsewhere() as there:
        said = cli("import", stick)
        assert said.status == 8
        assert str(stick / "a.gguf") in said.complaint
        assert list(there.store.glob("*.gguf")) == []


def test_what_is_damaged_here_is_not_carried_away(cli, shop, stick):
    place = shop.store / "a.gguf"
    place.write_bytes(A[:-1] + bytes([A[-1] ^ 1]))
    said = cli("export", "a", "--to", stick)
    assert said.status == 8
    assert "--repair" in said.complaint
    assert not (stick / "a.gguf").exists()


def test_a_file_that_was_not_exported_is_never_replaced(cli, shop, stick):
    stick.mkdir()
    (stick / "a.gguf").write_text("mine")
    assert cli("export", "a", "--to", stick).status == 1
    assert (stick / "a.gguf").read_text() == "mine"


def test_a_second_export_copies_nothing_again(cli, shop, stick):
    cli("export", "a", "--to", stick)
    before = (stick / "a.gguf").stat()
    assert cli("export", "a", "--to", stick).status == 0
    assert (stick / "a.gguf").stat().st_ino == before.st_ino


def test_a_second_export_replaces_what_was_changed_there(cli, shop, stick):
    cli("export", "c", "--to", stick)
    path = max(FOLDER, key=lambda path: len(FOLDER[path]))
    os.truncate(stick / "c-mlx-4bit" / path, 1)
    assert cli("export", "c", "--to", stick).status == 0
    assert (stick / "c-mlx-4bit" / path).read_bytes() == FOLDER[path]


@pytest.mark.parametrize(
    "harm",
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
def test_a_manifest_is_believed_in_nothing(cli, shop, elsewhere, stick, harm):
    cli("export", "a", "--to", stick)
    manifest = stick / "flowhub-manifest.json"
    page = json.loads(manifest.read_text())
    harm(page)
    manifest.write_text(json.dumps(page))
    with elsewhere() as there:
        said = cli("import", stick)
        assert said.status == 1
        assert said.complaint
        assert there.home.queries.all() == []


@pytest.mark.parametrize("text", ["", "<html>", "[" * 100_000, "\0", '{"schema": "flowhub/export/1"}'])
def test_a_manifest_that_is_none_is_named(cli, shop, stick, text):
    stick.mkdir()
    (stick / "flowhub-manifest.json").write_text(text)
    assert "flowhub-manifest.json" in cli("import", stick).complaint


def test_a_file_in_the_place_of_a_folder_is_named_as_one(cli, shop, tmp_path):
    (tmp_path / "file").write_text("")
    assert "is a file, not a folder" in cli("import", tmp_path / "file").complaint


def test_a_folder_without_a_manifest_points_to_adopt(cli, shop, stick):
    stick.mkdir()
    said = cli("import", stick)
    assert (said.status, f"flowhub adopt {stick}" in said.complaint) == (1, True)


def test_wrong_calls(cli, shop, tmp_path):
    (tmp_path / "file").write_text("")
    assert cli("export", "a").status == 2
    assert cli("export", "a", "--to", shop.store / "x").status == 2
    assert cli("export", "a", "--to", tmp_path / "file").status == 2
    assert cli("export", "nothing", "--to", tmp_path / "x").status == 3


def test_a_worker_carries_it_later_if_asked(cli, shop, stick):
    assert "export a@q4, 4.1 KB, queued" in cli("export", "a", "--to", stick, "--later").out
    assert not stick.exists()
    work(shop)
    assert (stick / "a.gguf").read_bytes() == A


@pytest.mark.parametrize("ours", [True, False], ids=["exported", "put there by hand"])
def test_a_link_in_its_place_is_no_copy(cli, shop, stick, ours):
    """What is carried away is the disk, and not what a link on it leads to."""
    if ours:
        cli("export", "a", "--to", stick)
        (stick / "a.gguf").unlink()
    stick.mkdir(exist_ok=True)
    (stick / "a.gguf").symlink_to(shop.store / "a.gguf")
    said = cli("export", "a", "--to", stick)
    assert (said.status == 0, (stick / "a.gguf").is_symlink()) == (ours, not ours)


def test_a_model_that_is_there_whole_is_only_written_into_the_manifest(cli, shop, stick):
    stick.mkdir()
    (stick / "a.gguf").write_bytes(A)
    before = stamp_of(stick / "a.gguf")  # not all of its stat: it is read, and that changes one of its times
    assert cli("export", "a", "--to", stick).status == 0
    assert stamp_of(stick / "a.gguf") == before
    assert [one["name"] for one in json.loads((stick / "flowhub-manifest.json").read_bytes())["models"]] == ["a.gguf"]


def test_no_signature_is_carried_away(cli, shop, stick, origin):
    url = origin.serve("/signed.gguf", gguf(4096, 8)) + "?token=secret-of-mine"
    shop.enqueue(url)
    work(shop)
    assert cli("export", "signed.gguf", "--to", stick).status == 0
    assert "secret-of-mine" not in (stick / "flowhub-manifest.json").read_text()


def test_an_import_that_fails_takes_nothing_from_what_a_fetch_has_kept(cli, shop, stick, elsewhere, origin):
    """Bytes of a damaged disk never pass for those that a journal speaks of."""
    big = gguf(3 << 20, 9)
    model = one_file_model("big", origin.serve("/big.gguf", big), big)
    shop.offer(model)
    shop.enqueue("big")
    work(shop)
    cli("export", "big", "--to", stick)
    damaged = bytearray(big)
    damaged[100] ^= 1
    (stick / "big.gguf").write_bytes(damaged)
    with elsewhere() as there:
        there.offer(model)
        origin.serve("/big.gguf", big, faults=[Stall(after=2 << 20)])
        number = there.enqueue("big")
        worker = there.worker()
        there.until(lambda: there.job(number).bytes_done >= 1 << 20)
        there.session.cancel(number)
        there.until_ended(number)
        worker.terminate()
        worker.wait()
        assert cli("import", stick).status == 8
        origin.serve("/big.gguf", big)
        there.session.again(number, "retry")
        work(there)
        assert (there.store / "big.gguf").read_bytes() == big


@pytest.mark.parametrize("harm", ["gone", "pipe", "link", "longer", "shorter"])
def test_a_source_that_is_no_such_file_is_refused_before_a_byte_is_copied(cli, shop, stick, elsewhere, harm):
    cli("export", "a", "--to", stick)
    place = stick / "a.gguf"
    place.unlink()
    if harm == "pipe":
        os.mkfifo(place)
    elif harm == "link":
        place.symlink_to("/dev/zero")
    elif harm != "gone":
        place.write_bytes(A + b"more" if harm == "longer" else A[:-1])
    with elsewhere() as there:
        said = cli("import", stick)
        assert said.status == (8 if harm in ("longer", "shorter") else 3)
        assert str(place) in said.complaint
        assert there.home.queries.all()[-1].state is State.FAILED


def test_a_manifest_that_is_a_pipe_is_refused(cli, shop, stick):
    stick.mkdir()
    os.mkfifo(stick / "flowhub-manifest.json")
    assert "is not a file" in cli("import", stick).complaint


@pytest.mark.parametrize("lies", ["a link", "a pipe", "what a killed export left"])
def test_nothing_is_written_through_a_link_in_the_place_of_the_manifest(cli, shop, stick, tmp_path, lies):
    outside, made = tmp_path / "outside", stick / ".flowhub-partial" / "flowhub-manifest.json"
    outside.write_text("theirs")
    made.parent.mkdir(parents=True)
    {
        "a link": lambda: made.symlink_to(outside),
        "a pipe": lambda: os.mkfifo(made),
        "what a killed export left": lambda: made.write_text('{"mod'),
    }[lies]()
    assert cli("export", "a", "--to", stick).status == 0
    assert outside.read_text() == "theirs"
    [model] = json.loads((stick / "flowhub-manifest.json").read_bytes())["models"]
    assert model["name"] == "a.gguf"
    assert not os.path.lexists(made)


@pytest.mark.parametrize("full", ["rename_new", "write_manifest"])
def test_a_folder_that_becomes_full_is_an_error_of_its_own(cli, shop, stick, monkeypatch, full):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(export_job, full, refuse)
        said = cli("export", "a", "--to", stick)
    assert (said.status, str(stick) in said.complaint) == (6, True)
    assert cli("export", "a", "--to", stick).status == 0


def test_an_export_again_mends_what_turned_on_the_way(cli, shop, stick):
    cli("export", "a", "--to", stick)
    (stick / "a.gguf").write_bytes(A[:-1] + bytes([A[-1] ^ 1]))
    assert cli("export", "a", "--to", stick).status == 0
    assert (stick / "a.gguf").read_bytes() == A


def test_an_export_to_what_cannot_be_a_folder_fails_at_once(cli, shop):
    said = cli("export", "a", "--to", "/proc/nobody")
    assert said.status == 1
    assert shop.home.queries.all()[-1].state is State.FAILED
