"""SIGKILL at each step of a move to another store: the next worker finishes it, and no byte is ever without a copy."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.app import App, app_of
from support.disk_files import files_in
from support.fork_server import ForkServer
from support.install_steps import INSTALLATION, LEASES
from support.models import folder_model, gguf, mlx_folder, one_file_model
from support.origin import Origin

from flowhub_jobs.store.layout import PARTIAL
from flowhub_jobs.values.enums import Condition, State

A = gguf((2 << 20) + 5, 1)
FOLDER = mlx_folder(seed=7, size=300_000)
NAME = "c-mlx-4bit"
COPIER, MOVING = "flowhub_jobs.worker.copier", "flowhub_jobs.worker.move_job"
MEMORY = Path("/dev/shm")
STEPS = [
    f"{COPIER}:_write_all:before:2",
    f"{COPIER}:sync_data:after",
    *(step for step in INSTALLATION if not step.startswith(LEASES)),
    f"{MOVING}:record_in_new_store:before",
    f"{MOVING}:record_in_new_store:after",
    f"{MOVING}:remove_from_old_store:before",
    f"{MOVING}:remove_from_old_store:amid",
    f"{MOVING}:sync_path:before",
    f"{MOVING}:remove_from_old_store:after",
    f"{LEASES}.complete:before",
    f"{LEASES}.complete:after",
]

OF_A_FOLDER = [
    f"{COPIER}:sync_data:after",
    "flowhub_jobs.store.install:rename_new:after",
    f"{MOVING}:remove_from_old_store:before",
    f"{MOVING}:remove_from_old_store:amid",
    f"{LEASES}.complete:before",
]


@pytest.fixture
def cold(tmp_path: Path) -> Iterator[Path]:
    """The folder of a second store, on another file system if there is one."""
    other = MEMORY if MEMORY.is_dir() else tmp_path
    folder = Path(tempfile.mkdtemp(dir=other))
    yield folder / "cold"
    shutil.rmtree(folder)


@pytest.fixture
def app(home: Path, origin: Origin, fork_server: ForkServer, cold: Path, tmp_path: Path) -> Iterator[App]:
    """A home with a folder and a file, both placed in the folder of another program."""
    files = {path: (origin.serve(f"/c/{path}", data), data) for path, data in FOLDER.items()}
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(f'[stores]\ncold = "{cold}"\n')
    with app_of(home, one_file_model("a", origin.serve("/a.gguf", A), A), folder_model("c", files)) as app:
        app.enqueue("a", place=(f"dir:{tmp_path / 'apps'}",))
        app.enqueue("c", place=(f"dir:{tmp_path / 'apps'}",))
        assert fork_server.drain(app) == 0
        yield app


@pytest.mark.parametrize(("model", "step"), [*(("a", step) for step in STEPS), *(("c", step) for step in OF_A_FOLDER)])
def test_a_move_that_was_killed_is_finished_by_the_next_worker(
    app: App, fork_server: ForkServer, cold: Path, tmp_path: Path, model: str, step: str
) -> None:
    name = "a.gguf" if model == "a" else NAME
    killed = fork_server.run(app, "move", model, "--to", "cold", failpoints=f"kill={step}").status
    assert killed == -signal.SIGKILL
    assert any(_is_whole(store / name) for store in (app.store, cold)), "one store has all of it at any moment"
    assert fork_server.drain(app) == 0
    assert {job.state for job in app.home.queries.all()} == {State.COMPLETED}
    assert _is_whole(cold / name)
    assert not os.path.lexists(app.store / name)
    assert {one.name: one.store for one in app.session.installed.models()}[name] == "cold"
    assert {one.condition for one in app.session.installed.models()} == {Condition.GOOD}
    assert _is_whole(tmp_path / "apps" / name)
    fork_server.run(app, "prune", "--partials", "-y")
    assert not os.listdir(cold / PARTIAL)
    assert not os.listdir(app.store / PARTIAL)


def _is_whole(path: Path) -> bool:
    if path.name == NAME:
        return path.is_dir() and files_in(path) == FOLDER
    return path.is_file() and path.read_bytes() == A
