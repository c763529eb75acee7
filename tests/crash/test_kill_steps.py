"""SIGKILL before and after every step between a job's last byte and its last row: the next worker finishes the step."""

import signal
from pathlib import Path
from typing import Any

import pytest
from support.app import app_of
from support.faults import FlipByte
from support.fork_server import ForkServer
from support.install_cases import KINDS, RENAMES, InstallCase
from support.install_steps import INSTALL, LEASES, LIBRARY, PIPELINE
from support.origin import Origin

LAST_COMMIT_ONLY = "journal_period=3600"  # the journal's only commit is the last one
JOURNAL = "flowhub_jobs.transfer.partial.journal:Journal.commit"

# The steps of a job after its last byte, in order, each by a call.
BEFORE_COMMIT = [
    "flowhub_jobs.transfer.hasher:Hasher._finish:before",
    "flowhub_jobs.transfer.partial.part_file:PartFile.sync:before",
    f"{JOURNAL}:before",
]
STEPS = [
    f"{JOURNAL}:after",
    "flowhub_jobs.transfer.fetch:sync_tree:before",
    "flowhub_jobs.transfer.fetch:sync_tree:after",
    "flowhub_jobs.worker.progress:ProgressWriter.stage:before",
    "flowhub_jobs.worker.progress:ProgressWriter.stage:after",
    f"{INSTALL}:choose_name:before",
    f"{INSTALL}:choose_name:after",
    f"{INSTALL}:stage:before",
    f"{INSTALL}:stage:after",
    f"{LEASES}.record_intent:before",
    f"{LEASES}.record_intent:after",
    f"{INSTALL}:rename_into_place:before",
    "RENAME:before",
    "RENAME:after",
    f"{INSTALL}:rename_into_place:after",
    f"{PIPELINE}:remove_partial:before",
    f"{PIPELINE}:remove_partial:amid",
    f"{PIPELINE}:remove_partial:after",
    f"{LIBRARY}.record_installed:before",
    f"{LIBRARY}.record_installed:after",
    f"{LEASES}.complete:before",
    f"{LEASES}.complete:after",  # written, not committed
    f"{PIPELINE}:_complete:after",
]


# The steps that differ by kind; for the others two kinds are enough.
NAMING = STEPS[STEPS.index(f"{INSTALL}:stage:before") : STEPS.index(f"{PIPELINE}:remove_partial:before")]
TWO_KINDS = ("new-file", "newer-folder")
CASES = [(step, kind) for step in STEPS for kind in (KINDS if step in NAMING else TWO_KINDS)]


def _name(value: Any) -> str:
    *_, name, when = ("", "", *value.split(":"))[-3:]
    return f"{when}-{name}" if name else when


@pytest.mark.parametrize(("step", "kind"), CASES, ids=_name)
def test_a_kill_at_any_step_after_the_last_byte_is_finished_by_the_next_worker(
    home: Path, origin: Origin, fork_server: ForkServer, kind: str, step: str
) -> None:
    """There is exactly one installed copy, and no byte is fetched twice."""
    case = InstallCase(origin, kind)
    with app_of(home) as app:
        job = case.prepare(app)
        failpoints = f"{LAST_COMMIT_ONLY} kill={step.replace('RENAME', RENAMES[kind])}"
        assert fork_server.drain(app, failpoints=failpoints) == -signal.SIGKILL
        assert fork_server.drain(app) == 0
        case.check(app, job)
        assert case.sent() == case.total


@pytest.mark.parametrize("kind", TWO_KINDS)
@pytest.mark.parametrize("step", BEFORE_COMMIT, ids=_name)
def test_a_kill_before_the_journal_has_the_last_bytes_costs_those_and_no_more(
    home: Path, origin: Origin, fork_server: ForkServer, kind: str, step: str
) -> None:
    case = InstallCase(origin, kind)
    with app_of(home) as app:
        job = case.prepare(app)
        assert fork_server.drain(app, failpoints=f"{LAST_COMMIT_ONLY} kill={step}") == -signal.SIGKILL
        assert fork_server.drain(app) == 0
        case.check(app, job)
        assert case.sent() <= 2 * case.total


@pytest.mark.parametrize("kind", ["newer-file", "new-folder"])
@pytest.mark.parametrize(
    "step", ["RENAME:after", f"{PIPELINE}:remove_partial:amid", f"{LEASES}.complete:before"], ids=_name
)
def test_a_file_that_a_dead_worker_installed_is_recognized_without_a_published_digest(
    home: Path, origin: Origin, fork_server: ForkServer, kind: str, step: str
) -> None:
    """Only the intent identifies it: flowhub never replaces another program's file, nor installs it as a model."""
    case = InstallCase(origin, kind, pin=False)
    with app_of(home) as app:
        job = case.prepare(app)
        assert (
            fork_server.drain(app, failpoints=f"{LAST_COMMIT_ONLY} kill={step.replace('RENAME', RENAMES[kind])}")
            == -signal.SIGKILL
        )
        assert fork_server.drain(app) == 0
        case.check(app, job)
        assert case.sent() == case.total


@pytest.mark.parametrize("kind", ["new-file", "new-folder"])
def test_a_cancel_of_what_a_dead_worker_has_named_takes_nothing_from_a_retry(
    home: Path, origin: Origin, fork_server: ForkServer, kind: str
) -> None:
    case = InstallCase(origin, kind, pin=False)
    with app_of(home) as app:
        job = case.prepare(app)
        assert fork_server.drain(app, failpoints=f"{LAST_COMMIT_ONLY} kill={LEASES}.complete:before") == -signal.SIGKILL
        app.home.take_back_orphans()
        app.session.cancel(job)
        app.session.requeue(job, "retry")
        assert fork_server.drain(app) == 0
        assert (app.job(job).state, case.installed_files(app)) == ("completed", dict(case.contents))
        assert case.sent() == case.total


@pytest.mark.parametrize("kind", ["new-file", "new-folder"])
def test_a_purge_of_what_a_dead_worker_has_named_leaves_nothing(
    home: Path, origin: Origin, fork_server: ForkServer, kind: str
) -> None:
    case = InstallCase(origin, kind)
    with app_of(home) as app:
        job = case.prepare(app)
        assert fork_server.drain(app, failpoints=f"{LAST_COMMIT_ONLY} kill={LEASES}.complete:before") == -signal.SIGKILL
        app.home.take_back_orphans()
        assert app.store.joinpath(case.name).exists()
        app.session.cancel(job, purge=True)
        assert (app.home.store.models(), app.leftover_partials()) == ([], [])


@pytest.mark.parametrize("kind", ["newer-file", "newer-folder"])
def test_a_purge_leaves_what_the_library_knows(home: Path, origin: Origin, fork_server: ForkServer, kind: str) -> None:
    """The row of the older version still has the name, so that the file may be in use."""
    case = InstallCase(origin, kind)
    with app_of(home) as app:
        job = case.prepare(app)
        assert fork_server.drain(app, failpoints=f"{LAST_COMMIT_ONLY} kill={LEASES}.complete:before") == -signal.SIGKILL
        app.home.take_back_orphans()
        app.session.cancel(job, purge=True)
        assert case.installed_files(app) == dict(case.contents)


@pytest.mark.parametrize("move", [1, 2])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["new-folder", "newer-folder"])
def test_a_kill_while_files_that_were_started_over_are_put_among_the_others_loses_none(
    home: Path, origin: Origin, fork_server: ForkServer, kind: str, when: str, move: int
) -> None:
    """Two files that came wrong at first have a separate folder until the folder is staged."""
    case = InstallCase(origin, kind)
    corrupted = ("model.safetensors", "tokenizer.json")
    with app_of(home) as app:
        job = case.prepare(app)
        for path in corrupted:
            origin.break_with(FlipByte(at=len(case.contents[path]) - 3).once(), path=case.path(path))
        # The first Path.replace is that of the journal, which is written under another name.
        failpoints = f"{LAST_COMMIT_ONLY} kill=pathlib:Path.replace:{when}:{1 + move}"
        assert fork_server.drain(app, failpoints=failpoints) == -signal.SIGKILL
        sent = case.sent()
        assert sent == case.total + sum(len(case.contents[path]) for path in corrupted)
        assert fork_server.drain(app) == 0
        case.check(app, job)
        assert case.sent() == sent


DISKS_WITHOUT_RENAME_FLAGS = [
    # A rename without replacing takes several steps on these disks (system.py).
    ("new-file", "no_rename_flags", "flowhub_jobs.system:os.link:before"),
    ("new-file", "no_rename_flags", "flowhub_jobs.system:os.link:after"),
    ("new-file", "no_hard_links", "pathlib:Path.replace:before:2"),
    ("new-file", "no_hard_links", "pathlib:Path.replace:after:2"),
    ("newer-file", "no_hard_links", "pathlib:Path.replace:before:2"),
    ("newer-file", "no_hard_links", "pathlib:Path.replace:after:2"),
    ("new-folder", "no_rename_flags", "pathlib:Path.rename:before"),
    ("new-folder", "no_rename_flags", "pathlib:Path.rename:after"),
    *(
        ("newer-folder", "no_rename_flags", f"pathlib:Path.rename:{when}:{n}")
        for when in ("before", "after")
        for n in (1, 2, 3)
    ),
]


@pytest.mark.parametrize(("kind", "disk", "step"), DISKS_WITHOUT_RENAME_FLAGS)
def test_a_kill_between_the_steps_of_a_rename_on_a_poor_disk_is_finished_by_the_next_worker(
    home: Path, origin: Origin, fork_server: ForkServer, kind: str, disk: str, step: str
) -> None:
    """The placeholder with which a dead worker reserved the name belongs to flowhub, and is replaced."""
    case = InstallCase(origin, kind)
    with app_of(home) as app:
        job = case.prepare(app)
        assert fork_server.drain(app, failpoints=f"{LAST_COMMIT_ONLY} {disk} kill={step}") == -signal.SIGKILL
        assert fork_server.drain(app, failpoints=f"fast_maintenance {disk}") == 0
        case.check(app, job)
        assert case.sent() == case.total
