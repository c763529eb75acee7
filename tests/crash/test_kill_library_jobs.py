"""SIGKILL at each step of verify, repair, export, import, prune and catalog import: the next run finishes it."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.app import App, app_of
from support.disk_files import files_in, flip_byte
from support.fork_server import ForkServer
from support.install_steps import INSTALL, INSTALLATION, LEASES
from support.models import folder_model, gguf, mlx_folder, one_file_model
from support.origin import Origin

from flowhub_jobs.values.enums import JobKind, State

A = gguf((2 << 20) + 5, 1)
FOLDER = mlx_folder(seed=7, size=300_000)
NAME = "c-mlx-4bit"
CHECKING, EXPORTING, IMPORTING, FETCHING = (
    f"flowhub_jobs.worker.{module}" for module in ("verify_job", "export_job", "import_job", "fetch_step")
)
COPIER, WHOLE = "flowhub_jobs.worker.copier", "flowhub_jobs.fs.atomic_write"
ERRANDS, SEED = "flowhub_jobs.operations.library_jobs", "flowhub_jobs.transfer.partial.seed_for_repair"
LEDGER, CLEANUP = "flowhub_jobs.jobs.commands:JobCommands", "flowhub_jobs.operations.library.cleanup"
IMPORTED_CATALOGS = "flowhub_jobs.catalogs.imported_catalogs"

VERIFY_STEPS = [
    f"{CHECKING}:check_files:before",
    f"{CHECKING}:check_files:after",
    f"{CHECKING}:_record_good:before",
    f"{LEASES}.complete:after",
]
REPAIR_STEPS = [
    f"{SEED}:_copy:before",
    f"{SEED}:_copy:after",
    f"{SEED}:seed_partial:after",
    f"{LEDGER}.enqueue:before",
    f"{LEDGER}.enqueue:after",
    f"{FETCHING}:fetch:before",
    f"{FETCHING}:fetch:after",
    f"{INSTALL}:rename_into_place:before",
    f"{INSTALL}:rename_into_place:after",
    f"{LEASES}.complete:after",
]
EXPORT_STEPS = [
    f"{COPIER}:_write_all:before:2",
    f"{COPIER}:sync_data:after",
    f"{EXPORTING}:rename_new:before",
    f"{EXPORTING}:rename_new:after",
    f"{EXPORTING}:write_manifest:before",
    f"{WHOLE}:sync_path:before",
    f"{WHOLE}:sync_path:before:2",
    f"{EXPORTING}:write_manifest:after",
    f"{LEASES}.complete:before",
    f"{LEASES}.complete:after",
]
AGAIN_STEPS = [
    *EXPORT_STEPS,
    f"{EXPORTING}:_remove:before:2",
    f"{EXPORTING}:_remove:amid:2",
    f"{EXPORTING}:_remove:after:2",
]
IMPORT_STEPS = [
    f"{COPIER}:_write_all:before:2",
    f"{COPIER}:sync_data:after",
    *INSTALLATION,
]
PRUNE_STEPS = [
    f"{CLEANUP}:move_to_trash:before",
    f"{CLEANUP}:delete_trash:before",
    f"{CLEANUP}:delete_trash:amid",
]
CATALOG_STEPS = [f"{IMPORTED_CATALOGS}:write_whole:{when}" for when in ("before", "after", "before:2", "after:2")]


@pytest.fixture
def app(home: Path, origin: Origin, fork_server: ForkServer) -> Iterator[App]:
    """A home with a folder and a file of two pieces installed."""
    files = {path: (origin.serve(f"/c/{path}", data), data) for path, data in FOLDER.items()}
    with app_of(home, one_file_model("a", origin.serve("/a.gguf", A), A), folder_model("c", files)) as app:
        app.enqueue("a")
        app.enqueue("c")
        assert fork_server.drain(app) == 0
        yield app


@pytest.mark.parametrize("step", VERIFY_STEPS)
def test_a_verify_that_was_killed_is_ended_by_the_next_worker(app: App, fork_server: ForkServer, step: str) -> None:
    assert fork_server.run(app, "verify", "c", failpoints=f"kill={step}").status == -signal.SIGKILL
    assert fork_server.drain(app) == 0
    assert _states(app, JobKind.VERIFY) == [State.COMPLETED]
    assert files_in(app.store / NAME) == FOLDER


@pytest.mark.parametrize("step", REPAIR_STEPS)
def test_a_repair_that_was_killed_is_ended_by_the_next_call(
    app: App, fork_server: ForkServer, origin: Origin, step: str
) -> None:
    path = app.store / "a.gguf"
    flip_byte(path, 100)
    sent = origin.sent("/a.gguf")
    assert fork_server.run(app, "verify", "a", "--repair", failpoints=f"kill={step}").status == -signal.SIGKILL
    result = fork_server.run(app, "verify", "a", "--repair")
    assert result.status == 0, result.output
    assert path.read_bytes() == A
    assert origin.sent("/a.gguf") - sent <= 2 << 20  # the piece of one MiB, and again the bytes that a kill lost
    fork_server.run(app, "prune", "--partials", "-y")


@pytest.mark.parametrize("step", EXPORT_STEPS)
def test_an_export_that_was_killed_is_ended_by_the_next_worker(
    app: App, fork_server: ForkServer, drive: Path, step: str
) -> None:
    assert fork_server.run(app, "export", "c", "--to", drive, failpoints=f"kill={step}").status == -signal.SIGKILL
    assert fork_server.drain(app) == 0
    assert _states(app, JobKind.EXPORT) == [State.COMPLETED]
    _check_export(drive)


@pytest.mark.parametrize("step", AGAIN_STEPS)
def test_an_export_over_a_damaged_one_that_was_killed_is_ended_by_the_next_call(
    app: App, fork_server: ForkServer, drive: Path, step: str
) -> None:
    assert fork_server.run(app, "export", "c", "--to", drive).status == 0
    for path in FOLDER:
        flip_byte(drive / NAME / path, 3)
    assert fork_server.run(app, "export", "c", "--to", drive, failpoints=f"kill={step}").status == -signal.SIGKILL
    result = fork_server.run(app, "export", "c", "--to", drive)
    assert result.status == 0, result.output
    _check_export(drive)


@pytest.mark.parametrize("step", IMPORT_STEPS)
def test_an_import_that_was_killed_is_ended_by_the_next_worker(
    app: App,
    fork_server: ForkServer,
    drive: Path,
    tmp_path: Path,
    origin: Origin,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    assert fork_server.run(app, "export", "c", "--to", drive).status == 0
    for path in FOLDER:
        origin.remove(f"/c/{path}")
    monkeypatch.setenv("FLOWHUB_HOME", str(tmp_path / "elsewhere"))
    with app_of(tmp_path / "elsewhere") as there:
        assert fork_server.run(there, "import", drive, failpoints=f"kill={step}").status == -signal.SIGKILL
        assert fork_server.drain(there) == 0
        assert _states(there, JobKind.IMPORT) == [State.COMPLETED]
        assert files_in(there.store / NAME) == FOLDER
        assert there.leftover_partials() == []
    _check_export(drive)


@pytest.mark.parametrize("step", PRUNE_STEPS)
def test_a_prune_that_was_killed_is_ended_by_the_next(app: App, fork_server: ForkServer, step: str) -> None:
    partial = app.store / ".partial" / f"x.gguf.0123456789abcdef.{app.home.node}" / "deep"
    partial.mkdir(parents=True)
    for name in ("one", "two"):
        (partial / name).write_bytes(b"of no use")
    assert fork_server.run(app, "prune", "--partials", "-y", failpoints=f"kill={step}").status == -signal.SIGKILL
    result = fork_server.run(app, "prune", "--partials", "-y")
    assert result.status == 0, result.output
    assert app.leftover_partials() == []
    assert files_in(app.store / NAME) == FOLDER


@pytest.mark.parametrize("step", CATALOG_STEPS)
def test_a_catalog_whose_import_was_killed_is_there_once_after_the_next(
    app: App, fork_server: ForkServer, tmp_path: Path, step: str
) -> None:
    model = one_file_model("z", "https://h.example/z.gguf", A)
    source = tmp_path / "more.json"
    source.write_text(json.dumps({"apiVersion": "v1", "models": [model]}))
    assert fork_server.run(app, "catalog", "import", source, failpoints=f"kill={step}").status == -signal.SIGKILL
    assert fork_server.run(app, "search", "a").status == 0
    result = fork_server.run(app, "catalog", "import", source)
    assert result.status == 0, result.output
    listed = json.loads(fork_server.run(app, "catalog", "list", "--json").output)
    assert len(listed["catalogs"]) == 2
    assert fork_server.run(app, "show", "z").status == 0


def _states(app: App, kind: JobKind) -> list[State]:
    return [job.state for job in app.home.queries.all() if job.kind is kind]


def _check_export(drive: Path) -> None:
    """Check that the folder has the whole model, its digests in the manifest, and no temporary file."""
    assert files_in(drive / NAME) == FOLDER
    manifest = json.loads((drive / "flowhub-manifest.json").read_bytes())
    assert [model["name"] for model in manifest["models"]] == [NAME]
    assert sorted(path.name for path in drive.iterdir()) == [".flowhub-partial", NAME, "flowhub-manifest.json"]
    assert [path.name for path in (drive / ".flowhub-partial").iterdir()] == ["lock"]
