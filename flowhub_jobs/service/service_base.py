"""Shared by systemctl and launchctl: calls of a service manager, and writes of files that carry flowhub's mark."""

import os
import secrets
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flowhub_jobs.errors import FlowhubError, NameTaken, ServiceFailed, ServiceUnavailable
from flowhub_jobs.service.program import Program
from flowhub_jobs.service.unit_text import MARK
from flowhub_jobs.system import rename_new

ASK_S = 330.0  # longer than a start may take (unit_text.py, TimeoutStartSec)


@dataclass(frozen=True, slots=True)
class ServiceState:
    """The state of a service. `state` is the service manager's own word; None is unknown, as where there is none."""

    kind: str  # systemd or launchd
    name: str
    path: Path
    installed: bool
    state: str | None
    pid: int | None
    status: str | None  # the worker's last status line
    outlives_log_out: bool | None
    logs: str  # the command that shows the last lines


class Service(Protocol):
    """The worker under one service manager."""

    kind: str
    path: Path

    def text(self, program: Program) -> str: ...

    def steps(self, text: str) -> list[list[str]]:
        """Return the commands that `install` of this text runs, once the file is there."""
        ...

    def check(self) -> None:
        """Raise ServiceUnavailable where this manager does not serve this user."""
        ...

    def install(self, text: str) -> None:
        """Write the file and start the service. Raises ServiceUnavailable, ServiceFailed, NameTaken."""
        ...

    def uninstall(self) -> bool:
        """Stop the service and remove its file; return whether there was one. Raises as `install` does."""
        ...

    def read_state(self) -> ServiceState: ...

    def hints(self, program: Program) -> list[str]:
        """Return what the user should know once it is installed."""
        ...


@dataclass(frozen=True, slots=True)
class CommandOutput:
    status: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """Return what it said, in one line."""
        return " ".join((self.err or self.out).split()).rstrip(".") or f"exit status {self.status}"


def run_command(command: Sequence[str]) -> CommandOutput:
    """Run a command of the system's; return its output. Raises ServiceUnavailable where it is not there."""
    try:
        completed = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=ASK_S
        )
    except OSError as error:
        raise ServiceUnavailable(f"`{command[0]}` cannot be run: {error.strerror or error}.") from error
    except subprocess.TimeoutExpired as error:
        raise ServiceFailed(f"`{' '.join(command)}` gave no answer for {ASK_S:.0f} s.") from error
    return CommandOutput(completed.returncode, completed.stdout, completed.stderr)


def run_or_fail(command: Sequence[str], hint: str) -> None:
    """Run a command that must succeed. Raises ServiceFailed with what it said."""
    answer = run_command(command)
    if answer.status:
        raise ServiceFailed(f"`{' '.join(command)}` failed: {answer.message}.", hint=hint)


def is_there(path: Path) -> bool:
    """Return whether anything has this name: a link that leads nowhere, too, as systemd masks a unit."""
    return os.path.lexists(path)


def read_own(path: Path) -> str | None:
    """Return the text of flowhub's file; None if there is no file. Raises NameTaken for a file of another program."""
    if not is_there(path):
        return None
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() and not path.is_symlink() else ""
    except OSError as error:
        raise FlowhubError(f"{path} cannot be read: {error.strerror}.") from error
    if MARK not in text:
        hint = f"If it is of no use to you, `rm {path}`, then try again."
        raise NameTaken(f"flowhub did not write {path}, and leaves it unchanged.", hint=hint)
    return text


def is_own(path: Path) -> bool:
    try:
        return read_own(path) is not None
    except FlowhubError:
        return False


def write_own(path: Path, text: str) -> None:
    """Write the file atomically. Raises NameTaken; a file of another program is never replaced."""
    old_text = read_own(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        if old_text is None:
            rename_new(temporary, path)
        else:
            temporary.replace(path)
    except FileExistsError as error:
        raise NameTaken(f"{path} was just made by another program.", hint="Look at it, then try again.") from error
    except OSError as error:
        raise FlowhubError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        temporary.unlink(missing_ok=True)
