"""Installs, removes and inspects the worker as a user unit of systemd, by `systemctl --user`."""

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path

from flowhub_jobs.errors import ServiceFailed, ServiceUnavailable
from flowhub_jobs.service.program import Program, check_writable
from flowhub_jobs.service.service_base import (
    CommandOutput,
    ServiceState,
    is_own,
    read_own,
    run_command,
    run_or_fail,
    write_own,
)
from flowhub_jobs.service.unit_text import unit_text

UNIT = "flowhub.service"
CTL = ("systemctl", "--user")
LOGS = "journalctl --user -u flowhub"
_SHOWN = ("LoadState", "ActiveState", "SubState", "MainPID", "StatusText")
_NO_SESSION = (
    "Run `flowhub worker` in the foreground, or `flowhub worker --drain` from cron; `flowhub worker install --print > "
    "flowhub.service` writes the unit for elsewhere. After `su` or `sudo`, log in as that user instead."
)
_FAILURE_HINT = f"`{LOGS} -n 20` shows why; `flowhub worker uninstall` takes it away."


class Systemd:
    kind = "systemd"

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._config = config_folder(environ)
        self.path = self._config / "systemd" / "user" / UNIT
        self.secrets = self._config / "flowhub" / "env"

    def text(self, program: Program) -> str:
        check_writable("The folder of your settings", str(self._config))
        return unit_text(program, self.secrets)

    def steps(self, text: str) -> list[list[str]]:
        old_text = read_own(self.path)
        reload = [*CTL, "daemon-reload"]
        if old_text in (None, text):
            return [reload, [*CTL, "enable", "--now", UNIT]]
        # Enabling starts what does not run; what runs by the old text has to be stopped first.
        return [reload, [*CTL, "enable", UNIT], [*CTL, "restart", UNIT]]

    def check(self) -> None:
        answer = self._run_systemctl("show", "--property=Version")
        if answer.status:
            problem = f"No systemd user session here (a container?): {answer.message}."
            raise ServiceUnavailable(problem, hint=_NO_SESSION)

    def install(self, text: str) -> None:
        steps = self.steps(text)
        self.check()
        write_own(self.path, text)
        for step in steps:
            run_or_fail(step, hint=_FAILURE_HINT)

    def uninstall(self) -> bool:
        if read_own(self.path) is None:
            return False
        try:
            self.check()
        except ServiceUnavailable as error:
            hint = f"Without systemd, remove the file yourself: `rm {self.path}`."
            raise ServiceUnavailable(error.message, hint=hint) from error
        run_or_fail([*CTL, "disable", "--now", UNIT], hint=f"`systemctl --user status {UNIT}` shows how it stands.")
        self.path.unlink(missing_ok=True)
        run_or_fail([*CTL, "daemon-reload"], hint="The file is gone; the next log-in notices.")
        run_command([*CTL, "reset-failed", UNIT])  # if it had failed, that is no longer of interest
        return True

    def read_state(self) -> ServiceState:
        try:
            properties = self._properties()
        except (ServiceUnavailable, ServiceFailed):
            properties = {}
        pid = properties.get("MainPID", "0")
        return ServiceState(
            self.kind,
            UNIT,
            self.path,
            installed=is_own(self.path),
            state=_state(properties),
            pid=int(pid) if pid.isdecimal() and int(pid) else None,
            status=properties.get("StatusText") or None,
            outlives_log_out=self._lingers() if properties else None,
            logs=LOGS,
        )

    def hints(self, program: Program) -> list[str]:
        hints = []
        if program.left_out:
            names = ", ".join(program.left_out)
            hints.append(
                f"Not written into the unit, being secret: {names}. Put NAME=value, a line each, into {self.secrets} "
                f"(chmod 600), then `systemctl --user restart flowhub`."
            )
        if _others_may_read(self.secrets):
            hints.append(f"Others can read {self.secrets}: `chmod 600 {self.secrets}`.")
        if self._lingers() is False:
            hints.append("It stops when you log out; `loginctl enable-linger` keeps it running.")
        return hints

    def _run_systemctl(self, *arguments: str) -> CommandOutput:
        try:
            return run_command([*CTL, *arguments])
        except ServiceUnavailable as error:
            problem = "There is no systemd here" if shutil.which(CTL[0]) is None else error.message.rstrip(".")
            raise ServiceUnavailable(f"{problem}.", hint=_NO_SESSION) from error

    def _properties(self) -> dict[str, str]:
        answer = self._run_systemctl("show", UNIT, f"--property={','.join(_SHOWN)}")
        lines = [line.partition("=") for line in answer.out.splitlines()]
        return {} if answer.status else {name: value for name, _, value in lines}

    def _lingers(self) -> bool | None:
        """Return whether the user's services outlive the log-out; None if unknown."""
        try:
            answer = run_command(["loginctl", "show-user", str(os.getuid()), "--property=Linger"])
        except (ServiceUnavailable, ServiceFailed):
            return None
        return {"Linger=yes": True, "Linger=no": False}.get(answer.out.strip())


def _state(properties: Mapping[str, str]) -> str | None:
    """Return systemd's words for a unit that it knows: "active (running)", "activating (auto-restart)", "failed"."""
    if properties.get("LoadState") in (None, "not-found"):
        return None
    state, detail = properties.get("ActiveState", "unknown"), properties.get("SubState")
    return state if detail in (None, "", state) else f"{state} ({detail})"


def config_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of the user's settings: XDG_CONFIG_HOME, if it is absolute as it has to be, else ~/.config."""
    configured = environ.get("XDG_CONFIG_HOME", "")
    return Path(configured) if configured.startswith("/") else Path("~/.config").expanduser()


def _others_may_read(path: Path) -> bool:
    try:
        return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))
    except OSError:
        return False
