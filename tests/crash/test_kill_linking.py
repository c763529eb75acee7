"""SIGKILL at each step of linking another program's files: the next run finishes it, and the files are unharmed."""

import json
import signal
from pathlib import Path

import pytest
from support.app import App, app_of
from support.disk_files import files_in
from support.fork_server import ForkServer
from support.install_cases import library_rows
from support.install_steps import INSTALL, INSTALLATION, LEASES, LIBRARY
from support.models import folder_model, gguf, mlx_folder, one_file_model
from support.origin import Origin
from support.other_apps import hugging_face, lm_studio

from flowhub_jobs.values.enums import State

A = gguf((1 << 20) + 5, 1)
MLX = mlx_folder(seed=7, size=300_000)
REUSE, ADOPTING = "flowhub_jobs.worker.local_reuse", "flowhub_jobs.operations.library.adopt"

JOB_STEPS = [
    f"{REUSE}:link:before",
    f"{REUSE}:link:after",
    f"{LEASES}.record_event:before",
    *INSTALLATION,
]
MIXED_STEPS = [*JOB_STEPS, f"{REUSE}:link:after:2", f"{REUSE}:_link_fetched:before", f"{REUSE}:_link_fetched:after"]
ADOPT_STEPS = [
    f"{ADOPTING}:link:before",
    f"{ADOPTING}:link:after",
    f"{ADOPTING}:rename_into_place:before",
    f"{INSTALL}:rename_new:before",
    f"{INSTALL}:rename_new:after",
    f"{LIBRARY}.record_installed:before",
    f"{LIBRARY}.record_installed:after",
    f"{ADOPTING}:_check_unchanged:after",
]


@pytest.mark.parametrize("step", JOB_STEPS)
def test_a_job_that_was_killed_while_it_linked_is_finished_by_the_next_worker(
    home: Path, user_home: Path, origin: Origin, fork_server: ForkServer, step: str
) -> None:
    other_copy = lm_studio(user_home, "pub/repo/x.gguf", A)
    with app_of(home, one_file_model("a", origin.serve("/a.gguf", A), A)) as app:
        job = app.enqueue("a")
        assert fork_server.drain(app, failpoints=f"fast_maintenance kill={step}") == -signal.SIGKILL
        assert fork_server.drain(app) == 0
        assert origin.sent("/a.gguf") == 0
        _check(app, job, {"a.gguf": A})
        assert other_copy.read_bytes() == A
        [row], _files = library_rows(app)
        assert row["linked_from"] == str(other_copy)


@pytest.mark.parametrize("step", MIXED_STEPS)
def test_a_folder_of_which_a_part_was_linked_is_finished_and_no_byte_fetched_twice(
    home: Path, user_home: Path, origin: Origin, fork_server: ForkServer, step: str
) -> None:
    available = {path: MLX[path] for path in ("config.json", "model.safetensors")}
    other_copy = hugging_face(user_home, "own/c", available, lfs=("",))
    before = files_in(other_copy / "blobs")
    files = {path: (origin.serve(f"/c/{path}", data), data) for path, data in MLX.items()}
    with app_of(home, folder_model("c", files)) as app:
        job = app.enqueue("c")
        assert fork_server.drain(app, failpoints=f"fast_maintenance kill={step}") == -signal.SIGKILL
        assert fork_server.drain(app) == 0
        assert {path: origin.sent(f"/c/{path}") for path in MLX} == dict.fromkeys(available, 0) | {
            "tokenizer.json": len(MLX["tokenizer.json"])
        }
        _check(app, job, {f"c-mlx-4bit/{path}": data for path, data in MLX.items()})
        assert files_in(other_copy / "blobs") == before


@pytest.mark.parametrize("step", [step for step in MIXED_STEPS if step.startswith((REUSE, f"{INSTALL}:stage"))])
def test_their_files_are_unharmed_when_they_take_them_away_and_all_is_fetched(
    home: Path, user_home: Path, origin: Origin, fork_server: ForkServer, step: str
) -> None:
    """The next run must never resume into a hard link that a killed run left."""
    other_copy = hugging_face(
        user_home, "own/c", {path: MLX[path] for path in ("config.json", "model.safetensors")}, lfs=("",)
    )
    before = files_in(other_copy / "blobs")
    files = {path: (origin.serve(f"/c/{path}", data), data) for path, data in MLX.items()}
    with app_of(home, folder_model("c", files)) as app:
        job = app.enqueue("c")
        assert fork_server.drain(app, failpoints=f"fast_maintenance kill={step}") == -signal.SIGKILL
        other_copy.rename(user_home / "moved away")
        assert fork_server.drain(app) == 0
        _check(app, job, {f"c-mlx-4bit/{path}": data for path, data in MLX.items()})
        assert files_in(user_home / "moved away" / "blobs") == before


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
@pytest.mark.parametrize("step", ADOPT_STEPS)
def test_an_adopt_that_was_killed_is_finished_by_the_next_and_nothing_is_doubled(
    home: Path, user_home: Path, fork_server: ForkServer, step: str, folder: bool
) -> None:
    other_copy = hugging_face(user_home, "own/c", MLX) if folder else lm_studio(user_home, "pub/repo/x.gguf", A)
    files = {path: (f"https://h.example/{path}", data) for path, data in MLX.items()}
    with app_of(home, one_file_model("a", "https://h.example/a.gguf", A), folder_model("c", files)) as app:
        assert fork_server.run(app, "adopt", "-y", failpoints=f"kill={step}").status == -signal.SIGKILL
        completed = fork_server.run(app, "adopt", "-y")
        assert completed.status == 0, completed.output
        contents = {f"c-mlx-4bit/{path}": data for path, data in MLX.items()} if folder else {"a.gguf": A}
        assert models_of(app) == contents
        assert app.leftover_partials() == []  # the killed run left none either
        [row], rows = library_rows(app)
        assert (row["model"], len(rows)) == ("c" if folder else "a", len(contents))
        again = json.loads(fork_server.run(app, "adopt", "-y", "--json").output)
        assert {model["state"] for model in again["models"]} == {"already"}
        assert other_copy.exists()


def models_of(app: App) -> dict[str, bytes]:
    return {path: data for path, data in files_in(app.store).items() if not path.startswith(".")}


def _check(app: App, job: int, contents: dict[str, bytes]) -> None:
    completed = app.job(job)
    assert (completed.state, completed.error) == (State.COMPLETED, None)
    assert completed.bytes_done == completed.bytes_total == sum(map(len, contents.values()))
    assert models_of(app) == contents
    assert app.leftover_partials() == []
    assert len(library_rows(app)[0]) == 1
