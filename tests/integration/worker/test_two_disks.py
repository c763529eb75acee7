"""Two disks that are mounted in turn at one path: neither takes anything away from the other."""

import shutil
from pathlib import Path

import pytest
from support.app import App, app_of
from support.models import gguf, one_file_model
from support.origin import Origin

from flowhub_jobs.errors import StoreOffline
from flowhub_jobs.operations.library.cleanup import Removable, find_removable
from flowhub_jobs.store.layout import PARTIAL, STORE_ID
from flowhub_jobs.values.enums import Condition, State

A, B = gguf(5000, 1), gguf(6000, 2)


class Slot:
    """A store's path, with one of two folders at it."""

    def __init__(self, path: Path) -> None:
        self.path, self._shelf = path, path.with_name("disks")
        self._shelf.mkdir()
        self._in: str | None = None

    def insert(self, disk: str) -> None:
        if self._in is not None:
            self.path.rename(self._shelf / self._in)
        (self._shelf / disk / PARTIAL).mkdir(parents=True, exist_ok=True)  # as the message says
        (self._shelf / disk).rename(self.path)
        self._in = disk


@pytest.fixture
def slot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Slot:
    monkeypatch.setenv("FLOWHUB_STORE", str(tmp_path / "store"))
    return Slot(tmp_path / "store")


@pytest.fixture
def app(home: Path, slot: Slot, origin: Origin):
    models = [
        one_file_model(name, origin.serve(f"/{name}.gguf", content), content, pin=name != "a")
        for name, content in (("a", A), ("b", B))
    ]
    slot.insert("one")
    with app_of(home, *models) as app:
        fetched(app, "a")
        yield app


def fetched(app: App, ref: str) -> None:
    job = app.enqueue(ref)
    app.run_next_job()
    assert app.job(job).state is State.COMPLETED


def conditions(app: App) -> dict[str, Condition]:
    return {model.name: model.condition for model in app.session.installed.models()}


def test_a_second_disk_takes_nothing_away_from_the_first(app: App, slot: Slot) -> None:
    slot.insert("two")
    assert conditions(app) == {"a.gguf": Condition.OFFLINE}
    fetched(app, "b")
    assert conditions(app) == {"a.gguf": Condition.OFFLINE, "b.gguf": Condition.GOOD}
    assert [item for item in find_removable(app.home, app.session.installed) if item.kind is Removable.GONE] == []
    slot.insert("one")
    assert conditions(app) == {"a.gguf": Condition.GOOD, "b.gguf": Condition.OFFLINE}


def test_a_model_of_the_disk_that_is_away_is_neither_removed_nor_verified_nor_taken_for_installed(
    app: App, slot: Slot
) -> None:
    slot.insert("two")
    with pytest.raises(StoreOffline, match="in another store"):
        app.session.installed.remove("a.gguf")
    from flowhub_jobs.operations.library_jobs import LibraryJobs

    assert LibraryJobs(app.session).installed([]) == []
    fetched(app, "a")  # an unpinned one of the same name
    assert conditions(app) == {"a.gguf": Condition.GOOD}
    assert len(app.home.library.entries()) == 2
    app.session.installed.remove("a.gguf")
    slot.insert("one")
    assert conditions(app) == {"a.gguf": Condition.GOOD}


def test_the_copy_of_a_store_on_a_larger_disk_is_the_store(app: App, slot: Slot) -> None:
    shutil.copytree(slot.path, slot.path.with_name("disks") / "two", copy_function=shutil.copy2)
    (slot.path.with_name("disks") / "two" / STORE_ID).unlink()
    slot.insert("two")
    assert conditions(app) == {"a.gguf": Condition.GOOD}
    fetched(app, "b")
    assert conditions(app) == {"a.gguf": Condition.GOOD, "b.gguf": Condition.GOOD}


@pytest.mark.parametrize("content", [None, b"", b"\xff\n", b"two words\n"])
def test_a_store_that_has_lost_its_identity_gets_it_back(app: App, slot: Slot, content: bytes | None) -> None:
    known = app.home.library.known_store()
    (slot.path / STORE_ID).unlink()
    if content is not None:
        (slot.path / STORE_ID).write_bytes(content)
    fetched(app, "b")
    assert (slot.path / STORE_ID).read_text().strip() == known
    assert conditions(app) == {"a.gguf": Condition.GOOD, "b.gguf": Condition.GOOD}
