"""Real disks that fill up, are read-only, go away or fail: the job waits, and continues by itself."""

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.app import App, app_of
from support.disks import Disk, tmpfs_disk
from support.faults import Hold
from support.fork_server import ForkServer
from support.install_cases import InstallCase, library_rows
from support.models import gguf, gguf_pattern, one_file_model
from support.origin import Origin
from support.run_fetch import journaled_bytes

from flowhub_jobs.values.enums import Reason, State
from flowhub_jobs.values.jobs import Job

MIB = 1 << 20
QUICK = {"FLOWHUB_LOOK_AGAIN_S": "0.5"}
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc/self/fd to tell what a descriptor is")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with tmpfs_disk(tmp_path / "disk") as disk:
        yield disk


def wait_for_parked_job(app: App, job: int, reason: Reason) -> Job:
    """Wait until a job waits for this reason, and check that this is free for the job."""

    def waiting() -> Job | None:
        parked_job = app.job(job)
        return parked_job if parked_job.reason is reason else None

    waits = app.until(waiting, f"a wait for {reason}")
    assert (waits.state, waits.attempt, waits.error) == (State.QUEUED, 0, None)
    assert waits.not_before is not None
    return waits


# Full ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False], ids=["size known beforehand", "size unknown"])
def test_a_full_disk_parks_the_job_which_continues_by_itself_when_there_is_room(
    home: Path, origin: Origin, fork_server: ForkServer, disk: Disk, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    monkeypatch.setenv("FLOWHUB_STORE", str(disk.mount_point / "llms"))
    (disk.mount_point / "other").write_bytes(os.urandom(20 * MIB))
    content = gguf_pattern(20 * MIB, 1)
    url = origin.serve("/m.gguf", content)
    origin.limit(total_bps=8 * MIB)
    with app_of(home, one_file_model("m", url, content, pin=known)) as app:
        job = app.enqueue("m")
        fork_server.start_worker(app, **QUICK)
        wait_for_parked_job(app, job, Reason.DISK)
        app.until(lambda: re.search("free|full", app.home.queries.wait_text(job) or ""), "a wait with its text")
        assert (origin.sent("/m.gguf") == 0) is known
        (disk.mount_point / "other").unlink()
        origin.limit(total_bps=None)
        completed = app.until_ended(job)
        assert completed.state is State.COMPLETED
        assert (app.store / "m.gguf").read_bytes() == content.read()
        # The first answer has the size, even if the catalog has none: at most the bytes of a second are lost.
        assert origin.sent("/m.gguf") <= content.size + (0 if known else 8 * MIB)


# Not there -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["the disk itself", "a folder on it", "behind a link", "over a stray file"])
def test_a_store_that_is_unmounted_in_mid_transfer_parks_the_job_which_continues_when_it_is_back(
    home: Path, origin: Origin, fork_server: ForkServer, disk: Disk, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    under_it = _lay_out(where, disk, home, monkeypatch)
    case, hold = InstallCase(origin, "new-file"), Hold(after=100_000)
    old = gguf(seed=7)
    earlier = one_file_model("old", origin.serve("/old.gguf", old), old)
    with app_of(home, earlier, case.entry()) as app:
        app.enqueue("old")
        app.run_next_job()
        rows = library_rows(app)
        origin.break_with(hold.once(), path=case.path("m.gguf"))
        job = app.enqueue("m")
        fork_server.start_worker(app, **QUICK)
        app.until(lambda: journaled_bytes(app.partial("m")) == 100_000, "a third of the file")
        disk.unmount()
        hold.event.set()
        wait_for_parked_job(app, job, Reason.STORE_OFFLINE)
        app.until_wait_text(job, str(app.store))
        until = app.job(job).not_before
        app.until(lambda: app.job(job).not_before != until, "a second look")
        assert (
            sorted(path.name for path in disk.mount_point.iterdir()) == under_it
        )  # the folder under the mount point gets no files
        assert library_rows(app) == rows
        disk.mount()
        assert app.until_ended(job).state is State.COMPLETED
        assert case.installed_files(app) == dict(case.contents)
        assert case.sent() == case.total
        assert app.leftover_partials() == []
        listed = {model.name: model.installed_at for model in app.session.installed.models()}
        assert set(listed) == {"old.gguf", "m.gguf"}
        assert all(listed.values())


def test_a_drain_fetches_the_job_whose_disk_was_mounted_again(
    home: Path, origin: Origin, fork_server: ForkServer, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A drain does not wait for the end of the job's wait: it would have exited by then."""
    monkeypatch.setenv("FLOWHUB_STORE", str(disk.mount_point / "llms"))
    case = InstallCase(origin, "new-file")
    with app_of(home, case.entry()) as app:
        job = app.enqueue("m")
        app.home.open_store()
        disk.unmount()
        assert fork_server.start_worker(app, "--drain", FLOWHUB_LOOK_AGAIN_S="100000").wait() == 0
        assert app.job(job).reason is Reason.STORE_OFFLINE
        disk.mount()
        assert fork_server.start_worker(app, "--drain", FLOWHUB_LOOK_AGAIN_S="100000").wait() == 0
        assert app.job(job).state is State.COMPLETED
        assert case.installed_files(app) == dict(case.contents)


def codes_of(app: App, job: int) -> list[str | None]:
    return [event.code for event in app.home.queries.events(job)]


@pytest.mark.parametrize("removed", [".partial", "the store"])
def test_a_partial_that_another_program_removes_in_mid_transfer_is_noticed_and_starts_over(
    home: Path, origin: Origin, fork_server: ForkServer, removed: str
) -> None:
    """The periodic check for a missing disk is far off. The rest is sent only after the removal was noticed."""
    case, hold, rest = InstallCase(origin, "new-file"), Hold(after=100_000), Hold(after=200_000)
    with app_of(home, case.entry()) as app:
        origin.break_with(hold.once(), rest.once(), path=case.path("m.gguf"))
        job = app.enqueue("m")
        fork_server.start_worker(app, FLOWHUB_LOOK_AGAIN_S="3600")
        app.until(lambda: journaled_bytes(app.partial("m")) == 100_000, "a third of the file")
        shutil.rmtree(app.store / ".partial" if removed == ".partial" else app.store)
        hold.event.set()
        app.until(lambda: "partial_removed" in codes_of(app, job), "the event of the removal")
        rest.event.set()
        assert app.until_ended(job).state is State.COMPLETED
        assert case.installed_files(app) == dict(case.contents)
        assert "store_offline" not in codes_of(app, job)


def _lay_out(where: str, disk: Disk, home: Path, patch: pytest.MonkeyPatch) -> list[str]:
    """Put the store there; return the files under the mount point while the disk is not mounted."""
    if where == "behind a link":
        home.mkdir()
        (home / "llms").symlink_to(disk.mount_point)
    else:
        patch.setenv("FLOWHUB_STORE", str(disk.mount_point / "llms" if where == "a folder on it" else disk.mount_point))
    if where != "over a stray file":
        return []
    disk.unmount()
    (disk.mount_point / "not mounted").touch()
    disk.mount()
    return ["not mounted"]


# Not to be written ---------------------------------------------------------------------------------------------------


def test_a_disk_that_may_only_be_read_parks_the_job_which_continues_when_it_may_be_written(
    home: Path, origin: Origin, fork_server: ForkServer, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWHUB_STORE", str(disk.mount_point))
    case = InstallCase(origin, "newer-folder")
    with app_of(home) as app:
        job = case.prepare(app)
        disk.set_writable(False)
        fork_server.start_worker(app, **QUICK)
        wait_for_parked_job(app, job, Reason.STORE_OFFLINE)
        app.until_wait_text(job, "read-only")
        disk.set_writable(True)
        app.until_ended(job)
        case.check(app, job)
        assert case.sent() == case.total


@LINUX
@pytest.mark.parametrize("call", ["pwrite:EROFS:/files/:1", "write:EROFS:/journal:1", "fdatasync:EROFS:/journal:2"])
def test_a_disk_that_turns_read_only_in_mid_transfer_parks_the_job(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, call: str
) -> None:
    """As ext4 does after an error."""
    case, failing = InstallCase(origin, "new-file"), tmp_path / "failing"
    failing.touch()
    with app_of(home) as app:
        job = case.prepare(app)
        fork_server.start_worker(app, failpoints=f"fast_maintenance disk={call}:{failing}", **QUICK)
        wait_for_parked_job(app, job, Reason.STORE_OFFLINE)
        app.until_wait_text(job, "read-only")
        failing.unlink()
        app.until_ended(job)
        case.check(app, job)


# Broken --------------------------------------------------------------------------------------------------------------


@LINUX
@pytest.mark.parametrize(
    "call",
    [
        "pwrite:EIO:/files/:1",
        "fdatasync:EIO:/files/:1",
        "write:EIO:/journal:2",
        "fdatasync:EIO:/journal:2",
        "fsync:EIO:/files$:1",
        "fsync:EIO:/llms$:1",  # after the rename
    ],
)
@pytest.mark.parametrize("kind", ["new-file", "newer-folder"])
def test_a_disk_that_fails_ends_the_job_with_what_to_do_and_retry_continues(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, kind: str, call: str
) -> None:
    case, failing = InstallCase(origin, kind), tmp_path / "failing"
    with app_of(home) as app:
        job = case.prepare(app)
        failing.touch()
        fork_server.start_worker(app, failpoints=f"fast_maintenance journal_period=3600 disk={call}:{failing}")
        failed = app.until_ended(job)
        assert failed.state is State.FAILED
        assert failed.error is not None
        assert failed.error["code"] == "storage_failed"
        assert str(app.store) in failed.error["message"]
        assert "Input/output error" in failed.error["message"]
        assert failed.error["hint"]
        if "/files/" in call:
            assert any(f"/files/{path}" in failed.error["message"] for path in case.contents)
        failing.unlink()
        app.session.requeue(job, "retry")
        app.until_ended(job)
        assert case.installed_files(app) == dict(case.contents)
        assert app.job(job).state is State.COMPLETED
        assert app.leftover_partials() == []
        assert case.sent() <= 2 * case.total
