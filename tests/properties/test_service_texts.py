"""Whatever paths and values are called, systemd and launchd read what was meant."""

import plistlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from support.systemd_syntax import command, specified, values, words

from flowhub_jobs.service.program import Program
from flowhub_jobs.service.unit_text import plist_text, unit_text

ENV = Path("/home/u/.config/flowhub/env")
WORDS = ("/opt/bin/flowhub", "worker")

# Whatever a path or a value may hold: no control characters, and valid Unicode. Awkward ones are drawn often.
TEXT = st.text(st.one_of(st.sampled_from("%$\"'\\ ;{}#=[*é雪"), st.characters(exclude_categories=("Cc", "Cs", "Cn"))))
PATH = TEXT.map(lambda text: "/" + text.strip("/ ") + "/flowhub")


@given(path=PATH, arguments=st.lists(TEXT, max_size=3))
def test_systemd_runs_the_words_that_were_meant(path, arguments):
    [line] = values(unit_text(Program((path, *arguments), {}), ENV), "ExecStart")
    run = command(line)
    if run[0] == "/bin/sh":  # a path that systemd takes as an argument only
        assert run[1:3] == ["-c", 'exec "$0" "$@"']
        run = run[3:]
    assert run == [path, *arguments]


@given(environment=st.dictionaries(st.sampled_from(["FLOWHUB_HOME", "FLOWHUB_STORE", "no_proxy"]), TEXT))
def test_systemd_sets_the_values_that_were_meant(environment):
    lines = values(unit_text(Program(WORDS, environment), ENV), "Environment")
    assert [words(line) for line in lines] == [[f"{name}={value}"] for name, value in sorted(environment.items())]


@given(folder=PATH)
def test_the_file_of_secrets_is_found_whatever_its_folder_is_called(folder):
    [line] = values(unit_text(Program(WORDS, {}), Path(folder) / "env"), "EnvironmentFile")
    pattern = specified(line.removeprefix("-"))
    assert pattern.startswith("/")
    plain, rest = "", iter(pattern)  # as glob(7) reads it: a character that is escaped stands for itself
    for one in rest:
        assert one not in "*?["
        plain += next(rest) if one == "\\" else one
    assert plain == str(Path(folder) / "env")


@given(path=PATH, value=TEXT)
def test_launchd_reads_the_words_and_values_that_were_meant(path, value):
    said = plistlib.loads(plist_text(Program((path, value), {"FLOWHUB_HOME": value}), Path(path)).encode())
    assert said["ProgramArguments"] == [path, value]
    assert said["EnvironmentVariables"] == {"FLOWHUB_HOME": value}
