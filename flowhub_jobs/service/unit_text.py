"""The texts of a service: systemd's user unit and launchd's property list. Pure; either can be made on any machine."""

import plistlib
import re
from pathlib import Path
from typing import Any

from flowhub_jobs.service.program import Program

MARK = "Written by `flowhub worker install`"  # a file without it belongs to another program, and is not touched
EX_CONFIG = 78  # sysexits.h: what a restart cannot mend, said to a service manager alone
LABEL = "flowhub.worker"
RESTART_S = 15
STOP_S = 30  # a worker hands everything back within 5 s
# A round of maintenance takes a moment; one that meets a busy database may wait half a minute for it, a few times over.
WATCHDOG_S = 180
NICE = 10

_UNIT = """\
# {mark}; `flowhub worker uninstall` removes it. What you change here is lost with
# the next install: `systemctl --user edit flowhub` keeps it in a file of its own.
[Unit]
Description=flowhub: fetches the model files that are queued
# No number of failures is the last: a disk that was full at midnight has room again in the morning.
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart={command}
{environment}# Put secrets, such as HF_TOKEN=..., into this file; make it readable for you alone (chmod 600).
EnvironmentFile=-{secrets}
TimeoutStartSec=300
WatchdogSec={watchdog}
Restart=on-failure
RestartSec={restart}
# What a restart cannot mend: a command that is not understood, a setting or a database that this version cannot read.
RestartPreventExitStatus=2 {config}
KillMode=mixed
KillSignal=SIGTERM
TimeoutStopSec={stop}
Nice={nice}
IOSchedulingClass=idle

[Install]
WantedBy=default.target
"""


def unit_text(program: Program, secrets: Path) -> str:
    """Return the systemd unit; `secrets` is the file, absolute, that may hold what must not stand in it."""
    lines = [f"Environment={quoted(f'{name}={value}')}\n" for name, value in sorted(program.environment.items())]
    return _UNIT.format(
        mark=MARK,
        command=_command(program.words),
        environment="".join(lines),
        secrets=_pattern(secrets),
        watchdog=WATCHDOG_S,
        restart=RESTART_S,
        config=EX_CONFIG,
        stop=STOP_S,
        nice=NICE,
    )


def quoted(word: str) -> str:
    """Return one word as systemd reads it: quoted, with C escapes, `%` doubled (systemd.syntax(7), systemd.unit(5))."""
    word = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return word if re.fullmatch(r"[A-Za-z0-9_=:/.,@+%-]+", word) else f'"{word}"'


def _pattern(path: Path) -> str:
    # The whole line is the path, unquoted, and a pattern of the shell's (systemd.exec(5), EnvironmentFile=).
    return re.sub(r"([*?\[\\])", r"\\\1", str(path)).replace("%", "%%")


def _command(argv: tuple[str, ...]) -> str:
    # Words of ExecStart= meet the environment as well (systemd.service(5), Command lines); the program's path does not.
    arguments = [quoted(word).replace("$", "$$") for word in argv]
    if re.search(r"[\"'\\$]", argv[0]):
        # systemd takes such a path as an argument only: "Executable name contains special characters", its issue 11561.
        return " ".join(["/bin/sh", "-c", quoted('exec "$0" "$@"').replace("$", "$$"), *arguments])
    return " ".join([quoted(argv[0]), *arguments[1:]])


def plist_text(program: Program, log: Path) -> str:
    """Return launchd's property list (launchd.plist(5)); `log` gets what the worker prints."""
    entries: dict[str, Any] = {
        "Label": LABEL,
        "ProgramArguments": list(program.words),
        "EnvironmentVariables": dict(sorted(program.environment.items())),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": RESTART_S,
        "ExitTimeOut": STOP_S,
        "ProcessType": "Background",
        "LowPriorityIO": True,
        "Nice": NICE,
        "StandardOutPath": str(log),
        "StandardErrorPath": str(log),
    }
    text = plistlib.dumps(entries, sort_keys=False).decode()
    head, _, rest = text.partition("<plist ")
    return f"{head}<!-- {MARK}; `flowhub worker uninstall` removes it. -->\n<plist {rest}"
