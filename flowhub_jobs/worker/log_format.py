"""Formats a worker's log: one line per record, for a terminal, for systemd's journal, or as JSON. Removes secrets."""

import json
import logging
import os
import re
import sqlite3
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.fs.names import is_unseen
from flowhub_jobs.net.redaction import scrub
from flowhub_jobs.times import rfc3339

PLAIN, JSON = "plain", "json"
HANDLER = "flowhub"  # the name of flowhub's handler
FOREIGN = ("huey", "httpx", "httpcore", "alembic")  # they log each request with its address
NARROW = 20  # columns, below which folding does not make a line easier to read
_TWO_STOPS = re.compile(r"(?<!\.)(\.[\"'”)]?)\.$")  # where a sentence was quoted at the end of another
# sd-daemon(3): the beginning of a line says how severe it is.
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))


def set_up(format: str, stream: TextIO, environ: Mapping[str, str]) -> None:  # noqa: A002, the setting's own word
    """Log to `stream` from now on, in this format: plain (as fits the stream) or json. Raises UsageInvalid."""
    if format not in (PLAIN, JSON):
        raise UsageInvalid(f"{format[:40]!r} is not a format of the log.", hint=f"Write {PLAIN} or {JSON}.")
    handler = logging.StreamHandler(stream)
    handler.name = HANDLER
    handler.addFilter(RepeatFilter())
    handler.setFormatter(JsonLine() if format == JSON else _plain(stream, environ))
    root = logging.getLogger()
    for former in [one for one in root.handlers if one.name == HANDLER]:
        root.removeHandler(former)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in FOREIGN:
        logging.getLogger(name).setLevel(logging.WARNING)


def _plain(stream: TextIO, environ: Mapping[str, str]) -> "LogLine":
    if _is_journal(stream, environ.get("JOURNAL_STREAM", "")):
        return JournalLine()
    return TerminalLine(stream) if stream.isatty() else LogLine("%Y-%m-%dT%H:%M:%S%z")


def _is_journal(stream: TextIO, journal: str) -> bool:
    """Return whether the stream is the journal's: the variable holds its device and inode (systemd.exec(5)).

    It is inherited by what a service starts with another stream, such as a terminal: that it is set says nothing.
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return journal == f"{status.st_dev}:{status.st_ino}"


class LogLine(logging.Formatter):
    """`12:34:56 Job 3 is completed`, on one line whatever is in it."""

    def __init__(self, time_format: str) -> None:
        super().__init__(datefmt=time_format)

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime(self.datefmt or "", time.localtime(record.created))
        grave = f"{record.levelname}: " if record.levelno >= logging.WARNING else ""
        return f"{at} {grave}{record_text(record)}"


class TerminalLine(LogLine):
    """The same for a terminal, which would break a long line in the middle of a word."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__("%H:%M:%S")
        self._stream = stream

    def format(self, record: logging.LogRecord) -> str:
        text, width = super().format(record), self._columns()
        if width < NARROW or len(text) <= width:
            return text
        indent = " " * len("12:34:56 ")
        return textwrap.fill(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)

    def _columns(self) -> int:
        """Return the terminal's width now; 0 where it does not say."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns
        except (OSError, ValueError):
            return 0


class JournalLine(LogLine):
    """`<6>Job 3 is completed`: the journal knows the time."""

    def __init__(self) -> None:
        super().__init__("")

    def format(self, record: logging.LogRecord) -> str:
        priority = next((number for level, number in _PRIORITIES if record.levelno >= level), 7)
        return f"<{priority}>{record_text(record)}"


class JsonLine(logging.Formatter):
    """One JSON object: at, level, logger, message, and job where it is about one."""

    def format(self, record: logging.LogRecord) -> str:
        message = record_text(record)
        line: dict[str, Any] = {
            "at": rfc3339(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": message,
        }
        if isinstance(job := getattr(record, "job", None), int):  # as the call gave it: log.info(…, extra={"job": 3})
            line["job"] = job
        return json.dumps(line)


def record_text(record: logging.LogRecord) -> str:
    """Return a record with its traceback on one line, without secrets and terminal control characters."""
    text = _TWO_STOPS.sub(r"\1", record.getMessage()) + _error_of(record)
    if before := getattr(record, "suppressed", 0):
        text += f" ({before} more since this was last logged)"
    # Scrubbed line by line: a header's secret ends with its line, the words behind it are not a part of it.
    lines = (scrub(line.strip()) for line in text.splitlines())
    return "".join("?" if is_unseen(char) else char for char in " | ".join(line for line in lines if line))


def _error_of(record: logging.LogRecord) -> str:
    """Return the record's error: with its traceback, unless a library alone met a disk error."""
    if not record.exc_info:
        return ""
    error = record.exc_info[1]
    if isinstance(error, OSError | sqlite3.Error) and not _passed_flowhub(error):
        return f": {error}"
    return "\n" + logging.Formatter().formatException(record.exc_info)


def _passed_flowhub(error: BaseException) -> bool:
    frames = traceback.walk_tb(error.__traceback__)
    return any(frame.f_globals.get("__name__", "").startswith("flowhub_jobs") for frame, _ in frames)


QUIET_S = 60.0
KNOWN_MAX = 256  # warnings that are remembered
REPEATING = ("huey", "flowhub.heartbeat", "flowhub.maintenance", "flowhub.notices")  # the loggers of these warnings


@dataclass(slots=True)
class _Logged:
    at: float
    suppressed: int = 0


class RepeatFilter(logging.Filter):
    """Suppresses a warning that was logged within QUIET_S, and counts it: the next one says how many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock, self._lock = clock, threading.Lock()
        self._logged: dict[tuple[str, int, str], _Logged] = {}  # the latest last

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING or not record.name.startswith(REPEATING):
            return True
        try:
            warning = record.name, record.levelno, record_text(record)
        except Exception:  # arguments that do not fit: the formatter reports that, and raises nothing
            return True
        now = self._clock()
        with self._lock:
            earlier = self._logged.get(warning)
            if earlier is not None and now - earlier.at < QUIET_S:
                earlier.suppressed += 1
                return False
            record.suppressed = earlier.suppressed if earlier else 0
            self._logged.pop(warning, None)
            self._logged[warning] = _Logged(now)
            if len(self._logged) > KNOWN_MAX:
                del self._logged[next(iter(self._logged))]
        return True
