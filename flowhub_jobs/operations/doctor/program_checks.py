"""Checks of the program and its environment: versions, extras, the clock, the limit of open files."""

import platform
import resource
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.util import find_spec

from flowhub_jobs import __version__
from flowhub_jobs.operations.doctor.check import Check, guarded, ok, warn

OPEN_FILES_MIN = 256  # 16 connections a host, three jobs, the databases, and a file for each part
# The day of this release, about. A clock before it makes every certificate "not yet valid".
RELEASED = datetime(2026, 11, 1, tzinfo=UTC)
# By the name that pip installs: the module that shows that it is there.
_EXTRAS = {"web": "starlette", "mcp": "mcp", "postgres": "psycopg", "socks": "socksio"}


def program_checks(now: datetime) -> Iterator[Check]:
    """Yield the checks that need no settings. `now` is the system's time."""
    return guarded(
        [
            ("program.version", _version),
            ("program.extras", _extras),
            ("program.clock", lambda: clock(now)),
            ("program.open_files", lambda: open_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])),
        ]
    )


def _version() -> Check:
    system = f"{platform.system()} {platform.release()}"
    libraries = f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    return ok("program.version", f"flowhub {__version__}, {libraries}, {system}")


def _extras() -> Check:
    installed = [name for name, module in _EXTRAS.items() if find_spec(module)]
    missing = [name for name in _EXTRAS if name not in installed]
    parts = [
        f"installed: {', '.join(installed) or 'none'}",
        *([f"not installed: {', '.join(missing)}"] if missing else []),
    ]
    return ok("program.extras", "; ".join(parts))


def clock(now: datetime) -> Check:
    """Check that the system's clock is not behind this release, as after a start without a battery or a network."""
    name, text = "program.clock", f"{now:%Y-%m-%d %H:%M} UTC"
    if now < RELEASED:
        return warn(
            name,
            f"The system's clock says {text}, before this flowhub was released: certificates seem invalid then.",
            "Set the clock, or let the system set it over the network (`timedatectl set-ntp true`).",
        )
    return ok(name, text)


def open_files(limit: int) -> Check:
    """Check the limit of open files; flowhub raises it as far as the hard limit allows."""
    name = "program.open_files"
    if limit != resource.RLIM_INFINITY and limit < OPEN_FILES_MIN:
        return warn(
            name,
            f"This process may open {limit} files; many connections at once need some {OPEN_FILES_MIN}.",
            "Raise it: `ulimit -n 4096`, or LimitNOFILE= in the service's unit.",
        )
    return ok(name, "no limit" if limit == resource.RLIM_INFINITY else f"{limit} at once")
