"""Several homes, with one node name or with two, that share a store: which bytes get a name, and who is told."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.app import HELD, App, app_of
from support.faults import Hold
from support.models import folder_model, gguf_pattern, mlx_folder, one_file_model
from support.origin import Origin, Pattern
from support.run_fetch import kept_in

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
    """Open one home after the other; `node` is its name. They share a store, as two machines would."""
    monkeypatch.setenv("FLOWHUB_STORE", str(store))
    monkeypatch.setenv("FLOWHUB_CONNECTIONS_PER_HOST", "1")
    monkeypatch.setenv("FLOWHUB_LOOK_ELSEWHERE", "off")
    with contextlib.ExitStack() as stack:

        def opened(node: str, *models: dict[str, Any]) -> App:
            path = tmp_path / f"home-{len(stack._exit_callbacks)}"  # type: ignore[attr-defined]
            monkeypatch.setenv("FLOWHUB_HOME", str(path))
            monkeypatch.setenv("FLOWHUB_NODE", node)
            return stack.enter_context(app_of(path, *models))

        yield opened


def at_work(app: App, node: str) -> None:
    app.worker(FLOWHUB_HOME=str(app.path), FLOWHUB_NODE=node, **HELD)


def pinned(origin: Origin, path: str, served: Pattern, hold: Hold) -> dict[str, Any]:
    """Return a model whose digest is RIGHT's, whatever `served` is; it stops in its midst until it is let go."""
    url = origin.serve(path, served, faults=(hold.once(),))
    return one_file_model("m", url, RIGHT, filename="m.gguf")


def begun(app: App, store: Path, count: int) -> None:
    """Wait until `count` partials have their first bytes."""
    partials = lambda: store.glob(".partial/*/")  # noqa: E731
    app.until(lambda: sum(kept_in(one) >= MIB for one in partials()) == count, f"{count} partials begun")


def test_a_second_home_of_the_same_name_never_writes_into_what_the_first_installs(
    origin: Origin, homes: Homes, store: Path
) -> None:
    """Its source lies, and it is late: what it still writes goes into a file of its own."""
    holds = Hold(after=MIB + 100_000), Hold(after=MIB + 100_000)
    first = homes("twin", pinned(origin, "/1/m.gguf", RIGHT, holds[0]))
    job = first.enqueue("m")
    at_work(first, "twin")
    begun(first, store, 1)
    second = homes("twin", pinned(origin, "/2/m.gguf", WRONG, holds[1]))
    late = second.enqueue("m")
    at_work(second, "twin")
    begun(second, store, 2)

    holds[0].event.set()
    assert first.until_ended(job).state is State.COMPLETED
    holds[1].event.set()
    second.until_ended(late)
    assert (store / "m.gguf").read_bytes() == RIGHT.read()
    told = [event.text for event in second.events(late) if event.kind == "namesake"]
    assert len(told) == 1
    assert f"{first.path}" in told[0]
    assert "twin" in told[0]


@pytest.mark.parametrize("nodes", [("one", "two"), ("twin", "twin")])
def test_the_second_to_finish_the_same_pinned_file_takes_it_as_it_is(
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
        at_work(app, node)
        begun(app, store, number)
    for app, job, hold in zip(apps, jobs, holds, strict=True):
        hold.event.set()
        assert app.until_ended(job).state is State.COMPLETED
        assert [model.sha256 for model in app.session.installed.models()] == [RIGHT.sha256()]
    assert (store / "m.gguf").read_bytes() == RIGHT.read()
    assert list((store / ".partial").iterdir()) == []


def test_the_second_to_finish_the_same_pinned_folder_takes_it_as_it_is(
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
        at_work(app, f"n{number}")
        app.until(lambda number=number: origin.sent(f"/{number}/model.safetensors") >= 1000, "its first bytes")
    for app, job, hold in zip(apps, jobs, holds, strict=True):
        hold.event.set()
        assert app.until_ended(job).state is State.COMPLETED
    assert {path: (store / "m-mlx-4bit" / path).read_bytes() for path in files} == files


@pytest.mark.parametrize("same", [True, False])
def test_an_unpinned_file_that_another_home_was_quicker_with_is_taken_if_it_is_the_same_and_never_replaced(
    origin: Origin, homes: Homes, store: Path, same: bool
) -> None:
    holds = Hold(after=MIB + 100_000), Hold(after=MIB + 100_000)
    apps = []
    for number, (content, hold) in enumerate(zip((RIGHT, RIGHT if same else WRONG), holds, strict=True)):
        url = origin.serve(f"/{number}/m.gguf", content, faults=(hold.once(),))
        apps.append(homes(f"n{number}", one_file_model("m", url, content, pin=False, filename="m.gguf")))
    jobs = [app.enqueue("m") for app in apps]
    for number, app in enumerate(apps):
        at_work(app, f"n{number}")
        begun(app, store, number + 1)
    holds[0].event.set()
    assert apps[0].until_ended(jobs[0]).state is State.COMPLETED
    holds[1].event.set()
    ended = apps[1].until_ended(jobs[1])
    assert (ended.error and ended.error["code"]) == (None if same else "name_taken")
    assert ended.sha256_state == ("unpinned" if same else ended.sha256_state)
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
