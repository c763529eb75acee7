"""A disk without space for all queued jobs: earlier jobs keep their space, and the others report the lack of it."""

from pathlib import Path

import pytest
from support.app import app_of
from support.disks import tmpfs_disk
from support.faults import Hold
from support.fork_server import ForkServer
from support.models import gguf_pattern, one_file_model
from support.origin import Origin

from flowhub_jobs.jobs.controls import NETWORK
from flowhub_jobs.values.enums import Reason, State

MIB = 1 << 20
QUICK = {"FLOWHUB_LOOK_AGAIN_S": "0.5", "FLOWHUB_DISK_RESERVE": str(MIB)}


def test_a_job_waits_for_room_behind_those_that_go_first_and_starts_when_there_is_some(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On 64 MiB, the first two jobs need 30 and 20 MiB. The third needs 25, too many; the last needs 5, which fit."""
    sizes = {"first": 30, "second": 20, "third": 25, "last": 5}
    contents = {name: gguf_pattern(size * MIB, size) for name, size in sizes.items()}
    with tmpfs_disk(tmp_path / "disk", 64) as disk:
        monkeypatch.setenv("FLOWHUB_STORE", str(disk.mount_point / "llms"))
        models = [one_file_model(name, origin.serve(f"/{name}.gguf", data), data) for name, data in contents.items()]
        with app_of(home, *models) as app:
            origin.limit(total_bps=10 * MIB)
            job = {"third": app.enqueue("third", priority=1), "last": app.enqueue("last")}
            job |= {name: app.enqueue(name, priority=9) for name in ("first", "second")}
            fork_server.start_worker(app, FLOWHUB_JOBS="4", **QUICK)
            app.until(lambda: app.job(job["third"]).reason is Reason.DISK, "a wait for space")
            app.until_wait_text(job["third"], "26.2 MB", "jobs that go first")
            assert app.until_ended(job["last"]).state is State.COMPLETED
            origin.limit(total_bps=None)
            assert {app.until_ended(job[name]).state for name in ("first", "second")} == {State.COMPLETED}
            assert origin.sent("/third.gguf") == 0
            assert (app.job(job["third"]).attempt, app.home.controls.get(NETWORK)) == (0, None)
            app.session.installed.remove("first.gguf")
            assert app.until_ended(job["third"]).state is State.COMPLETED


def test_two_jobs_that_begin_together_do_not_keep_each_other_waiting_for_ever(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = [gguf_pattern(20 * MIB, seed) for seed in range(2)]
    with tmpfs_disk(tmp_path / "disk") as disk:
        monkeypatch.setenv("FLOWHUB_STORE", str(disk.mount_point / "llms"))
        models = [one_file_model(f"m{n}", origin.serve(f"/m{n}.gguf", data), data) for n, data in enumerate(contents)]
        with app_of(home, *models) as app:
            jobs = [app.enqueue(f"m{number}") for number in range(2)]
            fork_server.start_worker(app, **QUICK)
            assert app.until_ended(jobs[0]).state is State.COMPLETED
            app.until(lambda: app.job(jobs[1]).reason is Reason.DISK, "a wait for space")
            app.session.installed.remove("m0.gguf")
            assert app.until_ended(jobs[1]).state is State.COMPLETED


def test_a_job_that_waits_for_room_leaves_one_line_of_it_however_often_it_is_looked_for(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = gguf_pattern(40 * MIB, 1)
    with tmpfs_disk(tmp_path / "disk") as disk:
        monkeypatch.setenv("FLOWHUB_STORE", str(disk.mount_point / "llms"))
        with app_of(home, one_file_model("m", origin.serve("/m.gguf", content), content)) as app:
            job = app.enqueue("m")
            fork_server.start_worker(app, **QUICK)
            waits = [app.until(lambda: app.job(job).not_before, "a wait")]
            while len(waits) < 5:
                waits.append(app.until(lambda: (at := app.job(job).not_before) not in waits and at, "another check"))
            assert [event.kind for event in app.events(job)] == ["queued", "claimed", "waits"]
            # An existing file of this name is checked before the space.
            (app.store / "m.gguf").write_bytes(gguf_pattern(MIB, 2).read())
            assert app.until_ended(job).error is not None


def test_a_drain_fetches_the_job_for_which_promised_room_has_become_free(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first job keeps its reserved space until it fails; the next periodic check is after the end of the drain."""
    contents = {"first": gguf_pattern(30 * MIB, 1), "second": gguf_pattern(30 * MIB, 2)}
    with tmpfs_disk(tmp_path / "disk") as disk:
        monkeypatch.setenv("FLOWHUB_STORE", str(disk.mount_point / "llms"))
        models = [one_file_model(name, origin.serve(f"/{name}.gguf", data), data) for name, data in contents.items()]
        hold = Hold(after=MIB)
        origin.break_with(hold.once(), path="/first.gguf")
        with app_of(home, *models) as app:
            first, second = app.enqueue("first"), app.enqueue("second")
            worker = fork_server.start_worker(
                app, "--drain", FLOWHUB_LOOK_AGAIN_S="100000", FLOWHUB_DISK_RESERVE=str(MIB)
            )
            app.until(lambda: app.job(second).reason is Reason.DISK, "a wait for space")
            app.home.commands.cancel(first, purge=True)
            hold.event.set()
            assert worker.wait() == 10, "one of the two was cancelled"
            assert app.job(second).state is State.COMPLETED


def test_a_drain_ends_on_a_disk_whose_free_bytes_are_not_to_be_used(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path
) -> None:
    """As with a quota, or without free inodes: there are enough bytes, and each write fails."""
    content = gguf_pattern(MIB, 1)
    with app_of(home, one_file_model("m", origin.serve("/m.gguf", content), content)) as app:
        job = app.enqueue("m")
        full = tmp_path / "full"
        full.touch()
        failpoints = f"fast_maintenance disk=pwrite:EDQUOT:m.gguf:1:{full}"
        assert (
            fork_server.start_worker(app, "--drain", failpoints=failpoints, FLOWHUB_LOOK_AGAIN_S="100000").wait() == 0
        )
        assert (app.job(job).state, app.job(job).reason) == (State.QUEUED, Reason.DISK)
