"""SIGKILL while a model is placed in each program: the next worker finishes or undoes it, and the program loads it."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import app_readers
from support.app import App, app_of
from support.disk_files import files_in
from support.fork_server import ForkServer
from support.gguf_files import GgufFile, llama_8b
from support.hub import Hub
from support.models import folder_model, gguf

REPO, FILE, MMPROJ = "owner/Some-Model-GGUF", "Some-Model-Q4_K_M.gguf", "mmproj-Some-Model-F16.gguf"
MAKE, STAGING, REMOVE = (f"flowhub_jobs.placement.{name}" for name in ("carry_out_plan", "staging", "remove"))

# The program's folder below its root, and a function that loads the model as the program does.
PROGRAMS: dict[str, Any] = {
    "lm-studio": lambda root: app_readers.read_lm_studio(root)[REPO],
    "ollama": lambda root: app_readers.read_ollama(root)["b:q4_k_m"].projectors[0],
    "llama-cpp": lambda root: app_readers.read_llama_cpp(root, REPO)["projector"],
    "jan": lambda root: app_readers.read_jan(root)["owner/Some-Model-Q4_K_M"].projector,
    "localai": lambda root: app_readers.read_localai(root)["Some-Model-Q4_K_M"]["projector"],
}
STEPS = [
    f"{STAGING}:make_one:after",
    f"{MAKE}:_link_kind:after",
    f"{STAGING}:rename_new:after",
    f"{STAGING}:rename_new:after:2",
    f"{MAKE}:complete_row:before",
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return llama_8b(GgufFile(tmp_path_factory.mktemp("gguf") / "w.gguf", words=["word"] * 100)).read_bytes()


@pytest.fixture
def app(
    home: Path, hub: Hub, tmp_path: Path, weights: bytes, monkeypatch: pytest.MonkeyPatch, fork_server: ForkServer
) -> Iterator[App]:
    """A home with a model and its projector installed, and a folder for each program in its config.toml."""
    files = {FILE: weights, MMPROJ: gguf(3000, 3)}
    for path, content in files.items():
        hub.add(REPO, path, content)
    address = f"https://huggingface.co/{REPO}/resolve/main"
    served = {path: (f"{address}/{path}", content) for path, content in files.items()}
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    folders = "".join(f'{program} = "{tmp_path / program}"\n' for program in PROGRAMS)
    home.mkdir(exist_ok=True)
    (home / "config.toml").write_text(f"[apps]\n{folders}")
    with app_of(home, folder_model("b", served, option="q4_k_m", format="gguf")) as app:
        app.enqueue("b")
        assert fork_server.drain(app) == 0
        yield app


def name_of(app: App) -> str:
    [model] = app.home.store.models()
    return model.name


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_loads_a_model_whose_placement_was_killed_or_finds_nothing_of_it(
    app: App, fork_server: ForkServer, tmp_path: Path, program: str, step: str
) -> None:
    root, name = tmp_path / program, name_of(app)
    assert fork_server.run(app, "place", name, "--in", program, failpoints=f"kill={step}").status == -signal.SIGKILL
    assert fork_server.drain(app, failpoints="fast_maintenance") == 0
    if app.home.placement_rows.all():
        assert PROGRAMS[program](root)
    else:
        assert files_in(root) == {}
    assert fork_server.run(app, "place", name, "--in", program).status == 0
    assert PROGRAMS[program](root)
    killed = fork_server.run(app, "unplace", name, failpoints=f"kill={STAGING}:remove_own:after:2")
    assert killed.status == -signal.SIGKILL
    assert fork_server.drain(app, failpoints="fast_maintenance") == 0
    assert files_in(root) == {}
    assert app.home.placement_rows.all() == []
