"""Tests of two disks that are mounted in turn at one path: the entries of each stay while the other is mounted."""

import shutil
from pathlib import Path

import pytest
from support.app import App, app_of
from support.models import gguf, one_file_model
from support.origin import Origin

from flowhub_jobs.errors import StoreOffline
from flowhub_jobs.operations.library.cleanup import Removable, find_removable
from flowhub_jobs.operations.library_jobs import LibraryJobs
from flowhub_jobs.store.layout import PARTIAL, STORE_ID
from flowhub_jobs.values.enums import Condition, State

A, B = gguf(5000, 1), gguf(6000, 2)


class MountPoint:
    """A store's path, to which one of several folders is moved at a time, as disks are mounted."""

    def __init__(self, path: Path) -> None:
        self.path, self._disks = path, path.with_name("disks")
        self._disks.mkdir()
        self._mounted: str | None = None

    def mount(self, disk: str) -> None:
        if self._mounted is not None:
            self.path.rename(self._disks / self._mounted)
        (self._disks / disk / PARTIAL).mkdir(parents=True, exist_ok=True)  # as the error's hint says
        (self._disks / disk).rename(self.path)
        self._mounted = disk


@pytest.fixture
def mount_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MountPoint:
    monkeypatch.setenv("FLOWHUB_STORE", str(tmp_path / "store"))
    return MountPoint(tmp_path / "store")


@pytest.fixture
def app(home: Path, mount_point: MountPoint, origin: Origin):
    models = [
        one_file_model(name, origin.serve(f"/{name}.gguf", content), content, pin=name != "a")
        for name, content in (("a", A), ("b", B))
    ]
    mount_point.mount("one")
    with app_of(home, *models) as app:
        fetch_model(app, "a")
        yield app


def fetch_model(app: App, ref: str) -> None:
    job = app.enqueue(ref)
    app.run_next_job()
    assert app.job(job).state is State.COMPLETED


def conditions(app: App) -> dict[str, Condition]:
    return {model.name: model.condition for model in app.session.installed.models()}


def test_a_second_disk_removes_no_entry_of_the_first(app: App, mount_point: MountPoint) -> None:
    mount_point.mount("two")
    assert conditions(app) == {"a.gguf": Condition.OFFLINE}
    fetch_model(app, "b")
    assert conditions(app) == {"a.gguf": Condition.OFFLINE, "b.gguf": Condition.GOOD}
    assert [item for item in find_removable(app.home, app.session.installed) if item.kind is Removable.GONE] == []
    mount_point.mount("one")
    assert conditions(app) == {"a.gguf": Condition.GOOD, "b.gguf": Condition.OFFLINE}


def test_a_model_of_an_unmounted_disk_is_neither_removed_nor_verified_nor_counted_as_installed(
    app: App, mount_point: MountPoint
) -> None:
    mount_point.mount("two")
    with pytest.raises(StoreOffline, match="in another store"):
        app.session.installed.remove("a.gguf")
    assert LibraryJobs(app.session).installed([]) == []
    fetch_model(app, "a")  # an unpinned model of the same name
    assert conditions(app) == {"a.gguf": Condition.GOOD}
    assert len(app.home.library.entries()) == 2
    app.session.installed.remove("a.gguf")
    mount_point.mount("one")
    assert conditions(app) == {"a.gguf": Condition.GOOD}


def test_the_copy_of_a_store_on_a_larger_disk_is_the_store(app: App, mount_point: MountPoint) -> None:
    shutil.copytree(mount_point.path, mount_point.path.with_name("disks") / "two", copy_function=shutil.copy2)
    (mount_point.path.with_name("disks") / "two" / STORE_ID).unlink()
    mount_point.mount("two")
    assert conditions(app) == {"a.gguf": Condition.GOOD}
    fetch_model(app, "b")
    assert conditions(app) == {"a.gguf": Condition.GOOD, "b.gguf": Condition.GOOD}


@pytest.mark.parametrize("content", [None, b"", b"\xff\n", b"two words\n"])
def test_a_store_that_has_lost_its_identity_gets_it_back(
    app: App, mount_point: MountPoint, content: bytes | None
) -> None:
    identity = app.home.library.known_store()
    (mount_point.path / STORE_ID).unlink()
    if content is not None:
        (mount_point.path / STORE_ID).write_bytes(content)
    fetch_model(app, "b")
    assert (mount_point.path / STORE_ID).read_text().strip() == identity
    assert conditions(app) == {"a.gguf": Condition.GOOD, "b.gguf": Condition.GOOD}
