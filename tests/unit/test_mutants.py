"""Each mutant of `scripts/mutants` fits the code: its text occurs there exactly once, its names and tests exist."""

import json
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
