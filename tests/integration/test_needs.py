"""A CI that lacks a tool is red; a person who lacks it is told, and goes on."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = "from support.needs import pytest_make_collect_report, pytest_runtest_makereport\n"
TESTS = Path(__file__).parents[1]


def run(folder: Path, test: str, *, ci: bool) -> subprocess.CompletedProcess[str]:
    """Run pytest on one test file of its own, with the hooks of `support.needs`."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(f"import pytest\n{test}\n")
    environ = {name: value for name, value in os.environ.items() if name != "CI"} | {"PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-m", "pytest", "-rsfE", "-p", "no:cacheprovider", f"--rootdir={folder}", str(folder)]
    return subprocess.run(
        command, cwd=folder, env=environ | ({"CI": "true"} if ci else {}), capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    "test",
    [
        "def test_it(): pytest.skip('needs tmux')",
        "@pytest.mark.skipif(True, reason='needs tmux')\ndef test_it(): ...",
        "pytest.skip('needs tmux', allow_module_level=True)",
    ],
)
def test_a_skip_for_want_of_a_tool_fails_in_ci_alone(tmp_path, test):
    at_home, in_ci = run(tmp_path, test, ci=False), run(tmp_path, test, ci=True)
    assert at_home.returncode in (0, 5), at_home.stdout  # 5: a module that was skipped whole has no tests
    assert "needs tmux" in at_home.stdout
    assert in_ci.returncode in (1, 2), in_ci.stdout
    assert "CI must not skip this test: it needs tmux." in in_ci.stdout


def test_any_other_skip_stays_one_in_ci(tmp_path):
    result = run(tmp_path, "def test_it(): pytest.skip('macOS alone has this')", ci=True)
    assert result.returncode == 0, result.stdout
    assert "1 skipped" in result.stdout


def test_an_expected_failure_stays_one_in_ci(tmp_path):
    result = run(tmp_path, "@pytest.mark.xfail(reason='needs a fix')\ndef test_it(): assert False", ci=True)
    assert result.returncode == 0, result.stdout
