"""Each mutant of `scripts/mutants` fits the code: its text occurs there exactly once, its names and tests exist."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MUTANTS = tomllib.loads((ROOT / "scripts" / "mutants.toml").read_text())["mutant"]


@pytest.mark.parametrize("mutant", MUTANTS, ids=[mutant["name"] for mutant in MUTANTS])
def test_a_mutant_fits_the_code_as_it_is(mutant):
    assert set(mutant) == {"promise", "name", "file", "code", "instead", "tests"}
    assert (ROOT / mutant["file"]).read_text().count(mutant["code"]) == 1
    assert all((ROOT / word).exists() for word in mutant["tests"].split() if word.startswith("tests/"))


def test_no_mutant_uses_a_name_that_does_not_exist(tmp_path):
    """Any test notices a NameError: such a mutant would prove nothing of the promise that it names."""
    for number, mutant in enumerate(MUTANTS):
        source = (ROOT / mutant["file"]).read_text().replace(mutant["code"], mutant["instead"])
        (tmp_path / f"{number}.py").write_text(source)
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--output-format", "json"]
    run = subprocess.run([*command, "--select", "F821", tmp_path], capture_output=True, text=True)
    faults = [
        (MUTANTS[int(Path(fault["filename"]).stem)]["name"], fault["message"]) for fault in json.loads(run.stdout)
    ]
    assert faults == []


def test_the_tests_of_each_mutant_exist():
    """A `-k` that selects no test proves nothing: a renamed test would leave its promise unwatched."""
    arguments = {mutant["name"]: shlex.split(mutant["tests"]) for mutant in MUTANTS}
    paths = {word.partition("::")[0] for words in arguments.values() for word in words if word.startswith("tests/")}
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *sorted(paths)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-2000:]
    test_ids = [line for line in run.stdout.splitlines() if "::" in line]
    assert [
        name for name, words in arguments.items() if not any(is_selected(test_id, words) for test_id in test_ids)
    ] == []


def is_selected(test_id: str, arguments: list[str]) -> bool:
    """Return whether pytest's arguments, paths or ids and at most one `-k`, select a test.

    By hand: pytest evaluates a `-k` only while it collects, and one collection for each mutant takes minutes.
    """
    paths = [word for word in arguments if word.startswith("tests/")]
    if not test_id.startswith(tuple(paths)):
        return False
    if "-k" not in arguments:
        return True
    expression = arguments[arguments.index("-k") + 1]
    name = test_id.lower()
    found = re.sub(r"[^\s()]+", lambda word: _truth(word[0], name), expression)
    return bool(eval(found))


def _truth(word: str, name: str) -> str:
    return word if word in ("and", "or", "not") else str(word.lower() in name)
