"""SIGKILL at each step of a placement and of its removal: the next call finishes or undoes it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.app import App, app_of
from support.disk_files import files_in
from support.fork_server import ForkServer
from support.hub import Hub, commit_of
from support.models import mlx_folder

from flowhub_jobs.values.enums import State

FILES = mlx_folder(seed=9, size=200_000)
REPO = "owner/small-mlx"
NAME = "small-mlx"
MAKE, STAGING, REMOVE = (f"flowhub_jobs.placement.{name}" for name in ("carry_out_plan", "staging", "remove"))
ROWS = "flowhub_jobs.placement.row_writes:PlacementRows"

PLACE_STEPS = [
    f"{ROWS}.insert:after",
    f"{MAKE}:_make_root:after",
    f"{MAKE}:missing_folders:after",
    f"{MAKE}:sync_path:after",
    f"{STAGING}:make_one:before",
    f"{STAGING}:make_one:after",
    f"{STAGING}:make_one:after:4",
    f"{MAKE}:_link_kind:after",
    f"{STAGING}:put_in_place:before",
    f"{STAGING}:rename_new:before",
    f"{STAGING}:rename_new:after",
    f"{STAGING}:rename_new:after:4",
    f"{MAKE}:complete_row:before",
    f"{MAKE}:complete_row:after",
]
JOB_STEPS = [
    "flowhub_jobs.worker.pipeline:_place:before",
    *(step for step in PLACE_STEPS if not step.startswith(ROWS)),
]
REMOVE_STEPS = [
    f"{REMOVE}:remove_files:before",
    f"{STAGING}:remove_own:after",
    f"{STAGING}:remove_own:after:3",
    f"{STAGING}:remove_folders:before",
    f"{STAGING}:remove_folders:after",
    f"{ROWS}.remove:before",
    f"{ROWS}.remove:after",
]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    return tmp_path / "hub-cache"


@pytest.fixture
def app(home: Path, hub: Hub, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    """A home in which a repository of the Hub can be queued; the program has another file in its cache."""
    for path, content in FILES.items():
        hub.add(REPO, path, content, lfs=path.endswith(".safetensors"))
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    program_file = cache / "models--owner--small-mlx" / "blobs" / ("0" * 64)
    program_file.parent.mkdir(parents=True)
    program_file.write_bytes(b"theirs")
    with app_of(home) as app:
        yield app
    assert program_file.read_bytes() == b"theirs"


def snapshot(cache: Path) -> Path:
    return cache / "models--owner--small-mlx" / "snapshots" / commit_of(REPO, "main")


def assert_whole(app: App, cache: Path) -> None:
    assert files_in(snapshot(cache)) == FILES
    assert (cache / "models--owner--small-mlx" / "refs" / "main").read_text() == commit_of(REPO, "main")
    assert_nothing_temporary(cache)
    [row] = app.home.placement_rows.all()
    assert (row.state, app.home.placements.state(row)) == ("placed", "ok")


def assert_gone(app: App, cache: Path) -> None:
    """Check that flowhub left no file, folder or row."""
    remaining = [str(path.relative_to(cache)) for path in cache.rglob("*")]
    assert sorted(remaining) == [f"models--owner--small-mlx{end}" for end in ("", "/blobs", f"/blobs/{'0' * 64}")]
    assert app.home.placement_rows.all() == []


def assert_nothing_temporary(cache: Path) -> None:
    assert list(cache.rglob(".flowhub-*")) == []


def installed(app: App, fork_server: ForkServer) -> None:
    app.enqueue(f"hf:{REPO}")
    assert fork_server.drain(app) == 0


@pytest.mark.parametrize(
    ("step", "disk"),
    [(step, "") for step in PLACE_STEPS]
    + [(step, disk) for step in PLACE_STEPS if "rename_new" in step for disk in ("no_rename_flags", "no_hard_links")],
)
def test_a_placement_that_was_killed_is_finished_or_undone_by_the_next_worker(
    app: App, fork_server: ForkServer, cache: Path, step: str, disk: str
) -> None:
    installed(app, fork_server)
    killed = fork_server.run(app, "place", NAME, "--in", "hf-cache", failpoints=f"kill={step} {disk}")
    assert killed.status == -signal.SIGKILL
    assert fork_server.drain(app, failpoints=f"fast_maintenance {disk}") == 0
    rows = app.home.placement_rows.all()
    assert_whole(app, cache) if rows else assert_gone(app, cache)
    assert fork_server.run(app, "place", NAME, "--in", "hf-cache", failpoints=disk).status == 0
    assert_whole(app, cache)
    assert fork_server.run(app, "unplace", NAME).status == 0
    assert_gone(app, cache)
    assert files_in(app.store / NAME) == FILES


@pytest.mark.parametrize("step", JOB_STEPS)
def test_a_placement_that_a_job_requests_is_made_by_the_next_worker(
    app: App, fork_server: ForkServer, cache: Path, step: str
) -> None:
    job = app.enqueue(f"hf:{REPO}", place=("hf-cache",))
    assert fork_server.drain(app, failpoints=f"fast_maintenance kill={step}") == -signal.SIGKILL
    assert fork_server.drain(app) == 0
    assert app.job(job).state is State.COMPLETED
    assert_whole(app, cache)


@pytest.mark.parametrize("step", REMOVE_STEPS)
def test_a_removal_that_was_killed_is_finished_by_the_next_worker(
    app: App, fork_server: ForkServer, cache: Path, step: str
) -> None:
    installed(app, fork_server)
    assert fork_server.run(app, "place", NAME, "--in", "hf-cache").status == 0
    assert_whole(app, cache)
    assert fork_server.run(app, "unplace", NAME, failpoints=f"kill={step}").status == -signal.SIGKILL
    assert fork_server.drain(app) == 0
    assert_gone(app, cache)
    assert files_in(app.store / NAME) == FILES


@pytest.mark.parametrize(
    "step", [f"{MAKE}:_link_kind:after", f"{STAGING}:rename_new:before", f"{STAGING}:rename_new:after:2"]
)
def test_a_file_that_appeared_since_a_kill_stays_and_the_placement_is_undone(
    app: App, fork_server: ForkServer, cache: Path, step: str
) -> None:
    installed(app, fork_server)
    assert fork_server.run(app, "place", NAME, "--in", "hf-cache", failpoints=f"kill={step}").status == -signal.SIGKILL
    program_file = snapshot(cache) / "config.json"
    program_file.parent.mkdir(parents=True, exist_ok=True)
    program_file.write_bytes(b"{}")
    assert fork_server.drain(app) == 0
    assert program_file.read_bytes() == b"{}"
    assert app.home.placement_rows.all() == []
    program_file.unlink()
    for folder in (program_file.parent, program_file.parent.parent):
        if folder.exists() and not os.listdir(folder):
            folder.rmdir()
    assert_gone(app, cache)


MOVE_STEPS = [
    "flowhub_jobs.placement.recovery:remove_files:before",
    f"{STAGING}:remove_own:after",
    "flowhub_jobs.placement.recovery:remove_files:after",
    "flowhub_jobs.placement.recovery:make_placement:before",
    f"{STAGING}:make_one:after:2",
    f"{STAGING}:rename_new:after:2",
    f"{MAKE}:complete_row:before",
]


@pytest.mark.parametrize("step", MOVE_STEPS)
def test_a_placement_that_was_killed_on_its_way_to_a_newer_version_is_finished(
    app: App, fork_server: ForkServer, hub: Hub, cache: Path, step: str
) -> None:
    installed(app, fork_server)
    assert fork_server.run(app, "place", NAME, "--in", "hf-cache").status == 0
    newer = FILES | {"config.json": FILES["config.json"] + b"\n"}
    for path, content in newer.items():
        hub.add(REPO, path, content, revision="c" * 40, lfs=path.endswith(".safetensors"))
    hub.repositories.points[REPO, "main"] = "c" * 40
    assert fork_server.run(app, "update", NAME).status == 0
    assert fork_server.drain(app, failpoints=f"fast_maintenance kill={step}") == -signal.SIGKILL
    assert fork_server.drain(app) == 0
    top = cache / "models--owner--small-mlx"
    assert [path.name for path in (top / "snapshots").iterdir()] == ["c" * 40]
    assert files_in(top / "snapshots" / ("c" * 40)) == newer
    assert (top / "refs" / "main").read_text() == "c" * 40
    assert len(list((top / "blobs").iterdir())) == len(newer) + 1  # and the program's own file
    assert_nothing_temporary(cache)
    [row] = app.home.placement_rows.all()
    assert (row.state, app.home.placements.state(row)) == ("placed", "ok")
