"""A worker that is suspended past its lease, at each stage of its job, while another one completes the job."""

import contextlib
import os
import signal
from pathlib import Path

import pytest
from support.app import app_of
from support.disk_files import skip_without_direct_io
from support.fake_clock import ClockFile
from support.faults import Hold
from support.fork_server import ForkServer
from support.install_cases import KINDS, RENAMES, InstallCase, library_rows
from support.models import gguf, gguf_pattern, one_file_model
from support.origin import Origin
from support.run_fetch import journaled_bytes

from flowhub_jobs.jobs.run_values import LEASE_S
from flowhub_jobs.values.enums import State

MOMENTS = {
    "before it looks for copies": "flowhub_jobs.worker.fetch_step:find_local_copies:before",
    "before the fetch": "flowhub_jobs.worker.fetch_step:fetch:before",
    "before the journal is opened": "flowhub_jobs.transfer.fetch:resume_partial:before",
    "before its partial is locked": "flowhub_jobs.transfer.partial.hold:lock_new:before",
    "with its partial locked": "flowhub_jobs.transfer.partial.hold:lock_new:after",
    "before its first file": "flowhub_jobs.transfer.partial.part_file:_create:before",
    "in download": "flowhub_jobs.transfer.receiver:Receiver._store:before",
    "in verify": "flowhub_jobs.transfer.hasher:Hasher._finish:before:LAST",
    "verified": "flowhub_jobs.transfer.fetch:_Transfer._finish:before",
    "before the journal's last commit": "flowhub_jobs.transfer.partial.journal:Journal.commit:before",
    "in install": "flowhub_jobs.worker.progress:ProgressWriter.stage:after",
    "after the choice of a name": "flowhub_jobs.store.install:choose_name:after",
    "staged": "flowhub_jobs.store.install:stage:after",
    "with the intent written": "flowhub_jobs.jobs.lease_store:LeaseStore.record_intent:after",
    "at the rename": "RENAME:before",
    "after the rename": "RENAME:after",
    "before the removal of the partial": "flowhub_jobs.worker.pipeline:remove_partial:before",
    "before the last row": "flowhub_jobs.worker.pipeline:_complete:before",
}
# Two kinds are enough where all take the same steps.
CASES = [
    (moment, kind) for moment in MOMENTS for kind in (KINDS if "rename" in moment else ("new-file", "newer-folder"))
]


@pytest.mark.parametrize(("moment", "kind"), CASES)
def test_a_late_writer_changes_nothing_that_has_a_name_and_continues_with_other_jobs(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, moment: str, kind: str
) -> None:
    case, clock = InstallCase(origin, kind), ClockFile(tmp_path / "clock")
    other = one_file_model("other", origin.serve("/other.gguf", gguf(seed=9)), gguf(seed=9))
    with app_of(home, clock=clock.clock) as app:
        job = case.prepare(app)
        step = MOMENTS[moment].replace("RENAME", RENAMES[kind]).replace("LAST", str(len(case.contents)))
        # One slot: this worker begins a second job only after the first.
        late_worker = fork_server.start_worker(
            app, "--jobs", "1", failpoints=f"fast_maintenance journal_period=3600 clock={clock.path} suspend={step}"
        )
        app.until(late_worker.is_stopped, "the suspension")
        clock.sleep_for(LEASE_S + 1)
        assert fork_server.drain(app, failpoints=f"fast_maintenance lock=0.2 clock={clock.path}") == 0
        case.check(app, job)
        stamps, rows, completed_job, events = case.stamps(app), library_rows(app), app.job(job), app.events(job)

        app.set_models(case.entry(), other)
        late_worker.send_signal(signal.SIGCONT)
        assert app.until_ended(app.enqueue("other")).state is State.COMPLETED
        assert late_worker.poll() is None
        assert (case.stamps(app), case.installed_files(app)) == (stamps, dict(case.contents))
        assert (app.job(job), app.events(job)) == (completed_job, events)
        artifacts, files = library_rows(app)
        assert (artifacts[:1], [file for file in files if file["path"] != "other.gguf"]) == rows
        assert {model.name for model in app.home.store.models()} == {case.name, "other.gguf"}
        assert app.leftover_partials() == []


def test_a_late_writer_does_not_tidy_up_under_a_run_that_fetches_the_same_again(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path
) -> None:
    case, clock, hold = InstallCase(origin, "new-file"), ClockFile(tmp_path / "clock"), Hold(after=100_000)
    with app_of(home, clock=clock.clock) as app:
        first = case.prepare(app)
        step = "flowhub_jobs.worker.pipeline:_finish:before"
        late_worker = fork_server.start_worker(app, failpoints=f"fast_maintenance clock={clock.path} suspend={step}")
        app.until(late_worker.is_stopped, "the suspension")
        clock.sleep_for(LEASE_S + 1)
        assert fork_server.drain(app, failpoints=f"fast_maintenance lock=0.2 clock={clock.path}") == 0
        case.check(app, first)

        origin.break_with(hold.once(), path=case.path("m.gguf"))
        again = app.enqueue("m", force=True)
        fork_server.start_worker(app, failpoints=f"fast_maintenance lock=0.2 clock={clock.path}")
        app.until(lambda: journaled_bytes(app.partial("m")) == 100_000, "a third of the file")
        late_worker.send_signal(signal.SIGCONT)
        app.until(lambda: f"The lease of job {first} has ended" in app.log(), "the log of the lost lease")
        hold.event.set()
        assert app.until_ended(again).state is State.COMPLETED
        case.check(app, again)
        assert case.sent() == 2 * case.total


def test_a_late_writer_that_has_bytes_underway_does_not_touch_what_another_has_installed(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next worker continues with the same bytes, in another file than the late worker has open."""
    skip_without_direct_io(tmp_path)
    monkeypatch.setenv("FLOWHUB_CONNECTIONS_PER_HOST", "1")
    content, hold, clock = gguf_pattern(8 << 20), Hold(after=1 << 20), ClockFile(tmp_path / "clock")
    model = one_file_model("m", origin.serve("/m.gguf", content, faults=(hold.once(),)), content)
    other = one_file_model("other", origin.serve("/other.gguf", gguf(seed=9)), gguf(seed=9))
    with app_of(home, model, other, clock=clock.clock) as app:
        app.enqueue("m")
        # The fifth: at most four chunks, of 256 KiB or more, come before the pause.
        step = "flowhub_jobs.transfer.receiver:Receiver._write_direct:before:5"
        late_worker = fork_server.start_worker(
            app, "--jobs", "1", failpoints=f"fast_maintenance journal_period=0.01 clock={clock.path} suspend={step}"
        )
        app.until(lambda: journaled_bytes(app.partial("m")) >= 1 << 20, "the first bytes in the journal")
        hold.event.set()
        app.until(late_worker.is_stopped, "the suspension")
        clock.sleep_for(LEASE_S + 1)
        assert fork_server.drain(app, failpoints=f"fast_maintenance lock=0.2 clock={clock.path}") == 0
        before = (app.store / "m.gguf").stat()
        assert before.st_ino not in open_inodes(late_worker.pid)

        partial = open_partial(late_worker.pid, "m.gguf")
        written = os.fstat(partial).st_mtime_ns
        late_worker.send_signal(signal.SIGCONT)
        assert app.until_ended(app.enqueue("other")).state is State.COMPLETED
        assert os.fstat(partial).st_mtime_ns == written, "a worker without the lease writes nothing"
        os.close(partial)
        after = (app.store / "m.gguf").stat()
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def open_partial(pid: int, name: str) -> int:
    """Open, for reading, the partial that a process has open; return the descriptor."""
    folder = Path(f"/proc/{pid}/fd")
    [path, *_] = [
        path for path in folder.iterdir() if f"/{name}" in os.readlink(path) and ".partial/" in os.readlink(path)
    ]
    return os.open(path, os.O_RDONLY)


def open_inodes(pid: int) -> set[int]:
    """Return the inodes of all files that a process has open."""
    inodes = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            inodes.add(descriptor.stat().st_ino)
    return inodes
