"""Hints for commands of other tools, and for misspelt commands and variables."""

import pytest

from flowhub_jobs.cli.foreign_commands import _WORDS


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("pull llama3", "`flowhub enqueue llama3` queues a download"),
        ("download hf:owner/repo", "`flowhub enqueue hf:owner/repo`"),
        ("install", "`flowhub enqueue MODEL`"),
        ("add a b c d", "`flowhub enqueue MODEL`"),
        ("get --quiet a", "`flowhub enqueue MODEL`"),
        ("GET it's", "`flowhub enqueue 'it'\"'\"'s'`"),
        ("ps", "`flowhub status`"),
        ("ls", "`flowhub list`"),
        ("remove qwen3-8b", "`flowhub rm qwen3-8b`"),
        ("delete", "`flowhub rm MODEL`"),
        ("info qwen3-8b", "`flowhub show qwen3-8b`"),
        ("config", "`flowhub help settings`"),
        ("serve", "`flowhub worker`"),
        ("run qwen3-8b", "`flowhub path qwen3-8b`"),
        ("worker stop", "Ctrl-C"),
        ("worker logs", "`flowhub worker status`"),
        ("schedule clear", "`flowhub schedule off`"),
        ("catalog add x.json", "`flowhub catalog import FILE`"),
    ],
)
def test_a_command_of_another_tool_is_answered_with_flowhubs_own(cli, home, typed, answer):
    result = cli(*typed.split())
    assert result.status == 2
    assert "has no command" in result.error_text
    assert answer in result.err
    assert cli(*typed.split(), "--json").error["code"] == "usage"
    assert not home.exists()


def test_every_answer_names_commands_that_exist(cli, home):
    import re

    from flowhub_jobs.cli.app import command

    for words in _WORDS.values():
        for hint in words.values():
            for verb in re.findall(r"`flowhub ([a-z]+)", hint):
                assert verb in command().commands, hint


def test_no_word_of_another_tool_is_a_command_of_flowhub(cli, home):
    from flowhub_jobs.cli.app import command

    shared = {word for words in _WORDS["flowhub"] for word in words.split()} & set(command().commands)
    assert not shared


def test_a_misspelt_command_is_answered_with_the_nearest(cli, home):
    assert "Did you mean 'status'" in cli("staus").error_text


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("FLOWHUB_JOBZ", "did you mean FLOWHUB_JOBS?"),
        ("FLOWHUB_HF_TOKEN", "did you mean HF_TOKEN?"),
        ("FLOWHUB_COLOUR_OF_THE_SKY", "`flowhub help settings` lists them."),
    ],
)
def test_a_variable_that_is_no_setting_is_named_with_the_nearest(cli, home, monkeypatch, name, hint):
    monkeypatch.setenv(name, "4")
    result = cli("help", "states")
    assert (result.status, result.err) == (0, f"flowhub: {name} is not a setting and was ignored; {hint}\n")
    assert cli("status", "--json").err == ""


def test_variables_that_flowhub_reads_cause_no_warning(cli, home, monkeypatch):
    for name in ("FLOWHUB_DEBUG", "FLOWHUB_JOBS", "FLOWHUB_STALL_TIMEOUT_S"):
        monkeypatch.setenv(name, "1")
    assert cli("help", "states").err == ""
