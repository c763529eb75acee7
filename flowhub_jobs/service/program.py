"""The command line and the environment of the service: this installation's flowhub, and what a worker needs. Pure.

No secret goes into a service's file: backups, dotfile repositories and users of the service manager read it.
"""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from flowhub_jobs.errors import SettingInvalid

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
COPIED = ("HF_ENDPOINT", "SSL_CERT_FILE", "SSL_CERT_DIR", *PROXIES, *(name.upper() for name in PROXIES))
PATHS = ("FLOWHUB_HOME", "FLOWHUB_STORE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Program:
    """`words` are the command and its arguments; `left_out` names what is set now and too secret to be written down."""

    words: tuple[str, ...]
    environment: Mapping[str, str]
    left_out: tuple[str, ...] = ()


def program(
    argv: Sequence[str], environ: Mapping[str, str], settings: Collection[str], *, jobs: int | None, rate: str | None
) -> Program:
    """Return what the service is to run. `argv` is this process's; `settings` are the names of flowhub's settings.

    Raises SettingInvalid where a value cannot be written into any service's file.
    """
    arguments = [*this_flowhub(argv), "worker"]
    arguments += [] if jobs is None else ["--jobs", str(jobs)]
    arguments += [] if rate is None else ["--limit-rate", rate]
    names = [*(f"FLOWHUB_{name.upper()}" for name in settings), *COPIED]
    set_variables = {name: value for name in names if (value := environ.get(name))}
    secret = [name for name, value in set_variables.items() if _is_secret(name, value)]
    variables = {name: _absolute_value(name, value) for name, value in set_variables.items() if name not in secret}
    for label, value in [("flowhub's own path", arguments[0]), *variables.items()]:
        check_writable(label, value)
    token = ["HF_TOKEN"] if environ.get("HF_TOKEN") else []
    return Program(tuple(arguments), variables, (*token, *secret))


def this_flowhub(argv: Sequence[str]) -> list[str]:
    """Return the words that start this installation, absolute: a service has neither this shell's PATH nor its
    folder."""
    typed, next_to_python = Path(argv[0]).absolute(), Path(sys.executable).with_name("flowhub")
    for script in (typed, next_to_python):
        if script.name == "flowhub" and script.is_file():
            return [str(script)]
    return [sys.executable, "-m", "flowhub_jobs.cli.main"]


def _absolute_value(name: str, value: str) -> str:
    # A relative path, or a ~, means one thing in the user's shell, and another where a service runs.
    if name == "FLOWHUB_CATALOG" and "://" not in value:
        return str(Path(value).expanduser().absolute())
    return str(Path(value).expanduser().absolute()) if name in PATHS else value


def _is_secret(name: str, value: str) -> bool:
    """Return whether a value is a URL with a user, a password, or a query that may be a signature: a secret."""
    if "://" not in value:
        if name.lower() not in PROXIES:
            return False
        value = f"//{value}"  # a proxy may be written without its scheme
    try:
        parts = urlsplit(value)
    except ValueError:
        return True
    return "@" in parts.netloc or bool(parts.query)


def check_writable(label: str, value: str) -> None:
    """Raise SettingInvalid, naming `label`, for text that would not be read back as it was."""
    if any(_breaks_a_file(ord(char)) for char in value):
        raise SettingInvalid(
            f"{label} is {value!r}, which cannot be written into a service's file.",
            hint="Give it a name without control characters, in UTF-8.",
        )


def _breaks_a_file(code: int) -> bool:
    """Return whether a character is a control, half a surrogate pair, or none at all: no unit and no XML holds them."""
    return code < 32 or code == 127 or 0xD800 <= code < 0xE000 or 0xFDD0 <= code < 0xFDF0 or code & 0xFFFE == 0xFFFE
