"""Tests of several stores of one node: each job writes to its store, and an offline store holds only its own jobs."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.app import App, app_of
from support.models import gguf, one_file_model
from support.origin import Origin

from flowhub_jobs.errors import StoreOffline, StoreUnusable
from flowhub_jobs.jobs.enqueue_rows import EnqueueTerms
from flowhub_jobs.operations.doctor.check import Status
from flowhub_jobs.operations.doctor.run import run_checks
from flowhub_jobs.operations.enqueue_plan import EnqueueItem
from flowhub_jobs.operations.forecast import forecast
from flowhub_jobs.operations.library.cleanup import Removable
from flowhub_jobs.operations.library.cleanup_in_stores import find_in_stores, remove_from_store
from flowhub_jobs.operations.library.usage import list_store, measure_store
from flowhub_jobs.operations.library_jobs import LibraryJobs
from flowhub_jobs.operations.placement import place_model, placements
from flowhub_jobs.operations.search.machine import Machine
from flowhub_jobs.operations.wait_reasons import why_not_moving
from flowhub_jobs.placement.entries import PlacementState
from flowhub_jobs.store import space
from flowhub_jobs.store.disk_usage import measure
from flowhub_jobs.store.layout import PARTIAL, STORE_ID
from flowhub_jobs.values.enums import Condition, Reason, State
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.disk_wait_check import DiskWaitCheck

A, B, C = gguf(5000, 1), gguf(6000, 2), gguf(7000, 3)
TMPFS = Path("/dev/shm")


@pytest.fixture(params=["one disk", "two disks"])
def fast(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a second store: on the same file system, and on a second one."""
    if request.param == "one disk":
        yield tmp_path / "fast"
        return
    if not TMPFS.is_dir() or TMPFS.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("There is no second file system.")
    folder = Path(tempfile.mkdtemp(dir=TMPFS))
    yield folder / "fast"
    shutil.rmtree(folder)


@pytest.fixture
def app(home: Path, fast: Path, origin: Origin) -> Iterator[App]:
    models = [
        one_file_model(name, origin.serve(f"/{name}.gguf", content), content)
        for name, content in (("a", A), ("b", B), ("c", C))
    ]
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(f'look_again_s = 0.2\n[stores]\nfast = "{fast}"\n')
    with app_of(home, *models) as app:
        yield app


def fetch_model(app: App, ref: str, **terms: object) -> int:
    job = app.enqueue(ref, **terms)
    app.run_next_job()
    assert app.job(job).state is State.COMPLETED
    return job


def unmount(store: Path) -> Path:
    """Move the store's folder away, and leave an empty mount point; return the new path."""
    unmounted = store.with_name(f"{store.name}.unmounted")
    store.rename(unmounted)
    store.mkdir()
    return unmounted


def mount(store: Path, unmounted: Path) -> None:
    store.rmdir()
    unmounted.rename(store)


def test_each_job_writes_to_its_own_store(app, fast):
    first, second = fetch_model(app, "a"), fetch_model(app, "b", store="fast")
    assert (app.store / "a.gguf").read_bytes() == A
    assert (fast / "b.gguf").read_bytes() == B
    assert not (app.store / "b.gguf").exists()
    assert (app.job(first).store, app.job(second).store) == ("default", "fast")
    assert app.job(second).target == str(fast / "b.gguf")
    assert not os.listdir(fast / PARTIAL)


def test_a_model_that_is_installed_in_any_store_is_not_downloaded_again(app):
    job = fetch_model(app, "b", store="fast")
    assert app.enqueue("b") == job
    assert app.enqueue("b", store="default") == job


def test_a_new_version_goes_to_the_store_of_the_old_one(app, fast, origin):
    fetch_model(app, "b", store="fast")
    app.set_models(one_file_model("b", origin.serve("/new/b.gguf", C), C))
    fetch_model(app, "b")
    assert (fast / "b.gguf").read_bytes() == C
    assert not (app.store / "b.gguf").exists()


def test_an_offline_store_holds_only_its_own_jobs(app, fast):
    fetch_model(app, "a", store="fast")
    unmounted = unmount(fast)
    held = app.enqueue("b", store="fast")
    app.run_next_job()
    assert (app.job(held).state, app.events(held)[-1].code) == (State.QUEUED, "store_offline")
    assert not (fast / "b.gguf").exists()
    other = app.enqueue("c")
    app.start_worker()
    app.until(lambda: app.job(other).state is State.COMPLETED, "the job of the other store")
    assert app.job(held).state is not State.COMPLETED
    mount(fast, unmounted)
    app.until(lambda: app.job(held).state is State.COMPLETED, "the job of the store that was offline")
    assert (fast / "b.gguf").read_bytes() == B


def test_a_check_of_the_jobs_that_wait_for_room_measures_their_store_once(app, fast, monkeypatch):
    job = app.enqueue("b", store="fast")
    (app.path / "config.toml").write_text(f'look_again_s = 600\n[stores]\nfast = {{path = "{fast}", max = "1KB"}}\n')
    measured: list[Path] = []
    monkeypatch.setattr(space, "measure", lambda path: measured.append(path) or measure(path))
    with app_of(app.path) as limited:
        limited.run_next_job()
        assert limited.job(job).reason is Reason.DISK
        measured.clear()
        assert not DiskWaitCheck(lambda: limited.home).release()
        assert measured == [fast]


def test_a_job_whose_store_is_in_no_setting_waits(app, fast):
    job = app.enqueue("b", store="fast")
    (app.path / "config.toml").write_text("look_again_s = 600\n")
    with app_of(app.path) as reopened:
        reopened.run_next_job()
        assert reopened.job(job).reason is Reason.STORE_OFFLINE


def test_a_running_worker_uses_a_store_that_config_toml_gains(app, fast):
    settings = (app.path / "config.toml").read_text()
    (app.path / "config.toml").write_text("look_again_s = 0.2\n")
    app.start_worker()
    app.until(app.session.living_workers, "the worker")
    held = app.enqueue("b", store="fast")
    app.until(lambda: app.job(held).reason is Reason.STORE_OFFLINE, "the wait for the store")
    with app_of(app.path) as without:
        # The wait ends every 0.2 s, and then the job runs for a moment.
        app.until(
            lambda: "Mount the disk" in str(why_not_moving(without.session, without.job(held), datetime.now(UTC))),
            "the remedy",
        )
    (app.path / "config.toml").write_text(settings)
    app.until_state(held, State.COMPLETED)
    assert (fast / "b.gguf").read_bytes() == B


def test_a_worker_uses_the_folder_that_a_store_has_now(app, fast):
    context, moved = WorkerContext(app.home, 1), fast.with_name("moved")
    try:
        for line, folder in ((f'fast = "{fast}"', fast), (f'fast = "{moved}"', moved), ("fast = 5  # an error", moved)):
            (app.path / "config.toml").write_text(f"[stores]\n{line}\n")
            assert context.stores.home().in_store("fast").store.root == folder
    finally:
        context.close()


def test_a_copy_of_another_store_is_refused_until_its_identity_is_removed(app, fast):
    fetch_model(app, "a")
    shutil.copytree(app.store, fast)
    with pytest.raises(StoreUnusable, match="same identity"):
        app.home.in_store("fast").open_store()
    (fast / STORE_ID).unlink()
    app.home.in_store("fast").open_store()
    assert [entry.name for entry in app.home.entries.entries()] == ["a.gguf"], "the original stays where it is"
    assert not app.home.in_store("fast").entries.entries()


def test_bytes_promised_on_a_disk_count_for_all_of_its_stores(app, fast):
    app.enqueue("a")
    app.enqueue("b", store="fast")
    one_disk = fast.parent.stat().st_dev == app.path.stat().st_dev
    promised = {name: app.home.in_store(name).bytes_promised() for name in ("default", "fast")}
    total = len(A) + len(B)
    assert promised == ({"default": total, "fast": total} if one_disk else {"default": len(A), "fast": len(B)})


def conditions(app: App) -> dict[str, tuple[str, Condition]]:
    return {model.name: (model.store, model.condition) for model in app.session.installed.models()}


def test_a_store_that_was_the_default_one_keeps_its_models(app, monkeypatch):
    fetch_model(app, "a")
    old = app.store
    monkeypatch.setenv("FLOWHUB_STORE", str(app.path / "new"))
    (app.path / "config.toml").write_text(f'[stores]\nold = "{old}"\n')
    with app_of(app.path) as reopened:
        assert conditions(reopened) == {"a.gguf": ("old", Condition.GOOD)}
        assert reopened.session.installed.find_one("a").path == old / "a.gguf"


def test_the_library_spans_the_stores(app, fast):
    fetch_model(app, "a")
    fetch_model(app, "b", store="fast")
    (fast / "hand.gguf").write_bytes(C)
    installed = app.session.installed
    assert conditions(app) == {
        "a.gguf": ("default", Condition.GOOD),
        "b.gguf": ("fast", Condition.GOOD),
        "hand.gguf": ("fast", Condition.BY_HAND),
    }
    assert installed.find_one("b").path == fast / "b.gguf"
    assert [state.name for state in list_store(app.session).stores] == ["default", "fast"]
    assert {share.name for share in measure_store(app.session).models} == {"a.gguf", "b.gguf", "hand.gguf"}
    assert [model.store for model in LibraryJobs(app.session).installed([])] == ["default", "fast"]
    assert Machine(app.settings).has("b", "q4")
    assert installed.remove("b.gguf") == len(B)
    assert not (fast / "b.gguf").exists()


def test_verify_reads_the_model_of_its_store_and_repair_mends_it_there(app, fast):
    fetch_model(app, "b", store="fast")
    damaged = bytearray(B)
    damaged[100] ^= 1
    (fast / "b.gguf").write_bytes(damaged)
    jobs = LibraryJobs(app.session)
    [job] = jobs.verify(jobs.installed(["b"]))
    app.run_next_job()
    assert app.job(job).error["code"] == "digest_mismatch"
    jobs.repair(jobs.installed(["b"])[0])
    app.run_next_job()
    assert (fast / "b.gguf").read_bytes() == B
    assert not (app.store / "b.gguf").exists()


def test_entries_of_an_offline_store_stay(app, fast):
    fetch_model(app, "a")
    fetch_model(app, "b", store="fast")
    unmounted = unmount(fast)
    assert conditions(app) == {"a.gguf": ("default", Condition.GOOD), "b.gguf": ("fast", Condition.OFFLINE)}
    with pytest.raises(StoreOffline):
        app.session.installed.remove("b.gguf")
    for item in find_in_stores(app.session):
        remove_from_store(app.session, item)
    app.home.open_store()
    mount(fast, unmounted)
    assert conditions(app)["b.gguf"] == ("fast", Condition.GOOD)
    assert find_in_stores(app.session) == []


def test_prune_cleans_up_each_store(app, fast):
    fetch_model(app, "b", store="fast")
    trash = fast / PARTIAL / "removed-0123"
    trash.write_bytes(A)
    (fast / "b.gguf").unlink()
    items = find_in_stores(app.session)
    assert [(item.kind, item.store) for item in items] == [(Removable.REST, "fast"), (Removable.GONE, "fast")]
    for item in items:
        remove_from_store(app.session, item)
    assert not trash.exists()
    assert conditions(app) == {}


def test_a_model_of_another_store_is_placed_and_unplaced(app, fast, tmp_path):
    fetch_model(app, "b", store="fast")
    place_model(app.session, "b.gguf", f"dir:{tmp_path / 'apps'}")
    assert (tmp_path / "apps" / "b.gguf").read_bytes() == B
    assert [placement.state for placement in placements(app.session)] == [PlacementState.OK]
    app.session.installed.remove("b.gguf")
    assert not (tmp_path / "apps" / "b.gguf").exists()


def test_a_store_is_planned_forecast_and_checked_by_its_own_room(app, fast):
    home = app.home.in_store("fast")
    [plan] = app.session.plan([EnqueueItem(app.artifact("b"), EnqueueTerms(store="fast"))])
    assert (plan.store, plan.target) == ("fast", fast / "b.gguf")
    assert forecast(app.home, [plan], 0).room.reserve == home.room().reserve
    checks = {check.name: check.status for check in run_checks(environ=dict(os.environ))}
    assert checks["store.folder"] is checks["store.folder.fast"] is Status.OK


def test_a_store_keeps_its_own_reserve_free(app, fast):
    (app.path / "config.toml").write_text(
        f'disk_reserve = 9000\n[stores]\nfast = {{path = "{fast}", reserve = "5KB"}}\n'
    )
    with app_of(app.path) as reopened:
        reserves = {home.store.name: home.disk_reserve for home in reopened.session.each_store()}
    assert reserves == {"default": 9000, "fast": 5000}
