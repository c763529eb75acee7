"""A worker's log: one line per event in each format, and no secret in any."""

import fcntl
import io
import json
import logging
import os
import pty
import re
import sqlite3
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.worker.log_format import HANDLER, KNOWN_MAX, RepeatFilter, record_text, set_up

log = logging.getLogger("flowhub.test")


@pytest.fixture(autouse=True)
def _restore_root_logger() -> Iterator[None]:
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    root.handlers[:] = handlers


def capture_log(format: str = "plain") -> io.StringIO:  # noqa: A002
    stream = io.StringIO()
    set_up(format, stream, {})
    return stream


def test_in_a_file_a_line_has_its_date_and_its_zone():
    stream = capture_log()
    log.info("Job %d is completed: %s", 3, "tiny@q4")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} Job 3 is completed: tiny@q4\n", stream.getvalue())


def test_on_a_terminal_a_line_has_the_time_alone():
    leader, follower = pty.openpty()
    with os.fdopen(follower, "w") as stream:
        set_up("plain", stream, {})
        log.info("Job 3 is completed.")
        stream.flush()
        assert re.fullmatch(rb"\d\d:\d\d:\d\d Job 3 is completed\.\r\n", os.read(leader, 1000))
    os.close(leader)


def test_a_terminal_breaks_no_line_in_the_middle_of_a_word():
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 40, 0, 0))
    with os.fdopen(follower, "w") as stream:
        set_up("plain", stream, {})
        log.info("Job 3: huggingface.co cannot be reached: Name or service not known.")
        stream.flush()
        first, *rest = os.read(leader, 1000).decode().split("\r\n")
    os.close(leader)
    assert max(map(len, (first, *rest))) <= 40
    assert all(line.startswith(" " * 9) for line in rest if line)
    message = " ".join(" ".join((first, *rest)).split())
    assert message.endswith("huggingface.co cannot be reached: Name or service not known.")


@pytest.mark.parametrize(
    ("text", "logged"),
    [("It ended..", "It ended."), ('It says "no.".', 'It says "no."'), ("Wait...", "Wait..."), ("v1..2", "v1..2")],
)
def test_a_sentence_ends_with_one_full_stop(text, logged):
    stream = capture_log()
    log.info(text)
    assert stream.getvalue().endswith(f" {logged}\n")


def test_in_the_journal_a_line_has_a_priority_and_no_time(tmp_path):
    with (tmp_path / "journal").open("w+") as stream:
        status = os.fstat(stream.fileno())
        set_up("plain", stream, {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"})
        log.info("It runs.")
        log.warning("It fails.")
        log.error("It is over.")
        stream.seek(0)
        assert stream.read() == "<6>It runs.\n<4>It fails.\n<3>It is over.\n"


def test_an_inherited_variable_does_not_make_another_stream_the_journal(tmp_path):
    with (tmp_path / "log").open("w+") as stream:
        set_up("plain", stream, {"JOURNAL_STREAM": "8:4711"})
        log.info("It runs.")
        stream.seek(0)
        assert re.match(r"\d{4}-", stream.read())


def test_a_warning_is_marked_as_one():
    stream = capture_log()
    log.warning("Job 3 failed.")
    assert stream.getvalue().endswith(" WARNING: Job 3 failed.\n")


def test_as_json_each_line_is_an_object_with_the_job_that_the_call_names():
    stream = capture_log("json")
    log.info("Job %d is completed.", 3, extra={"job": 3})
    log.warning("Nothing new.")
    log.info("Elsewhere.", extra={"job": 7})
    first, second, third = map(json.loads, stream.getvalue().splitlines())
    assert list(first) == ["at", "level", "logger", "message", "job"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", first.pop("at"))
    assert first == {"level": "info", "logger": "flowhub.test", "message": "Job 3 is completed.", "job": 3}
    assert list(second) == ["at", "level", "logger", "message"]
    assert third["job"] == 7


SECRETS = [
    ("%s", "https://h.example/m.gguf?X-Signature=s3cret"),
    ("%s", "https://me:s3cret@h.example/m.gguf"),
    ("headers: %s", "Authorization: Bearer s3cret"),
    ("%s", "the token hf_s3cretS3cretS3cret was refused"),
]


@pytest.mark.parametrize("form", ["plain", "json"])
@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_no_secret_is_in_a_message_or_in_a_traceback(form, text, secret):
    stream = capture_log(form)
    log.info(text, secret)
    try:
        raise RuntimeError(secret)
    except RuntimeError:
        log.exception("A fault of flowhub's own")
    assert "s3cret" not in stream.getvalue().lower()
    assert stream.getvalue().count("\n") == 2
    if form == "json":
        assert "RuntimeError" in json.loads(stream.getvalue().splitlines()[1])["message"]


@pytest.mark.parametrize("bad", ["\n", "\r", "\x1b[31m", "\u202e", "\u2028", "\x85"])
def test_a_foreign_name_cannot_add_a_line_or_control_the_terminal(bad):
    stream = capture_log()
    log.info("Job 3 is completed: %s", f"a{bad}b")
    assert len(stream.getvalue().splitlines()) == 1
    assert not set(stream.getvalue()) & {"\x1b", "\u202e"}


def test_the_log_of_every_request_is_off():
    stream = capture_log()
    logging.getLogger("httpx").info("HTTP Request: POST https://h.example/secret-path")
    assert stream.getvalue() == ""


def test_a_line_is_written_once_after_two_set_ups():
    capture_log()
    stream = capture_log()
    log.info("Once.")
    assert stream.getvalue().count("Once.") == 1
    assert [handler.name for handler in logging.getLogger().handlers].count(HANDLER) == 1


# Repeated warnings ----------------------------------------------------------------------------------------------------


def logged_warnings(
    seconds: list[float], text: str = "The disk is full.", name: str = "flowhub.heartbeat"
) -> list[str]:
    """Return the lines that a warning at each of these times adds to the log."""
    now = [0.0]
    repeats = RepeatFilter(lambda: now[0])
    logged = []
    for now[0] in seconds:
        record = logging.LogRecord(name, logging.WARNING, "", 0, text, (), None)
        if repeats.filter(record):
            logged.append(record_text(record))
    return logged


def test_the_same_warning_is_logged_once_a_minute_with_its_count():
    assert logged_warnings([0, 0.4, 1, 59, 60.5, 61, 200]) == [
        "The disk is full.",
        "The disk is full. (3 more since this was last logged)",
        "The disk is full. (1 more since this was last logged)",
    ]


def test_other_warnings_and_information_are_logged_each_time():
    stream = capture_log()
    heartbeat = logging.getLogger("flowhub.heartbeat")
    for number in (1, 2):
        heartbeat.info("It runs.")
        heartbeat.warning("It is late by %d s.", number)
    heartbeat.error("It is late by 2 s.")
    assert [line.split(" ", 1)[1] for line in stream.getvalue().splitlines()] == [
        "It runs.",
        "WARNING: It is late by 1 s.",
        "It runs.",
        "WARNING: It is late by 2 s.",
        "ERROR: It is late by 2 s.",
    ]


@pytest.mark.parametrize("name", ["flowhub.job", "flowhub.network"])
def test_events_of_a_job_or_of_the_network_are_logged_each_time(name):
    assert logged_warnings([0, 1, 2], "Job 3 failed: it is gone.", name) == ["Job 3 failed: it is gone."] * 3


def test_the_number_of_remembered_warnings_is_bounded():
    repeats = RepeatFilter()
    for number in range(3 * KNOWN_MAX):
        repeats.filter(logging.LogRecord("huey", logging.WARNING, "", 0, f"Task {number} failed.", (), None))
    assert len(repeats._logged) == KNOWN_MAX


def test_arguments_that_do_not_fit_are_left_to_the_formatter():
    """The formatter of a handler reports them on stderr; an error in a filter would end the logging thread."""
    assert RepeatFilter().filter(logging.LogRecord("huey", logging.WARNING, "", 0, "%d files", ("x",), None))


def test_a_disk_error_of_a_library_is_logged_in_a_line_and_a_fault_with_its_traceback():
    stream = capture_log()
    consumer = logging.getLogger("huey.consumer.Worker")
    for error in (sqlite3.OperationalError("database or disk is full"), KeyError("a bug")):
        try:
            raise error
        except Exception:
            consumer.exception("Error reading from queue")
    try:
        read_regular(Path("/"), 1)  # an error of flowhub, as in a task
    except OSError:
        consumer.exception("Unhandled error")
    first, second, third = stream.getvalue().splitlines()
    assert first.endswith(" ERROR: Error reading from queue: database or disk is full")
    assert "Traceback" in second
    assert "Traceback" in third


def test_an_unknown_format_is_refused():
    with pytest.raises(UsageInvalid, match="'xml' is not a format of the log"):
        set_up("xml", io.StringIO(), {})
