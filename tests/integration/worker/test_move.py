"""The `move` command: a job copies a model to another store, verifies it, and then removes the old files."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.app import App, app_of
from support.models import folder_model, gguf, mlx_folder, one_file_model
from support.origin import Origin

from flowhub_jobs.errors import Busy
from flowhub_jobs.operations.library_jobs import LibraryJobs
from flowhub_jobs.operations.placement import place_model, placements
from flowhub_jobs.placement.entries import PlacementState
from flowhub_jobs.store.layout import PARTIAL
from flowhub_jobs.values.enums import Condition, EventKind, State
from flowhub_jobs.worker import move_job

A = gguf(5000, 1)
FOLDER = mlx_folder()
NAME = "c-mlx-4bit"
TMPFS = Path("/dev/shm")


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a second store, on another file system if there is one."""
    folder = Path(tempfile.mkdtemp(dir=TMPFS if TMPFS.is_dir() else tmp_path))
    yield folder / "cold"
    shutil.rmtree(folder)


@pytest.fixture
def app(home: Path, cold: Path, origin: Origin) -> Iterator[App]:
    files = {path: (origin.serve(f"/c/{path}", data), data) for path, data in FOLDER.items()}
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(f'look_again_s = 0.2\n[stores]\ncold = "{cold}"\n')
    with app_of(home, one_file_model("a", origin.serve("/a.gguf", A), A), folder_model("c", files)) as app:
        for ref in ("a", "c"):
            app.enqueue(ref)
            app.run_next_job()
        yield app


def queue_move(app: App, ref: str, store: str = "cold") -> int:
    jobs = LibraryJobs(app.session)
    [job] = jobs.move(jobs.installed([ref]), store)
    return job


def move(app: App, ref: str, store: str = "cold") -> int:
    job = queue_move(app, ref, store)
    app.run_next_job()
    return job


def copies_of(app: App, name: str) -> list[tuple[str, Condition]]:
    return [(model.store, model.condition) for model in app.session.installed.models() if model.name == name]


def test_a_file_and_a_folder_move_there_and_back(app, cold):
    before = app.home.entries.entry("a.gguf")
    for ref, name in (("a", "a.gguf"), ("c", NAME)):
        job = app.job(move(app, ref))
        assert (job.state, job.store, job.target) == (State.COMPLETED, "cold", str(cold / name))
        assert copies_of(app, name) == [("cold", Condition.GOOD)]
        assert not os.path.lexists(app.store / name)
    assert (cold / "a.gguf").read_bytes() == A
    assert {path: (cold / NAME / path).read_bytes() for path in FOLDER} == FOLDER
    assert app.enqueue("a") == before.job, "it is installed, and its job is the same"
    move(app, "a", "default")
    assert (app.store / "a.gguf").read_bytes() == A
    after = app.home.entries.entry("a.gguf")
    assert (after.installed_at, after.job) == (before.installed_at, before.job), "a move makes no newer version"
    assert not os.listdir(cold / PARTIAL)
    assert not os.listdir(app.store / PARTIAL)


def test_a_damaged_model_is_not_moved_and_stays(app, cold):
    path = app.store / "a.gguf"
    times = path.stat()
    path.write_bytes(A[:-1] + b"\x00" if A[-1] else A[:-1] + b"\x01")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    job = app.job(move(app, "a"))
    assert (job.state, job.error["code"]) == (State.FAILED, "digest_mismatch")
    assert path.exists()
    assert not (cold / "a.gguf").exists()


def test_the_old_files_stay_until_the_new_ones_are_recorded(app, cold, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("before the new row")

    monkeypatch.setattr(move_job, "record_in_new_store", fail)
    assert app.job(move(app, "a")).state is State.FAILED
    assert (app.store / "a.gguf").read_bytes() == A
    assert copies_of(app, "a.gguf")[0] == ("default", Condition.GOOD)


def test_files_that_were_changed_since_they_were_copied_stay(app, cold, monkeypatch):
    record_in_new_store = move_job.record_in_new_store

    def record_then_change(*arguments: object) -> None:
        record_in_new_store(*arguments)
        (app.store / "a.gguf").write_bytes(b"the user's own")

    monkeypatch.setattr(move_job, "record_in_new_store", record_then_change)
    assert app.job(move(app, "a")).state is State.COMPLETED
    assert (app.store / "a.gguf").read_bytes() == b"the user's own"
    assert sorted(copies_of(app, "a.gguf")) == [("cold", Condition.GOOD), ("default", Condition.CHANGED)]


def test_a_file_of_the_user_in_the_other_store_is_never_replaced(app, cold):
    cold.mkdir()
    (cold / "a.gguf").write_bytes(b"the user's own")
    job = app.job(move(app, "a"))
    assert (job.state, job.error["code"]) == (State.FAILED, "name_taken")
    assert (cold / "a.gguf").read_bytes() == b"the user's own"
    assert (app.store / "a.gguf").read_bytes() == A


def test_a_move_to_a_store_that_is_offline_waits(app, cold):
    app.home.in_store("cold").open_store()
    away = cold.with_name("away")
    cold.rename(away)
    cold.mkdir()
    job = move(app, "a")
    assert (app.job(job).state, app.events(job)[-1].code) == (State.QUEUED, "store_offline")
    cold.rmdir()
    away.rename(cold)
    app.start_worker()
    app.until(lambda: app.job(job).state is State.COMPLETED, "the move")
    assert copies_of(app, "a.gguf") == [("cold", Condition.GOOD)]


def test_placements_lead_to_the_new_files_after_a_move(app, cold, tmp_path):
    apps = tmp_path / "apps"
    place_model(app.session, "a.gguf", f"dir:{apps}")
    job = move(app, "a")
    assert (apps / "a.gguf").read_bytes() == A
    assert [placement.state for placement in placements(app.session)] == [PlacementState.OK]
    assert EventKind.PLACED in {event.kind for event in app.events(job)}


def test_a_model_that_another_job_works_on_is_not_moved(app, cold):
    app.enqueue("a", force=True)
    with pytest.raises(Busy):
        queue_move(app, "a")


def test_a_move_needs_room_on_the_other_disk_alone(app, cold):
    queue_move(app, "a")
    assert app.home.in_store("cold").bytes_promised() == len(A)
    if cold.parent.stat().st_dev != app.path.stat().st_dev:
        assert app.home.bytes_promised() == 0
