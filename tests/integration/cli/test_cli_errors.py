"""Tests of errors: a clear line or one JSON object, the right exit status, and no traceback.

The causes are bad input, unusable folders, databases and catalogs, signals, and streams that cannot be written.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import fields

import pytest
from support.cli import PROGRAM, cli_app, run_command, start_command
from support.models import catalog, gguf, one_file_model

from flowhub_jobs.cli.app import VERBS as VERB_TABLE
from flowhub_jobs.cli.app import command
from flowhub_jobs.cli.help.setting_texts import TEXTS
from flowhub_jobs.cli.help.state_texts import MOVED_BY, STATES
from flowhub_jobs.cli.main import run
from flowhub_jobs.cli.signals import InterruptedBySignal
from flowhub_jobs.errors import ERRORS
from flowhub_jobs.errors.guide import guides
from flowhub_jobs.jobs.states import MOVES
from flowhub_jobs.settings import Settings
from flowhub_jobs.values.enums import Reason, State

A = gguf(4096, 1)
VERBS = [name for names in VERB_TABLE.values() for name in names]


@pytest.fixture
def app(home, monkeypatch):
    with cli_app(home, monkeypatch, one_file_model("m", "https://h.example/m.gguf", A)) as app:
        yield app


# Usage ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_refuses_an_option_that_it_does_not_have(cli, home, verb):
    result = cli(verb, "--no-such-option")
    assert result.status == 2
    assert "--no-such-option" in result.error_text
    assert f"`flowhub {verb} --help`" in result.err
    assert cli(verb, "--no-such-option", "--json").error["code"] == "usage"
    assert not home.exists()


def _options_with_a_value():
    """Return the words of each command before an option that takes a value."""
    for name in VERBS:
        verb = command().commands[name]
        for sub, subcommand in {"": verb, **getattr(verb, "commands", {})}.items():
            for parameter in subcommand.params:
                if parameter.param_type_name == "option" and not parameter.is_flag:
                    yield [name, *sub.split(), parameter.opts[0]]


@pytest.mark.parametrize("words", list(_options_with_a_value()), ids=" ".join)
def test_an_option_with_an_empty_value_is_2_in_each_verb(cli, home, words):
    """An unset variable of a script must neither start a job at once nor remove a limit."""
    for empty in ("", " "):
        result = cli(*words, empty)
        assert result.status == 2
        assert words[-1] in result.error_text
        assert "it is empty" in result.error_text or "is not a whole number." in result.error_text
    assert not home.exists()


@pytest.mark.parametrize("words", list(_options_with_a_value()), ids=" ".join)
def test_an_option_without_its_value_before_json_is_an_error_in_json(cli, home, words):
    result = cli(*words, "--json")
    assert result.status == 2
    assert result.error["code"] == "usage"
    assert words[-1] in result.error["message"]
    assert not home.exists()


@pytest.mark.parametrize("name", ["all", "two words", "-", "x" * 65])
def test_a_worker_with_an_invalid_node_name_is_2(cli, home, name):
    result = cli("worker", "--drain", f"--node={name}")
    assert result.status == 2
    assert repr(name) in result.error_text
    assert not home.exists()


def test_a_line_of_a_list_with_an_empty_option_is_2(cli, app, tmp_path):
    (tmp_path / "list").write_text("m --at ''\n")
    result = cli("enqueue", "-f", str(tmp_path / "list"), "--json")
    assert result.status == 2
    assert "Line 1" in result.error["message"]
    assert cli("status", "--json").json["jobs"] == []


@pytest.mark.parametrize("verb", ["serch", "", "fetch", "--nonsense", "-x"])
def test_an_unknown_verb_is_2(cli, home, verb):
    assert cli(verb).status == 2
    assert cli(verb).error_text
    assert cli(verb, "--json").error["code"] == "usage"


@pytest.mark.parametrize(
    "arguments",
    ["show", "path", "rm", "path a b", "worker --jobs 0", "worker --jobs x", "worker --jobs 1000", "worker --until x",
     "worker --limit-rate x", "help me", "list x"],
)  # fmt: skip
def test_a_wrong_argument_is_2(cli, home, arguments):
    assert cli(*arguments.split()).status == 2
    assert cli(*arguments.split()).error_text


def test_json_may_stand_before_the_verb(cli, app):
    app.enqueue("m")
    assert cli("--json", "status").json == cli("status", "--json").json
    assert cli("--json", "schedule", "show").json == cli("schedule", "show", "--json").json
    assert cli("--json", "enqueue", "--", "m").jobs[0]["id"] == 1
    assert cli("--json", "status", "--nonsense").error["code"] == "usage"
    assert "workers" in cli("--json").json


def test_help_and_version_are_0(cli, home):
    assert cli("--version").out.startswith("flowhub 0.")
    assert cli("--help").out.startswith("Usage: flowhub")
    for verb in VERBS:
        assert cli(verb, "-h").out.startswith(f"Usage: flowhub {verb}")
    assert not home.exists()


@pytest.mark.parametrize("topic", ["errors", "states", "reasons", "settings", "references", "units"])
def test_each_topic_has_its_page(cli, home, topic):
    assert cli("help", topic).out.count("\n") > 2
    assert cli("help").status == 0


def test_the_table_of_errors_has_every_code_with_its_exit_status(cli, home):
    out = cli("help", "errors").out
    for code, kind in ERRORS.items():
        assert any(line.split()[:2] == [str(kind.exit_status), code] for line in out.splitlines())


def test_the_page_of_errors_has_the_meaning_and_the_remedy_of_every_code(cli, home):
    out = " ".join(cli("help", "errors").out.split())
    for guide in guides():
        assert f"{guide.meaning} {guide.remedy}" in out, guide.code


@pytest.mark.parametrize("word", ["errors", "states", "reasons", "settings", "references", "units", "digest_mismatch"])
def test_a_page_of_the_help_fits_eighty_columns(home, word):
    """A word that is longer than a line, such as a path, is not broken."""
    for line in run_command("help", word, COLUMNS="80").out.splitlines():
        assert len(line) <= 80 or "/" in line, line


def test_help_looks_up_verbs_codes_states_reasons_and_settings(cli, home):
    assert cli("help", "search").out.startswith("Usage: flowhub search")
    assert cli("help", "schedule", "set").out.startswith("Usage: flowhub schedule set")
    output = cli("help", "digest_mismatch").out
    assert "exit status 8" in output
    assert "`flowhub verify --repair MODEL`" in output
    assert cli("help", "queued").out.startswith("State queued:")
    assert cli("help", "window").out.startswith("Reason window")
    assert cli("help", "cancelled").out.count("cancelled:") == 2  # the code and the state
    assert cli("help", "FLOWHUB_JOBS").out.startswith("FLOWHUB_JOBS = 3\n")
    assert cli("help", "jobs").out == cli("help", "FLOWHUB_JOBS").out
    assert "Did you mean settings?" in cli("help", "setings").error_text
    assert "flowhub enqueue" in cli("help", "pull").error_text


def test_every_setting_is_explained_with_its_value_and_its_unit(cli, home):
    out = cli("help", "settings").out
    assert {setting.name for setting in fields(Settings)} <= set(TEXTS)
    assert "FLOWHUB_DISK_RESERVE = 1000000000 (1.0 GB)\n" in out
    assert "FLOWHUB_BACKOFF_CAP_S = 300 s (5 min)\n" in out
    assert f"FLOWHUB_DATABASE_URL = sqlite:///{home}/flowhub.db\n" in out, "a value is shown whole"


def test_the_help_for_programs_has_every_verb_option_code_and_state(cli, home):
    page = cli("help", "--json").json
    assert page["schema"] == "flowhub/help/1"
    verbs = {verb["name"]: verb for verb in page["verbs"]}
    assert set(VERBS) | {"worker install", "schedule set", "catalog validate"} <= set(verbs)
    options = {name for option in verbs["enqueue"]["options"] for name in option["names"]}
    assert {"-f", "--file", "--tonight", "--at", "--after", "--sha256", "--json"} <= options
    assert [entry["name"] for entry in verbs["schedule set"]["arguments"]] == ["WINDOWS"]
    assert {entry["code"]: entry["exit_status"] for entry in page["errors"]} == {
        code: kind.exit_status for code, kind in ERRORS.items()
    }
    assert [entry["state"] for entry in page["states"]] == [str(state) for state in State]
    assert [entry["reason"] for entry in page["reasons"]] == [str(reason) for reason in Reason]
    assert {entry["name"] for entry in page["settings"]} == {setting.name for setting in fields(Settings)}


def test_the_states_of_the_help_are_those_of_the_code():
    assert set(STATES) == set(State)
    assert set(MOVED_BY) == set(MOVES)


@pytest.mark.parametrize(
    "url", ["postgresql://me:s3cret@h.example/flow", "postgresql://h.example/flow?password=s3cret&x=1"]
)
def test_the_settings_show_a_database_without_its_password(cli, home, monkeypatch, url):
    monkeypatch.setenv("FLOWHUB_DATABASE_URL", url)
    output = cli("help", "settings").out
    assert f"FLOWHUB_DATABASE_URL = {url.replace('s3cret', '…')}\n" in output


def test_the_settings_show_no_secret(cli, home, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    assert "very_secret" not in cli("help", "settings").out


# Home, database and settings -----------------------------------------------------------------------------------------


def test_a_home_that_is_a_file_is_1(cli, home):
    home.write_text("I am a file")
    for arguments in ([], ["status"], ["list"], ["enqueue", "qwen3-8b"], ["worker", "--drain"]):
        result = cli(*arguments)
        assert (result.status, result.out) == (1, ""), arguments
        assert "FLOWHUB_HOME" in result.error_text
    assert cli("status", "--json").error["code"] == "home_unusable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_home_is_1(cli, home):
    home.mkdir(mode=0o500)
    assert cli("status", "--json").error["code"] == "home_unusable"


def test_a_database_of_a_newer_version_is_1_and_is_left_alone(cli, app):
    database = sqlite3.connect(app.settings.home / "flowhub.db")
    with database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    database.close()
    result = cli("status", "--json")
    assert (result.status, result.error["code"]) == (1, "database_newer")
    assert cli("worker", "--drain").status == 1


def test_a_file_that_is_no_database_is_1(cli, home):
    home.mkdir()
    (home / "flowhub.db").write_bytes(b"not a database, but longer than a header of one" * 100)
    result = cli("status", "--json")
    assert (result.status, result.error["code"]) == (1, "database_unusable")


def test_the_error_of_an_invalid_setting_names_it(cli, home):
    home.mkdir()
    (home / "config.toml").write_text("jobs = 'many'\n")
    result = cli("status", "--json")
    assert (result.status, result.error["code"]) == (1, "setting_invalid")
    assert "jobs" in result.error["message"]


# The catalog ---------------------------------------------------------------------------------------------------------

GOOD = catalog(one_file_model("m", "https://h.example/m.gguf", A))
MALFORMED = {
    "not JSON": b"<html>",
    "nothing": b"",
    "100,000 brackets": b"[" * 100_000,
    "NaN": b'{"apiVersion": "v1", "models": NaN}',
    "a list": b"[]",
    "another version": json.dumps({**GOOD, "apiVersion": "v2"}).encode(),
    "an id twice": json.dumps({**GOOD, "models": GOOD["models"] * 2}).encode(),
    "an unsafe name": json.dumps(catalog(one_file_model("m", "https://h.example/m.gguf", A, filename="../m"))).encode(),
    "a bad digest": json.dumps(catalog(one_file_model("m", "https://h.example/m.gguf", A, sha256="no"))).encode(),
}


@pytest.mark.parametrize("kind", list(MALFORMED))
def test_a_malformed_catalog_is_1_from_a_file_and_5_from_a_url(cli, home, origin, tmp_path, monkeypatch, kind):
    path = tmp_path / "catalog.json"
    path.write_bytes(MALFORMED[kind])
    monkeypatch.setenv("FLOWHUB_CATALOG", str(path))
    result = cli("enqueue", "m", "--json")
    assert (result.status, result.out, result.error["code"]) == (1, "", "catalog_malformed")
    assert cli("show", "m").error_text
    monkeypatch.setenv("FLOWHUB_CATALOG", origin.serve("/catalog.json", MALFORMED[kind]))
    result = cli("enqueue", "m", "--json")
    assert (result.status, result.error["code"]) == (5, "catalog_source_malformed")
    assert cli("list").error_text
    assert cli("status", "--json").jobs == []


@pytest.mark.parametrize("source", ["/no/such/file.json", "/dev/zero", "/"])
def test_a_catalog_that_cannot_be_read_is_1(cli, home, monkeypatch, source):
    monkeypatch.setenv("FLOWHUB_CATALOG", source)
    assert cli("show", "m", "--json").error["code"] == "catalog_unreadable"


def test_a_catalog_of_another_scheme_is_2(cli, home, monkeypatch):
    monkeypatch.setenv("FLOWHUB_CATALOG", "ftp://h.example/catalog.json")
    assert cli("show", "m", "--json").status == 2


def test_a_source_that_is_down_is_5_without_a_copy_and_a_warning_with_one(cli, home, origin, monkeypatch):
    monkeypatch.setenv("FLOWHUB_CATALOG", origin.serve("/catalog.json", json.dumps(GOOD).encode()))
    assert cli("show", "m", "--json").status == 0
    origin.remove("/catalog.json")
    result = cli("show", "m")
    assert result.status == 0
    assert "copy" in result.err
    assert cli("show", "m", "--json").json["model"]["id"] == "m"  # and nothing on stderr
    monkeypatch.setenv("FLOWHUB_CATALOG", origin.url("/other.json"))
    assert cli("show", "m", "--json").error["code"] == "catalog_unreachable"
    assert cli("status", "--json").status == 0  # which needs no catalog


# Signals and streams -------------------------------------------------------------------------------------------------


def test_a_signal_is_an_interruption_and_no_error_of_a_line(cli, app, monkeypatch, tmp_path):
    """`--keep-going` collects errors; SIGTERM is none of those."""
    from flowhub_jobs.cli.jobs import enqueue_run

    def stop(*_):
        raise InterruptedBySignal

    monkeypatch.setattr(enqueue_run, "parse_line", stop)
    (tmp_path / "list").write_text("m\nm\n")
    result = cli("enqueue", "-f", tmp_path / "list", "--keep-going", "--json")
    assert (result.status, result.error["code"]) == (143, "terminated")


@pytest.mark.parametrize(
    "kind", [RuntimeError("boom"), sqlite3.OperationalError("disk I/O error"), OSError(24, "Too many open files")]
)
def test_an_internal_error_is_printed_without_a_traceback(cli, app, monkeypatch, kind):
    from flowhub_jobs.cli.jobs import overview

    def fail():
        raise kind

    monkeypatch.setattr(overview, "overview", fail)
    assert cli().status == 1
    assert cli().error_text
    assert cli("--json").error["hint"] or isinstance(kind, OSError)
    monkeypatch.setenv("FLOWHUB_DEBUG", "1")
    with pytest.raises(type(kind)):
        run([])


def shell(command: str, **environ: str) -> subprocess.CompletedProcess[bytes]:
    flowhub = " ".join(PROGRAM)
    return subprocess.run(
        ["bash", "-c", command.replace("flowhub", flowhub)], capture_output=True, timeout=60, env=os.environ | environ
    )


@pytest.fixture
def queue(app):
    for number in range(50):
        app.enqueue(f"https://h.example/{number}-Größe.gguf")
    return app


def test_a_reader_that_closes_the_pipe_ends_the_command_quietly(queue):
    process = shell("set -o pipefail; flowhub status --all | head -1")
    assert (process.returncode, process.stdout.count(b"\n")) == (0, 1)
    assert b"Error" not in process.stderr
    assert b"Traceback" not in process.stderr


@pytest.mark.parametrize(
    ("verb", "redirections"),
    [("status", ">&-"), ("status", "2>&-"), ("enqueue -f -", "<&-"), ("rm x -y", "<&- >&- 2>&-")],
)
def test_closed_streams_harm_nothing(queue, verb, redirections):
    process = shell(f"flowhub {verb} {redirections}")
    assert process.returncode in (0, 3)
    assert b"Traceback" not in process.stderr
    assert b"Exception" not in process.stderr
    assert (queue.settings.home / "flowhub.db").read_bytes()[:15] == b"SQLite format 3"


with_full_device = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
buffered_and_not = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])


@with_full_device
@buffered_and_not
def test_a_full_disk_behind_stdout_is_an_error(queue, unbuffered):
    for arguments in ("status --json", "status 1 --json"):  # written at once, and in the end
        process = shell(f"flowhub {arguments} > /dev/full", PYTHONUNBUFFERED=unbuffered)
        assert process.returncode == 1
        message = json.loads(process.stderr)["error"]["message"]
        assert message == "The result cannot be written: No space left on device."


@with_full_device
@buffered_and_not
@pytest.mark.parametrize("arguments", ["--help", "--version", "status -h", "catalog list --help", "help", "device", ""])
def test_a_full_disk_behind_a_text_is_an_error(queue, arguments, unbuffered):
    process = shell(f"flowhub {arguments} > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert process.returncode == 1
    assert process.stderr == b"flowhub: The result cannot be written: No space left on device.\n"


@with_full_device
@buffered_and_not
@pytest.mark.parametrize(
    ("verb", "status"),
    [("status", 0), ("list", 0), ("search qwen", 0), ("worker --drain", 0), ("path nosuch", 3), ("nosuchverb", 2)],
)
def test_a_full_disk_behind_stderr_leaves_the_result_and_the_status(app, verb, status, unbuffered):
    normal = shell(f"flowhub {verb}", PYTHONUNBUFFERED=unbuffered)
    process = shell(f"flowhub {verb} 2> /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert (normal.returncode, process.returncode) == (status, status)
    assert process.stdout == normal.stdout
    assert normal.stderr, "it has something to write there"


@with_full_device
@buffered_and_not
def test_an_error_keeps_its_status_when_nothing_can_be_written(queue, unbuffered):
    assert shell("flowhub path nosuch > /dev/full 2>&1", PYTHONUNBUFFERED=unbuffered).returncode == 3
    assert shell("flowhub status > /dev/full 2>&1", PYTHONUNBUFFERED=unbuffered).returncode == 1


@buffered_and_not
def test_a_pipe_behind_stderr_without_a_reader_leaves_the_result_and_the_status(app, unbuffered):
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        command = [sys.executable, "-m", "flowhub_jobs.cli.main", "search", "qwen"]
        environ = os.environ | {"PYTHONUNBUFFERED": unbuffered}
        process = subprocess.run(command, stdout=subprocess.PIPE, stderr=pipe, timeout=60, env=environ)
    assert (process.returncode, process.stdout) == (0, shell("flowhub search qwen").stdout)


ASCII_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.parametrize(
    ("verb", "environ"),
    [("status 1", {"PYTHONIOENCODING": "ascii"}), ("", ASCII_LOCALE), ("show qwen3-8b", ASCII_LOCALE)],
)
def test_output_to_a_terminal_without_utf8_is_ascii(queue, verb, environ):
    process = shell(f"flowhub {verb}", FLOWHUB_CATALOG="", COLUMNS="60", **environ)
    assert process.returncode == 0, process.stderr
    assert process.stdout.isascii()
    assert b"Traceback" not in process.stderr


def test_help_works_on_a_terminal_without_utf8(home):
    assert shell("flowhub status --help", **ASCII_LOCALE).returncode == 0


def test_json_is_ascii_whatever_the_names_are(queue):
    process = shell("flowhub status --json", PYTHONIOENCODING="ascii")
    assert len(json.loads(process.stdout.decode("ascii"))["jobs"]) == 50


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_stopped_while_it_starts_ends_with_0(home, signum):
    with start_command("worker", "-h", PYTHONPROFILEIMPORTTIME="1") as starting:
        while "typer" not in (line := starting.stderr.readline()):  # flowhub's own imports come after it
            assert line, "the worker ended before its imports"
        starting.send_signal(signum)
        _, err = starting.communicate(timeout=60)
    assert starting.returncode == 0
    assert "Traceback" not in err


def test_the_program_is_the_same_as_a_process(home):
    result = run_command("enqueue", "no-such-model-at-all", "--json")
    assert (result.status, result.error["code"]) == (3, "not_found")
    assert sys.executable in PROGRAM


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fits", "a", "--ctx", "many"], "Invalid value for '--ctx': 'many' is not a whole number."),
        (["search", "x", "--limit", "-3"], "Invalid value for '--limit': -3 is less than 0."),
        (["web", "--port", "99999"], "Invalid value for '--port': 99999 is not between 0 and 65535."),
        (["db"], "Missing command: one of backup, check."),
    ],
)
def test_an_invalid_value_is_refused_with_a_plain_sentence(cli, arguments, sentence):
    result = cli(*arguments)
    assert (result.status, result.err.splitlines()[0]) == (2, f"flowhub: {sentence}")
