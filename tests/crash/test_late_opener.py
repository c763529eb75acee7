"""A worker that is suspended while it opens a partial, and continues while another one writes it."""

import signal
from pathlib import Path

import pytest
from support.app import app_of
from support.fake_clock import ClockFile
from support.faults import Hold
from support.fork_server import ForkServer
from support.install_cases import InstallCase
from support.models import gguf, one_file_model, write_catalog
from support.origin import Origin
from support.run_fetch import journaled_bytes

from flowhub_jobs.jobs.run_values import LEASE_S
from flowhub_jobs.operations.session import Session


@pytest.mark.parametrize(
    "at",
    [
        "transfer.resume:load:after",
        "transfer.resume:_remove_unlisted:before",
        "transfer.partial.journal:Journal.rewrite:before",
    ],
)
def test_a_late_opener_takes_nothing_from_its_successor(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, at: str
) -> None:
    case, clock, hold = InstallCase(origin, "new-file"), ClockFile(tmp_path / "clock"), Hold(after=100_000)
    other = one_file_model("other", origin.serve("/other.gguf", gguf(seed=9)), gguf(seed=9))
    with app_of(home, clock=clock.clock) as app:
        job = case.prepare(app)
        late_worker = fork_server.start_worker(
            app, "--jobs", "1", failpoints=f"fast_maintenance clock={clock.path} suspend=flowhub_jobs.{at}"
        )
        app.until(late_worker.is_stopped, "the suspension")
        clock.sleep_for(LEASE_S + 1)
        origin.break_with(hold.once(), path=case.path("m.gguf"))
        fork_server.start_worker(
            app,
            "--jobs",
            "1",
            failpoints=f"fast_maintenance lock=0.2 clock={clock.path}",
            FLOWHUB_CONNECTIONS_PER_HOST="1",
        )
        app.until(lambda: journaled_bytes(app.partial("m")) == 100_000, "a third of the file")
        partial = app.partial("m")
        write_catalog(app.catalog, other)
        app.session = Session(app.home)
        late_worker.send_signal(signal.SIGCONT)
        app.until_ended(app.enqueue("other"))
        kept = journaled_bytes(partial)
        hold.event.set()
        app.until_ended(job)
        assert kept == 100_000, "the late worker has removed nothing"
        assert case.installed_files(app) == dict(case.contents)
        assert [event.kind for event in app.events(job)] == ["queued", "claimed", "rescued", "claimed", "completed"]
        assert case.sent() == case.total
