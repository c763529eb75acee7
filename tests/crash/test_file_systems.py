"""Stores on unusual file systems: real ones where they can be mounted, else with the errors that they return."""

import contextlib
import errno
import os
from pathlib import Path

import pytest
from support.app import App, app_of
from support.disks import image_disk, tmpfs_disk
from support.faults import Hold
from support.fork_server import ForkServer
from support.models import folder_model, gguf, mlx_folder, one_file_model
from support.origin import Origin
from support.run_fetch import journaled_bytes

from flowhub_jobs.values.enums import Condition, Reason, State

A = gguf(300_000, 1)
FILES = mlx_folder(4)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FLOWHUB_STORE", str(tmp_path / "disk" / "llms"))
    (tmp_path / "disk").mkdir()
    return tmp_path / "disk" / "llms"


def models(origin: Origin) -> list[dict[str, object]]:
    served = {path: (origin.serve(f"/x/{path}", content), content) for path, content in FILES.items()}
    return [one_file_model("a", origin.serve("/a.gguf", A), A), folder_model("x", served)]


def assert_both_fetched(app: App, fork_server: ForkServer, failpoints: str = "fast_maintenance") -> None:
    jobs = [app.enqueue("a"), app.enqueue("x")]
    assert fork_server.drain(app, failpoints=failpoints) == 0
    assert [app.job(job).state for job in jobs] == [State.COMPLETED] * 2
    assert (app.store / "a.gguf").read_bytes() == A
    assert {path: (app.store / "x-mlx-4bit" / path).read_bytes() for path in FILES} == FILES
    assert {model.name: model.condition for model in app.session.installed.models()} == {
        "a.gguf": Condition.GOOD,
        "x-mlx-4bit": Condition.GOOD,
    }
    assert app.leftover_partials() == []


@pytest.mark.parametrize("kind", ["xfs", "btrfs", "ext4"])
def test_a_store_on_a_disk_of_this_kind(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with image_disk(tmp_path / "image", kind) as place:
        monkeypatch.setenv("FLOWHUB_STORE", str(place / "llms"))
        with app_of(home, *models(origin)) as app:
            assert_both_fetched(app, fork_server)


@pytest.mark.parametrize("code", ["EPERM", "EACCES", "EXDEV", "ENOTSUP", "ENOSYS", "EMLINK"])
def test_a_store_without_hard_links(
    home: Path, store: Path, origin: Origin, fork_server: ForkServer, code: str
) -> None:
    with app_of(home, *models(origin)) as app:
        assert_both_fetched(app, fork_server, failpoints=f"fast_maintenance no_hard_links={code}")


@pytest.mark.parametrize("code", ["ENOSYS", "ENOTSUP", "ENOLCK"])
def test_a_store_without_locks(home: Path, store: Path, origin: Origin, fork_server: ForkServer, code: str) -> None:
    with app_of(home, *models(origin)) as app:
        assert_both_fetched(app, fork_server, failpoints=f"fast_maintenance no_flock={store.parent}:{code}")


def test_a_download_on_a_disk_without_locks_continues_after_a_kill(
    home: Path, store: Path, origin: Origin, fork_server: ForkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system reports that the process of the old owner is dead."""
    monkeypatch.setenv("FLOWHUB_CONNECTIONS_PER_HOST", "1")
    no_flock, hold = f"fast_maintenance no_flock={store.parent}:ENOSYS", Hold(after=100_000)
    with app_of(home, *models(origin)) as app:
        origin.break_with(hold.once(), path="/a.gguf")
        job = app.enqueue("a")
        killed = fork_server.start_worker(app, failpoints=no_flock)
        app.until(lambda: journaled_bytes(app.partial("a")) == 100_000, "a third of it")
        killed.kill()
        killed.wait()
        assert fork_server.drain(app, failpoints=no_flock) == 0
        assert app.job(job).state is State.COMPLETED
        assert origin.sent("/a.gguf") == len(A)
        assert app.leftover_partials() == []
        hold.event.set()


@pytest.mark.parametrize("code", ["EINVAL", "ENOTSUP", "ENOSYS", "EBADF"])
def test_a_store_whose_folders_cannot_be_synced(
    home: Path, store: Path, origin: Origin, fork_server: ForkServer, code: str
) -> None:
    with app_of(home, *models(origin)) as app:
        assert_both_fetched(app, fork_server, failpoints=f"fast_maintenance no_folder_sync={code}")


def test_a_home_without_locks_says_so(home: Path, store: Path, origin: Origin, fork_server: ForkServer) -> None:
    with app_of(home, *models(origin)) as app:
        app.enqueue("a")
        assert fork_server.drain(app, failpoints=f"no_flock={home}:ENOLCK") == 1
        assert "its file system has no file locks (No locks available)" in app.log()
        assert "FLOWHUB_HOME" in app.log()
        assert "Traceback" not in app.log()


def test_a_disk_without_inodes_is_waited_for_and_not_called_full(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tmpfs_disk(tmp_path / "disk", options="nr_inodes=40") as disk:
        monkeypatch.setenv("FLOWHUB_STORE", str(disk.mount_point))
        monkeypatch.setenv("FLOWHUB_LOOK_AGAIN_S", "0.2")
        with app_of(home, *models(origin)) as app:
            app.home.open_store()
            small = [disk.mount_point / f"small-{number}" for number in range(100)]
            with contextlib.suppress(OSError):
                for path in small:
                    path.touch()
            job = app.enqueue("a")
            fork_server.start_worker(app, failpoints="fast_maintenance")
            app.until(lambda: app.job(job).reason is Reason.DISK, "its wait")
            app.until_wait_text(job, "no inodes left")
            for path in small[:20]:
                path.unlink(missing_ok=True)
            assert app.until_ended(job).state is State.COMPLETED


def test_a_disk_without_an_inode_for_the_store_itself_is_waited_for_too(
    home: Path, origin: Origin, fork_server: ForkServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The periodic check met the full disk and its thread ended, so that no thread ended the wait."""
    with tmpfs_disk(tmp_path / "disk", options="nr_inodes=40") as disk:
        monkeypatch.setenv("FLOWHUB_STORE", str(disk.mount_point / "store"))
        monkeypatch.setenv("FLOWHUB_LOOK_AGAIN_S", "0.2")
        with app_of(home, *models(origin)) as app:
            small = [disk.mount_point / f"small-{number}" for number in range(100)]
            with contextlib.suppress(OSError):
                for path in small:
                    path.touch()
            job = app.enqueue("a")
            fork_server.start_worker(app, failpoints="fast_maintenance")
            app.until(lambda: app.job(job).reason is Reason.DISK, "its wait")
            before = app.home.queries.jobs([job])[0].not_before
            app.until(lambda: app.home.queries.jobs([job])[0].not_before != before, "the next check")
            for path in small[:20]:
                path.unlink(missing_ok=True)
            assert app.until_ended(job).state is State.COMPLETED
            assert "Traceback" not in app.log()


@pytest.mark.parametrize("traits", ["COARSE", "UNKNOWN"])
@pytest.mark.parametrize("change", [3600, -3600, "cut"])
def test_times_that_the_disk_itself_changes_are_no_change_by_hand(
    home: Path, store: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch, traits: str, change: int | str
) -> None:
    from flowhub_jobs import file_systems

    with app_of(home, *models(origin)) as app:
        app.enqueue("a")
        app.run_next_job()
        path = app.store / "a.gguf"
        was = path.stat().st_mtime_ns
        now = was // 2_000_000_000 * 2_000_000_000 if change == "cut" else was + int(change) * 1_000_000_000
        os.utime(path, ns=(now, now))
        assert [model.condition for model in app.session.installed.models()] == [Condition.CHANGED]
        monkeypatch.setattr("flowhub_jobs.store.library_check.traits_of", lambda place: getattr(file_systems, traits))
        assert [model.condition for model in app.session.installed.models()] == [Condition.GOOD]
        os.utime(path, ns=(now + 7_000_000_001, now + 7_000_000_001))
        assert [model.condition for model in app.session.installed.models()] == [Condition.CHANGED]


def test_memory_that_is_tight_is_waited_for(
    home: Path, store: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))

    with app_of(home, *models(origin)) as app:
        job = app.enqueue("a")
        with monkeypatch.context() as patch:
            patch.setattr("flowhub_jobs.transfer.partial.part_file.os.pwrite", refuse)
            app.run_next_job()
        assert app.job(job).state is State.QUEUED
        assert "no memory left" in (app.home.queries.wait_text(job) or "")
