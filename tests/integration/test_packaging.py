"""Tests of the wheel: it contains all that the program needs. No file of the project names a registry's host."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SOURCES = ("flowhub_jobs", "migrations", "hub_catalog.json", "pyproject.toml", "README.md", "LICENSE")
# In parts, so that this file does not contain the names that it searches for.
REGISTRY_HOSTS = (
    ("pypi", "org"),
    ("pythonhosted", "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("yarnpkg", "com"),
    ("anaconda", "org"),
    ("debian", "org"),
    ("ubuntu", "com"),
    ("crates", "io"),
    ("rubygems", "org"),
)
LOCK_FILES = {"uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock.toml", "package-lock.json"}
OPEN_A_HOME = """
import json, sys
sys.path.insert(0, sys.argv[1])
import flowhub_jobs
from flowhub_jobs.home import opened
from flowhub_jobs.settings import load_settings
with opened(load_settings({}, home=sys.argv[2])) as home:
    jobs = home.queries.overview()
print(json.dumps({"from": flowhub_jobs.__file__, "models": len(flowhub_jobs.catalog().models), "jobs": len(jobs)}))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network from a copy of the files that its build needs."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("needs hatchling")
    copy, out = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("dist")
    for name in SOURCES:
        source = TOP / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, copy / name)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    result = subprocess.run(build, cwd=copy, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return next(out.glob("flowhub-*.whl"))


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_wheel_carries_the_skill_for_agents(wheel):
    path = "flowhub_jobs/cli/help/SKILL.md"
    assert contents(wheel)[path] == (TOP / path).read_bytes()


def test_the_wheel_carries_every_migration_and_the_catalog(wheel):
    packed = contents(wheel)
    assert packed["flowhub_jobs/_shipped/hub_catalog.json"] == (TOP / "hub_catalog.json").read_bytes()
    migrations = [path for path in (TOP / "migrations").rglob("*") if path.suffix in (".py", ".mako")]
    assert any(path.parent.name == "versions" for path in migrations)
    for path in migrations:
        assert packed[f"flowhub_jobs/_shipped/{path.relative_to(TOP).as_posix()}"] == path.read_bytes()


def test_the_wheel_carries_every_module_and_page_and_nothing_of_the_tests(wheel):
    packed = contents(wheel)
    modules = {path.relative_to(TOP).as_posix() for path in (TOP / "flowhub_jobs").rglob("*.py")}
    assert modules <= packed.keys()
    assert "flowhub_jobs/py.typed" in packed
    for folder in ("templates", "static"):
        page_files = {path.relative_to(TOP).as_posix() for path in (TOP / "flowhub_jobs/web" / folder).iterdir()}
        assert page_files
        assert page_files <= packed.keys()
    assert not [name for name in packed if not name.startswith(("flowhub_jobs/", "flowhub-"))]


def test_the_wheel_has_the_flowhub_command_and_the_license(wheel):
    metadata = {
        name.partition(".dist-info/")[2]: text for name, text in contents(wheel).items() if ".dist-info/" in name
    }
    assert b"flowhub = flowhub_jobs.cli.entry:main" in metadata["entry_points.txt"]
    assert metadata["licenses/LICENSE"] == (TOP / "LICENSE").read_bytes()


def test_the_installed_wheel_works_from_any_folder_without_the_checkout(wheel, tmp_path, home):
    """It finds its own catalog and its own migrations: nothing else is on the path."""
    site, other_folder = tmp_path / "site", tmp_path / "elsewhere"
    other_folder.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    command = [sys.executable, "-c", OPEN_A_HOME, str(site), str(home)]
    result = subprocess.run(command, cwd=other_folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    page = json.loads(result.stdout)
    assert Path(page["from"]).is_relative_to(site)
    assert page["models"] >= 80
    assert page["jobs"] == 0


def test_no_file_names_a_package_registrys_host():
    hosts = "|".join(rf"\b{re.escape(name)}\.{top}\b" for name, top in REGISTRY_HOSTS)
    named = [f"{path}: {match[0]}" for path, text in texts() if (match := re.search(hosts, text))]
    assert named == []


def test_there_is_no_lock_file():
    assert [path for path in tracked() if path.name in LOCK_FILES] == []


def texts() -> Iterator[tuple[Path, str]]:
    for path in tracked():
        yield path.relative_to(TOP), path.read_bytes().decode("utf-8", "replace")


def tracked() -> list[Path]:
    """Return the project's files: those that git tracks, and new ones that it does not ignore."""
    if shutil.which("git") is None:
        pytest.skip("needs git")
    command = ["git", "-c", f"safe.directory={TOP}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    result = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    if result.returncode:
        pytest.skip("needs a Git checkout")
    return [path for name in result.stdout.split("\0") if name and (path := TOP / name).is_file()]
