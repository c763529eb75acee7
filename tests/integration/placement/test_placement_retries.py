"""A placement that a job wants, and that cannot be made now: it is kept, explained, and tried again."""

import errno
import os
from pathlib import Path

import pytest
from support.app import app_of
from support.cli import run_due_jobs
from support.disks import own_disk
from support.fake_clock import FakeClock
from support.models import gguf, one_file_model

from flowhub_jobs.placement import carry_out_plan, staging
from flowhub_jobs.worker.placement_upkeep import PlacementUpkeep

V1, V2 = gguf(4096, 1), gguf(5000, 2)


class Night:
    """A home whose clock a test turns, and the upkeep of its worker."""

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

    def later(self, seconds):
        """Let time pass, and do what maintenance does."""
        self.clock.advance(seconds)
        self.upkeep.settle_if_due()
        if self.upkeep.busy:
            self.upkeep._thread.join()

    def kinds(self, number):
        return [event.kind for event in self.app.events(number) if event.kind.startswith("place")]

    @property
    def row(self):
        [row] = self.app.home.placement_rows.all()
        return row


@pytest.fixture
def night(home, origin, monkeypatch, any_database):
    if any_database:
        monkeypatch.setenv("FLOWHUB_DATABASE_URL", any_database)
    clock = FakeClock()
    with app_of(home, clock=clock.clock) as app:
        monkeypatch.setenv("FLOWHUB_CATALOG", str(app.catalog))
        night = Night(app, clock, origin)
        night.set_models(1)
        yield night


def test_it_is_made_when_the_folder_is_there_and_its_job_records_the_wait_once(night, tmp_path):
    usb = tmp_path / "usb"
    job = night.install(f"dir:{usb}/models")
    assert (night.row.state, night.row.error["code"], night.row.tries) == ("wanted", "app_folder_unusable", 1)
    night.later(61)
    night.later(121)
    assert (night.row.tries, night.kinds(job)) == (3, ["placement_waits"])
    usb.mkdir()
    night.later(100)
    assert not (usb / "models").exists()  # it is not due before four minutes have passed
    night.later(200)
    assert (usb / "models" / "a.gguf").read_bytes() == V1
    assert (night.row.state, night.row.error, night.row.tries, night.row.next_at) == ("placed", None, 0, None)
    assert night.kinds(job) == ["placement_waits", "placed"]


def test_it_is_tried_at_least_every_hour_also_after_the_clock_was_set_back(night, tmp_path):
    night.install(f"dir:{tmp_path}/usb/models")
    for _ in range(12):
        night.later(3601)
    assert night.row.tries == 13
    night.clock.set_calendar(-30 * 86_400)
    night.later(61)
    assert night.row.tries == 14


def test_every_screen_says_why_it_is_missing_and_what_to_do(night, cli, tmp_path):
    place = f"dir:{tmp_path}/usb/models"
    job = night.install(place)
    [shown] = cli("placements", "--json").json["placements"]
    assert (shown["state"], shown["error"]["code"], shown["error"]["retryable"]) == (
        "missing",
        "app_folder_unusable",
        True,
    )
    assert shown["next_at"].endswith("Z")
    said = cli("placements")
    for text in (f"a.gguf is not in {place} yet", "mount its disk", f"flowhub place a.gguf --in {place}"):
        assert text in " ".join(said.err.split())
    assert f"Not placed yet: a.gguf in {place}. `flowhub placements` says why." in " ".join(cli("list").err.split())
    assert [model["placed_in"] for model in cli("list", "--json").json["models"]] == [[]]
    assert "1 model is not placed yet: `flowhub placements` says why." in cli("status").out
    detail = " ".join(cli("status", str(job)).out.split())
    assert f"a.gguf is not placed in {place} yet" in detail
    assert "mount its disk" in detail
    [need] = cli("report", "--since", "2020-01-01T00:00:00Z", "--json").json["needs_you"]
    assert (need["code"], "mount its disk" in need["hint"]) == ("app_folder_unusable", True)
    assert cli("unplace", "a").status == 0
    assert night.app.home.placement_rows.all() == []
    assert cli("report", "--since", "2020-01-01T00:00:00Z", "--json").json["needs_you"] == []
    assert "not placed" not in cli("status").out


def test_a_disk_that_was_full_gets_it_when_it_has_room(night, tmp_path):
    with own_disk(tmp_path / "disk", options="nr_inodes=4") as disk:
        fillers = [disk.place / name for name in ("one", "two", "three")]
        for filler in fillers:
            filler.touch()
        job = night.install(f"dir:{disk.place}")
        assert night.row.error["code"] == "disk_full"
        assert "continues" not in night.row.error["hint"]
        assert sorted(disk.place.iterdir()) == sorted(fillers)
        fillers[0].unlink()
        night.later(61)
        assert (disk.place / "a.gguf").read_bytes() == V1
        assert night.kinds(job) == ["placement_waits", "placed"]


def test_a_newer_version_is_placed_and_the_old_link_removed_once_the_disk_is_back(night, tmp_path):
    with own_disk(tmp_path / "disk") as disk:
        place = disk.place / "below" / "models"
        place.mkdir(parents=True)
        night.install(f"dir:{place}")
        assert (place / "a.gguf").read_bytes() == V1
        night.set_models(2)
        disk.unmount()
        night.app.enqueue("a", force=True)
        run_due_jobs(night.app)
        assert (night.row.state, night.row.error["code"]) == ("wanted", "app_folder_unusable")
        disk.mount()
        night.later(61)
        assert sorted(place.iterdir()) == [place / "a.gguf"]
        assert (place / "a.gguf").read_bytes() == V2
        assert night.row.state == "placed"
        night.app.home.placements.remove([night.row])
        assert list(place.iterdir()) == []


def test_a_place_command_that_fails_too_does_not_end_the_tries(night, cli, tmp_path):
    place = f"dir:{tmp_path}/usb/models"
    night.install(place)
    assert cli("place", "a", "--in", place).status == 1
    assert night.row.error is not None
    (tmp_path / "usb").mkdir()
    assert cli("place", "a", "--in", place).status == 0
    assert (night.row.state, night.row.error) == ("placed", None)


def test_a_command_alone_leaves_no_placement_that_is_tried_again(night, cli, tmp_path):
    night.install()
    assert cli("place", "a", "--in", f"dir:{tmp_path}/usb/models").status == 1
    assert night.app.home.placement_rows.all() == []


def test_an_installed_model_that_is_queued_for_a_program_is_placed_when_that_is_possible(night, cli, tmp_path):
    night.install()
    said = cli("enqueue", "a", "--place", f"dir:{tmp_path}/usb/models")
    assert (said.status, "A worker tries it again." in " ".join(said.err.split())) == (0, True)
    (tmp_path / "usb").mkdir()
    night.later(61)
    assert (tmp_path / "usb" / "models" / "a.gguf").read_bytes() == V1


def test_a_fault_that_does_not_pass_is_recorded_and_not_tried_again(night, tmp_path):
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "a.gguf").write_bytes(b"theirs")
    job = night.install(f"dir:{tmp_path}/theirs")
    assert night.app.home.placement_rows.all() == []
    assert night.kinds(job) == ["placement_failed"]
    (tmp_path / "theirs" / "a.gguf").unlink()
    night.later(7200)
    assert list((tmp_path / "theirs").iterdir()) == []


def test_a_program_whose_folder_is_unknown_is_an_error(night, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    job = night.install("comfyui")
    [event] = [event for event in night.app.events(job) if event.kind == "placement_failed"]
    assert (event.code, "ComfyUI is in none of the folders" in event.text) == ("placement_refused", True)


def test_a_fault_in_the_midst_leaves_nothing_and_is_tried_again(night, tmp_path, monkeypatch):
    theirs = tmp_path / "theirs"
    with monkeypatch.context() as patch:

        def put_in_place(*arguments, **options):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(theirs))

        patch.setattr(staging, "put_in_place", put_in_place)
        night.install(f"dir:{theirs}")
        assert list(theirs.iterdir()) == []
        assert night.row.error["code"] == "app_folder_unusable"
    night.later(61)
    assert (theirs / "a.gguf").read_bytes() == V1


@pytest.mark.parametrize(
    ("module", "step"),
    [(carry_out_plan, "missing_folders"), (carry_out_plan, "_link_kind"), (carry_out_plan, "complete_row")],
)
def test_a_version_that_is_installed_while_the_older_one_is_placed_is_placed_in_the_end(
    night, tmp_path, monkeypatch, module, step
):
    night.install(f"dir:{tmp_path}/usb/models")
    (tmp_path / "usb").mkdir()
    real = getattr(module, step)

    def during(*arguments):
        monkeypatch.setattr(module, step, real)
        night.set_models(2)
        night.app.enqueue("a", force=True)
        monkeypatch.setattr("flowhub_jobs.placement.place_and_unplace.PATIENCE_S", 0.0)
        run_due_jobs(night.app)
        return real(*arguments)

    monkeypatch.setattr(module, step, during)
    night.later(61)
    night.later(61)
    assert (tmp_path / "usb" / "models" / "a.gguf").read_bytes() == V2
    assert (night.row.state, night.app.home.placements.state(night.row)) == ("placed", "ok")
    assert sorted(path.name for path in (tmp_path / "usb" / "models").iterdir()) == ["a.gguf"]


def test_a_row_of_a_newer_version_with_a_damaged_error_is_settled(night, tmp_path):
    night.install(f"dir:{tmp_path}/usb/models")
    with night.app.home.engine.begin() as tx:
        import sqlalchemy as sa

        tx.execute(sa.text("UPDATE placements SET error = '[]', next_at = NULL"))
    (tmp_path / "usb").mkdir()
    night.later(61)
    assert (tmp_path / "usb" / "models" / "a.gguf").read_bytes() == V1
    assert Path(night.row.path).exists()
