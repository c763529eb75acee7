"""Properties of service files: systemd and launchd read back any path and value unchanged."""

import plistlib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from support.systemd_syntax import command, resolve_specifiers, values, words

from flowhub_jobs.service.program import Program
from flowhub_jobs.service.unit_text import plist_text, unit_text

ENV = Path("/home/u/.config/flowhub/env")
ARGV = ("/opt/bin/flowhub", "worker")

# Characters of a path or a value: valid Unicode without control characters. Special ones are drawn often.
TEXT = st.text(st.one_of(st.sampled_from("%$\"'\\ ;{}#=[*é雪"), st.characters(exclude_categories=("Cc", "Cs", "Cn"))))
PATH = TEXT.map(lambda text: "/" + text.strip("/ ") + "/flowhub")


@given(path=PATH, arguments=st.lists(TEXT, max_size=3))
def test_systemd_runs_the_command_unchanged(path, arguments):
    [line] = values(unit_text(Program((path, *arguments), {}), ENV), "ExecStart")
    argv = command(line)
    if argv[0] == "/bin/sh":  # for a path that systemd accepts only as an argument
        assert argv[1:3] == ["-c", 'exec "$0" "$@"']
        argv = argv[3:]
    assert argv == [path, *arguments]


@given(environment=st.dictionaries(st.sampled_from(["FLOWHUB_HOME", "FLOWHUB_STORE", "no_proxy"]), TEXT))
def test_systemd_sets_the_environment_unchanged(environment):
    lines = values(unit_text(Program(ARGV, environment), ENV), "Environment")
    assert [words(line) for line in lines] == [[f"{name}={value}"] for name, value in sorted(environment.items())]


@given(folder=PATH)
def test_the_environment_file_is_found_whatever_its_folder_is_called(folder):
    [line] = values(unit_text(Program(ARGV, {}), Path(folder) / "env"), "EnvironmentFile")
    pattern = resolve_specifiers(line.removeprefix("-"))
    assert pattern.startswith("/")
    plain, rest = "", iter(pattern)  # as glob(7) reads it: an escaped character stands for itself
    for character in rest:
        assert character not in "*?["
        plain += next(rest) if character == "\\" else character
    assert plain == str(Path(folder) / "env")


@given(path=PATH, value=TEXT)
def test_launchd_reads_the_command_and_the_environment_unchanged(path, value):
    agent = plistlib.loads(plist_text(Program((path, value), {"FLOWHUB_HOME": value}), Path(path)).encode())
    assert agent["ProgramArguments"] == [path, value]
    assert agent["EnvironmentVariables"] == {"FLOWHUB_HOME": value}
