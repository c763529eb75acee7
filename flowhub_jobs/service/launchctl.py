"""Installs, removes and inspects the worker as an agent of launchd (macOS), by `launchctl`."""

import os
import re
import time
from collections.abc import Callable
from pathlib import Path

from flowhub_jobs.errors import ServiceFailed, ServiceUnavailable
from flowhub_jobs.service.program import Program
from flowhub_jobs.service.service_base import (
    CommandOutput,
    ServiceState,
    is_own,
    read_own,
    run_command,
    run_or_fail,
    write_own,
)
from flowhub_jobs.service.unit_text import LABEL, plist_text

IO_ERROR = 5  # its answer while the same service is still on its way out
TRIES, PAUSE_S = 40, 0.5
_NO_SESSION = "Log in at the screen and try again; over ssh alone, run `flowhub worker` in the foreground, as in tmux."


class Launchd:
    kind = "launchd"

    def __init__(self, log: Path, pause: Callable[[float], None] = time.sleep) -> None:
        """`log` gets what the worker prints."""
        self.path = Path("~/Library/LaunchAgents").expanduser() / f"{LABEL}.plist"
        self._log, self._pause = log, pause
        self._domain = f"gui/{os.getuid()}"
        self._target = f"{self._domain}/{LABEL}"

    def text(self, program: Program) -> str:
        return plist_text(program, self._log)

    def steps(self, text: str) -> list[list[str]]:
        # Unload what has this name first: launchd would not read the changed text.
        return [
            ["launchctl", "bootout", self._target],
            ["launchctl", "enable", self._target],
            ["launchctl", "bootstrap", self._domain, str(self.path)],
        ]

    def check(self) -> None:
        answer = run_command(["launchctl", "print", self._domain])
        if answer.status:
            raise ServiceUnavailable(f"No launchd session of this user: {answer.message}.", hint=_NO_SESSION)

    def install(self, text: str) -> None:
        steps = self.steps(text)
        self.check()
        write_own(self.path, text)
        for step in steps:
            if step[1] == "bootout":
                run_command(step)  # of one that is not loaded it says that
            elif step[1] == "bootstrap":
                self._load_service(step)
            else:
                run_or_fail(step, hint=self._failure_hint)

    def uninstall(self) -> bool:
        if read_own(self.path) is None:
            return False
        run_command(["launchctl", "bootout", self._target])
        self.path.unlink(missing_ok=True)
        return True

    def read_state(self) -> ServiceState:
        output = self._print_service()
        state, pid = _field(output, "state"), _field(output, "pid")
        return ServiceState(
            self.kind,
            LABEL,
            self.path,
            installed=is_own(self.path),
            state=state,
            pid=int(pid) if pid and pid.isdecimal() else None,
            status=None,
            outlives_log_out=None,
            logs=f"tail {self._log}",
        )

    def hints(self, program: Program) -> list[str]:
        if not program.left_out:
            return []
        names = ", ".join(program.left_out)
        return [
            f"Not written into the agent, being secret: {names}. A token belongs into config.toml in flowhub's home "
            f"(chmod 600), below [tokens]; another value into `launchctl setenv NAME VALUE`."
        ]

    @property
    def _failure_hint(self) -> str:
        return f"`tail {self._log}` may show why; `flowhub worker uninstall` takes it away."

    def _load_service(self, step: list[str]) -> None:
        """Load the service, once the previous one of this name has ended: `bootout` returns earlier."""
        for _ in range(TRIES):
            answer = run_command(step)
            if answer.status != IO_ERROR:
                break
            self._pause(PAUSE_S)
        if answer.status:
            raise ServiceFailed(f"`{' '.join(step)}` failed: {answer.message}.", hint=self._failure_hint)

    def _print_service(self) -> str:
        try:
            answer: CommandOutput = run_command(["launchctl", "print", self._target])
        except (ServiceUnavailable, ServiceFailed):
            return ""
        return "" if answer.status else answer.out


def _field(output: str, name: str) -> str | None:
    """Return a field of what `launchctl print` says: the first of its name, which is the service's own."""
    match = re.search(rf"^\s*{name} = (.+)$", output, re.MULTILINE)
    return match[1].strip() if match else None
