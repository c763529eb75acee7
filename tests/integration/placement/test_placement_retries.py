"""Tests of a placement that cannot be made when its job completes: it is recorded, explained and tried again."""

import errno
import os
from pathlib import Path

import pytest
import sqlalchemy as sa
from support.app import app_of
from support.cli import run_due_jobs
from support.disks import tmpfs_disk
from support.fake_clock import FakeClock
from support.models import gguf, one_file_model

from flowhub_jobs.placement import carry_out_plan, staging
from flowhub_jobs.worker.placement_upkeep import PlacementUpkeep

V1, V2 = gguf(4096, 1), gguf(5000, 2)


class Harness:
    """An app with a fake clock, and the placement upkeep of its worker."""

    def __init__(self, app, clock, origin):
        self.app, self.clock, self.origin = app, clock, origin
        self.upkeep = PlacementUpkeep(lambda: app.home)

    def install(self, *programs):
        number = self.app.enqueue("a", place=programs)
        run_due_jobs(self.app)
        return number

    def set_models(self, version):
        content = {1: V1, 2: V2}[version]
        self.app.set_models(one_file_model("a", self.origin.serve(f"/v{version}/a.gguf", content), content))

    def advance(self, seconds):
        """Let time pass, and do what a worker's maintenance does."""
        self.clock.advance(seconds)
        self.upkeep.settle_if_due()
        if self.upkeep.busy:
            self.upkeep._thread.join()

    def placement_events(self, number):
        return [event.kind for event in self.app.events(number) if event.kind.startswith("place")]

    @property
    def row(self):
        [row] = self.app.home.placement_rows.all()
        return row


@pytest.fixture
def harness(home, origin, monkeypatch, any_database):
    if any_database:
        monkeypatch.setenv("FLOWHUB_DATABASE_URL", any_database)
    clock = FakeClock()
    with app_of(home, clock=clock.clock) as app:
        monkeypatch.setenv("FLOWHUB_CATALOG", str(app.catalog))
        harness = Harness(app, clock, origin)
        harness.set_models(1)
        yield harness


def test_a_placement_is_made_once_its_disk_is_mounted_and_its_job_records_the_wait_once(harness, tmp_path):
    usb = tmp_path / "usb"
    job = harness.install(f"dir:{usb}/models")
    assert (harness.row.state, harness.row.error["code"], harness.row.tries) == ("wanted", "app_folder_unusable", 1)
    harness.advance(61)
    harness.advance(121)
    assert (harness.row.tries, harness.placement_events(job)) == (3, ["placement_waits"])
    usb.mkdir()
    harness.advance(100)
    assert not (usb / "models").exists()  # the next try is due after four minutes
    harness.advance(200)
    assert (usb / "models" / "a.gguf").read_bytes() == V1
    assert (harness.row.state, harness.row.error, harness.row.tries, harness.row.next_at) == ("placed", None, 0, None)
    assert harness.placement_events(job) == ["placement_waits", "placed"]


def test_a_placement_is_tried_at_least_every_hour_also_after_the_clock_was_set_back(harness, tmp_path):
    harness.install(f"dir:{tmp_path}/usb/models")
    for _ in range(12):
        harness.advance(3601)
    assert harness.row.tries == 13
    harness.clock.shift_calendar(-30 * 86_400)
    harness.advance(61)
    assert harness.row.tries == 14


def test_every_command_gives_the_reason_and_the_remedy_of_a_missing_placement(harness, cli, tmp_path):
    app = f"dir:{tmp_path}/usb/models"
    job = harness.install(app)
    [placement] = cli("placements", "--json").json["placements"]
    assert (placement["state"], placement["error"]["code"], placement["error"]["retryable"]) == (
        "missing",
        "app_folder_unusable",
        True,
    )
    assert placement["next_at"].endswith("Z")
    result = cli("placements")
    for text in (f"a.gguf is not in {app} yet", "mount its disk", f"flowhub place a.gguf --in {app}"):
        assert text in " ".join(result.err.split())
    assert f"Not placed yet: a.gguf in {app}. `flowhub placements` says why." in " ".join(cli("list").err.split())
    assert [model["placed_in"] for model in cli("list", "--json").json["models"]] == [[]]
    assert "1 model is not placed yet: `flowhub placements` says why." in cli("status").out
    detail = " ".join(cli("status", str(job)).out.split())
    assert f"a.gguf is not placed in {app} yet" in detail
    assert "mount its disk" in detail
    [entry] = cli("report", "--since", "2020-01-01T00:00:00Z", "--json").json["needs_you"]
    assert (entry["code"], "mount its disk" in entry["hint"]) == ("app_folder_unusable", True)
    assert cli("unplace", "a").status == 0
    assert harness.app.home.placement_rows.all() == []
    assert cli("report", "--since", "2020-01-01T00:00:00Z", "--json").json["needs_you"] == []
    assert "not placed" not in cli("status").out


def test_a_placement_on_a_full_disk_is_made_once_it_has_room(harness, tmp_path):
    with tmpfs_disk(tmp_path / "disk", options="nr_inodes=4") as disk:
        fillers = [disk.mount_point / name for name in ("one", "two", "three")]
        for filler in fillers:
            filler.touch()
        job = harness.install(f"dir:{disk.mount_point}")
        assert harness.row.error["code"] == "disk_full"
        assert "continues" not in harness.row.error["hint"]
        assert sorted(disk.mount_point.iterdir()) == sorted(fillers)
        fillers[0].unlink()
        harness.advance(61)
        assert (disk.mount_point / "a.gguf").read_bytes() == V1
        assert harness.placement_events(job) == ["placement_waits", "placed"]


def test_a_newer_version_is_placed_and_the_old_link_removed_once_the_disk_is_back(harness, tmp_path):
    with tmpfs_disk(tmp_path / "disk") as disk:
        folder = disk.mount_point / "below" / "models"
        folder.mkdir(parents=True)
        harness.install(f"dir:{folder}")
        assert (folder / "a.gguf").read_bytes() == V1
        harness.set_models(2)
        disk.unmount()
        harness.app.enqueue("a", force=True)
        run_due_jobs(harness.app)
        assert (harness.row.state, harness.row.error["code"]) == ("wanted", "app_folder_unusable")
        disk.mount()
        harness.advance(61)
        assert sorted(folder.iterdir()) == [folder / "a.gguf"]
        assert (folder / "a.gguf").read_bytes() == V2
        assert harness.row.state == "placed"
        harness.app.home.placements.remove([harness.row])
        assert list(folder.iterdir()) == []


def test_a_place_command_that_fails_too_does_not_end_the_tries(harness, cli, tmp_path):
    app = f"dir:{tmp_path}/usb/models"
    harness.install(app)
    assert cli("place", "a", "--in", app).status == 1
    assert harness.row.error is not None
    (tmp_path / "usb").mkdir()
    assert cli("place", "a", "--in", app).status == 0
    assert (harness.row.state, harness.row.error) == ("placed", None)


def test_a_command_alone_leaves_no_placement_that_is_tried_again(harness, cli, tmp_path):
    harness.install()
    assert cli("place", "a", "--in", f"dir:{tmp_path}/usb/models").status == 1
    assert harness.app.home.placement_rows.all() == []


def test_an_installed_model_that_is_queued_for_a_program_is_placed_when_that_is_possible(harness, cli, tmp_path):
    harness.install()
    result = cli("enqueue", "a", "--place", f"dir:{tmp_path}/usb/models")
    assert (result.status, "A worker tries it again." in " ".join(result.err.split())) == (0, True)
    (tmp_path / "usb").mkdir()
    harness.advance(61)
    assert (tmp_path / "usb" / "models" / "a.gguf").read_bytes() == V1


def test_a_permanent_error_is_recorded_and_not_tried_again(harness, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.gguf").write_bytes(b"of the user")
    job = harness.install(f"dir:{tmp_path}/folder")
    assert harness.app.home.placement_rows.all() == []
    assert harness.placement_events(job) == ["placement_failed"]
    (tmp_path / "folder" / "a.gguf").unlink()
    harness.advance(7200)
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_program_whose_folder_is_unknown_is_an_error(harness, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    job = harness.install("comfyui")
    [event] = [event for event in harness.app.events(job) if event.kind == "placement_failed"]
    assert (event.code, "ComfyUI was not found in its usual folders." in event.text) == ("placement_refused", True)


def test_a_fault_during_a_placement_leaves_no_files_and_is_tried_again(harness, tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    with monkeypatch.context() as patch:

        def put_in_place(*arguments, **options):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(folder))

        patch.setattr(staging, "put_in_place", put_in_place)
        harness.install(f"dir:{folder}")
        assert list(folder.iterdir()) == []
        assert harness.row.error["code"] == "app_folder_unusable"
    harness.advance(61)
    assert (folder / "a.gguf").read_bytes() == V1


@pytest.mark.parametrize(
    ("module", "step"),
    [(carry_out_plan, "missing_folders"), (carry_out_plan, "_link_kind"), (carry_out_plan, "complete_row")],
)
def test_a_version_that_is_installed_while_the_older_one_is_placed_is_placed_next(
    harness, tmp_path, monkeypatch, module, step
):
    harness.install(f"dir:{tmp_path}/usb/models")
    (tmp_path / "usb").mkdir()
    original = getattr(module, step)

    def install_newer_version(*arguments):
        monkeypatch.setattr(module, step, original)
        harness.set_models(2)
        harness.app.enqueue("a", force=True)
        monkeypatch.setattr("flowhub_jobs.placement.place_and_unplace.PATIENCE_S", 0.0)
        run_due_jobs(harness.app)
        return original(*arguments)

    monkeypatch.setattr(module, step, install_newer_version)
    harness.advance(61)
    harness.advance(61)
    assert (tmp_path / "usb" / "models" / "a.gguf").read_bytes() == V2
    assert (harness.row.state, harness.app.home.placements.state(harness.row)) == ("placed", "ok")
    assert sorted(path.name for path in (tmp_path / "usb" / "models").iterdir()) == ["a.gguf"]


def test_a_row_of_a_newer_version_with_a_damaged_error_is_settled(harness, tmp_path):
    harness.install(f"dir:{tmp_path}/usb/models")
    with harness.app.home.engine.begin() as tx:
        tx.execute(sa.text("UPDATE placements SET error = '[]', next_at = NULL"))
    (tmp_path / "usb").mkdir()
    harness.advance(61)
    assert (tmp_path / "usb" / "models" / "a.gguf").read_bytes() == V1
    assert Path(harness.row.path).exists()
