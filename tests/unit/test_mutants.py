"""Each mutant of `scripts/mutants` fits the code: its text occurs there exactly once, and its tests exist."""

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
