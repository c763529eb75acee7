"""Tests of support/ci_skips: a missing tool fails a CI run, and skips tests with a message elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[2]
FILES = {
    "conftest.py": "from support.ci_skips import pytest_make_collect_report, pytest_runtest_makereport",
    "test_whole.py": "import pytest\npytest.skip('needs a tool for the file', allow_module_level=True)",
    "test_each.py": """
import pytest

def test_called(): pytest.skip('needs a tool in the test')

@pytest.mark.skipif(True, reason='needs a tool by its mark')
def test_marked(): ...

def test_other(): pytest.skip('macOS alone has this')

@pytest.mark.xfail(reason='needs a fix')
def test_expected(): assert False
""",
}
PYTEST_OPTIONS = ["-p", "no:cacheprovider", "-rsxfE", "--continue-on-collection-errors"]


def run(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run pytest on skipped example tests, with the hooks of `support.ci_skips` and no other plugin."""
    for name, text in FILES.items():
        (folder / name).write_text(text)
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"PYTHONPATH": str(TESTS), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environ}
    command = [sys.executable, "-m", "pytest", *PYTEST_OPTIONS, f"--rootdir={folder}", str(folder)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_missing_tool_skips_its_tests_with_a_message(tmp_path):
    result = run(tmp_path)
    assert result.returncode == 0, result.stdout
    assert "4 skipped, 1 xfailed" in result.stdout
    for reason in ("needs a tool in the test", "needs a tool by its mark", "needs a tool for the file"):
        assert reason in result.stdout


def test_in_ci_a_skip_for_want_of_a_tool_is_a_failure_and_any_other_stays_one(tmp_path):
    result = run(tmp_path, CI="true")
    assert result.returncode == 1, result.stdout
    # A mark and a file are reported before the test runs.
    assert "1 failed, 1 skipped, 1 xfailed, 2 errors" in result.stdout
    for reason in ("needs a tool in the test", "needs a tool by its mark", "needs a tool for the file"):
        assert f"CI must not skip this test: it {reason}." in result.stdout
