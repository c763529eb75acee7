"""Tests of several homes, of the same node name or of two, that share a store: the first to finish is installed."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.app import LONG_TIMEOUTS, App, app_of
from support.faults import Hold
from support.models import folder_model, gguf_pattern, mlx_folder, one_file_model
from support.origin import Origin, Pattern
from support.run_fetch import journaled_bytes

from flowhub_jobs.values.enums import State

MIB = 1 << 20
SIZE = 4 * MIB
RIGHT, WRONG = gguf_pattern(SIZE, 1), gguf_pattern(SIZE, 2)
Homes = Callable[..., App]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "shared"


@pytest.fixture
def homes(home: Path, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Homes]:
    """Open one home after the other; `node` is its name. All share a store, as several machines do."""
    monkeypatch.setenv("FLOWHUB_STORE", str(store))
    monkeypatch.setenv("FLOWHUB_CONNECTIONS_PER_HOST", "1")
    monkeypatch.setenv("FLOWHUB_LOOK_ELSEWHERE", "off")
    with contextlib.ExitStack() as stack:

        def open_home(node: str, *models: dict[str, Any]) -> App:
            path = tmp_path / f"home-{len(stack._exit_callbacks)}"  # type: ignore[attr-defined]
            monkeypatch.setenv("FLOWHUB_HOME", str(path))
            monkeypatch.setenv("FLOWHUB_NODE", node)
            return stack.enter_context(app_of(path, *models))

        yield open_home


def start_worker(app: App, node: str) -> None:
    app.start_worker(FLOWHUB_HOME=str(app.path), FLOWHUB_NODE=node, **LONG_TIMEOUTS)


def pinned(origin: Origin, path: str, served: Pattern, hold: Hold) -> dict[str, Any]:
    """Return a model with the digest of RIGHT, whatever is served; `hold` suspends the transfer midway."""
    url = origin.serve(path, served, faults=(hold.once(),))
    return one_file_model("m", url, RIGHT, filename="m.gguf")


def until_partials_begun(app: App, store: Path, count: int) -> None:
    """Wait until `count` partials have their first bytes."""

    def count_begun() -> int:
        return sum(journaled_bytes(partial) >= MIB for partial in store.glob(".partial/*/"))

    app.until(lambda: count_begun() == count, f"{count} partials begun")


def test_a_second_home_of_the_same_name_never_writes_into_the_file_that_the_first_installs(
    origin: Origin, homes: Homes, store: Path
) -> None:
    """Its source sends wrong bytes, and later than the first: it writes them to a partial of its own."""
    holds = Hold(after=MIB + 100_000), Hold(after=MIB + 100_000)
    first = homes("twin", pinned(origin, "/1/m.gguf", RIGHT, holds[0]))
    job = first.enqueue("m")
    start_worker(first, "twin")
    until_partials_begun(first, store, 1)
    second = homes("twin", pinned(origin, "/2/m.gguf", WRONG, holds[1]))
    late = second.enqueue("m")
    start_worker(second, "twin")
    until_partials_begun(second, store, 2)

    holds[0].event.set()
    assert first.until_ended(job).state is State.COMPLETED
    holds[1].event.set()
    second.until_ended(late)
    assert (store / "m.gguf").read_bytes() == RIGHT.read()
    [text] = [event.text for event in second.events(late) if event.kind == "namesake"]
    assert f"{first.path}" in text
    assert "twin" in text


@pytest.mark.parametrize("nodes", [("one", "two"), ("twin", "twin")])
def test_the_second_to_finish_the_same_pinned_file_uses_the_installed_one(
    origin: Origin, homes: Homes, store: Path, nodes: tuple[str, str]
) -> None:
    holds = Hold(after=MIB + 100_000), Hold(after=MIB + 100_000)
    apps = [
        homes(node, pinned(origin, f"/{number}/m.gguf", RIGHT, hold))
        for number, (node, hold) in enumerate(zip(nodes, holds, strict=True))
    ]
    jobs = []
    for number, (app, node) in enumerate(zip(apps, nodes, strict=True), 1):
        jobs.append(app.enqueue("m"))
        start_worker(app, node)
        until_partials_begun(app, store, number)
    for app, job, hold in zip(apps, jobs, holds, strict=True):
        hold.event.set()
        assert app.until_ended(job).state is State.COMPLETED
        assert [model.sha256 for model in app.session.installed.models()] == [RIGHT.sha256()]
    assert (store / "m.gguf").read_bytes() == RIGHT.read()
    assert list((store / ".partial").iterdir()) == []


def test_the_second_to_finish_the_same_pinned_folder_uses_the_installed_one(
    origin: Origin, homes: Homes, store: Path
) -> None:
    files = mlx_folder(3)
    holds = Hold(after=1000), Hold(after=1000)
    apps = []
    for number, hold in enumerate(holds):
        served = {path: (origin.serve(f"/{number}/{path}", content), content) for path, content in files.items()}
        origin.break_with(hold.once(), path=f"/{number}/model.safetensors")
        apps.append(homes(f"n{number}", folder_model("m", served)))
    jobs = [app.enqueue("m") for app in apps]
    for number, app in enumerate(apps):
        start_worker(app, f"n{number}")
        app.until(lambda number=number: origin.sent(f"/{number}/model.safetensors") >= 1000, "its first bytes")
    for app, job, hold in zip(apps, jobs, holds, strict=True):
        hold.event.set()
        assert app.until_ended(job).state is State.COMPLETED
    assert {path: (store / "m-mlx-4bit" / path).read_bytes() for path in files} == files


@pytest.mark.parametrize("same", [True, False])
def test_an_unpinned_file_of_a_faster_home_is_used_if_it_is_the_same_and_never_replaced(
    origin: Origin, homes: Homes, store: Path, same: bool
) -> None:
    holds = Hold(after=MIB + 100_000), Hold(after=MIB + 100_000)
    apps = []
    for number, (content, hold) in enumerate(zip((RIGHT, RIGHT if same else WRONG), holds, strict=True)):
        url = origin.serve(f"/{number}/m.gguf", content, faults=(hold.once(),))
        apps.append(homes(f"n{number}", one_file_model("m", url, content, pin=False, filename="m.gguf")))
    jobs = [app.enqueue("m") for app in apps]
    for number, app in enumerate(apps):
        start_worker(app, f"n{number}")
        until_partials_begun(app, store, number + 1)
    holds[0].event.set()
    assert apps[0].until_ended(jobs[0]).state is State.COMPLETED
    holds[1].event.set()
    job = apps[1].until_ended(jobs[1])
    assert (job.error and job.error["code"]) == (None if same else "name_taken")
    assert job.sha256_state == ("unpinned" if same else job.sha256_state)
    assert (store / "m.gguf").read_bytes() == RIGHT.read()


def test_a_home_that_was_copied_to_another_machine_is_noticed(
    homes: Homes, origin: Origin, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = homes("twin", one_file_model("m", origin.url("/m.gguf"), RIGHT))
    monkeypatch.setattr("platform.node", lambda: "alpha")
    app.home.open_store()
    app.home.open_store()
    assert caplog.messages == []
    monkeypatch.setattr("platform.node", lambda: "beta")
    app.home.open_store()
    app.home.open_store()
    assert len(caplog.messages) == 1
    assert "was last used on the machine alpha, and is on beta now" in caplog.messages[0]
    assert "FLOWHUB_NODE" in caplog.messages[0]
