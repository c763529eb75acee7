"""The plan of `dir:PATH`, and the registry of programs."""

from pathlib import Path

import pytest

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.placement.apps import APPS, app_named
from flowhub_jobs.placement.values import InstalledForPlacement, PlacementFile, PlannedLink

STORE = Path("/store")


def _file(path: str, source: Path) -> PlacementFile:
    return PlacementFile(source, path, 3, "a" * 64)


def test_a_file_is_linked_under_its_name():
    model = InstalledForPlacement("m.gguf", "m", "q4", None, False, (_file("m.gguf", STORE / "m.gguf"),))
    app = app_named("dir:/shared")
    plan = app.plan(model, app.default_root({}, Path("/home/me")))
    assert plan.entries == (PlannedLink(STORE / "m.gguf", Path("/shared/m.gguf")),)
    assert plan.path == Path("/shared/m.gguf")


def test_a_folder_is_a_folder_of_links_to_its_files():
    files = tuple(_file(path, STORE / "m-mlx" / path) for path in ("sub/b.json", "a.safetensors"))
    plan = app_named("dir:/shared").plan(InstalledForPlacement("m-mlx", "m", "mlx", None, True, files), Path("/x"))
    assert [entry.target for entry in plan.entries] == [Path("/x/m-mlx/a.safetensors"), Path("/x/m-mlx/sub/b.json")]


@pytest.mark.parametrize("name", ["dir:", "dir:relative/path", "dir:~no-such-user-here/x", "lmstudio", ""])
def test_a_name_of_no_program_is_refused(name):
    with pytest.raises(UsageInvalid):
        app_named(name)


def test_every_registered_program_has_its_name():
    assert [app_named(name).name for name in APPS] == list(APPS)
