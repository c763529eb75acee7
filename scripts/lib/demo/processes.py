"""Processes of the demo: flowhub itself, its workers, and the Hub-shaped origin. Each is stopped by its own id."""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.processes import stopped_after

SCRIPTS = Path(__file__).resolve().parents[2]


class CommandFailed(Exception):
    """A command of the demo did not exit with 0."""


@dataclass(frozen=True)
class Flowhub:
    """The `flowhub` of the demo's environment, with the settings of one catalog."""

    python: Path
    environ: dict[str, str]

    def with_catalog(self, catalog: Path) -> "Flowhub":
        return Flowhub(self.python, {**self.environ, "FLOWHUB_CATALOG": str(catalog)})

    def show(self, *arguments: str) -> None:
        """Print and run a verb in the foreground. Raises CommandFailed."""
        say_command(*arguments)
        status = subprocess.run(self._command(*arguments), env=self.environ, check=False).returncode
        if status:
            raise CommandFailed(f"`flowhub {' '.join(arguments)}` ended with exit status {status}")

    def ask(self, *arguments: str) -> Any:
        """Return the output of a verb with --json. Raises CommandFailed with the verb's error."""
        command = self._command(*arguments, "--json")
        answer = subprocess.run(command, env=self.environ, check=False, capture_output=True, text=True)
        if answer.returncode:
            raise CommandFailed(f"`flowhub {' '.join(arguments)} --json` said: {answer.stderr.strip()}")
        return json.loads(answer.stdout)

    def jobs(self) -> list[dict[str, Any]]:
        jobs: list[dict[str, Any]] = self.ask("status", "--all")["jobs"]
        return sorted(jobs, key=lambda job: job["id"])

    @contextlib.contextmanager
    def watch(self, numbers: Sequence[int]) -> Iterator[None]:
        """Show the jobs live in the foreground while the block runs."""
        arguments = ["status", "--watch", *map(str, numbers)]
        say_command(*arguments)
        with stopped_after(subprocess.Popen(self._command(*arguments), env=self.environ)):
            yield

    @contextlib.contextmanager
    def worker(self, log: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker while the block runs; its output goes into `log`."""
        say_command("worker", *arguments, f"2> {log.name} &")
        with log.open("wb") as said:
            # A new session: only the demo gets Ctrl-C, and then stops the worker itself.
            command = self._command("worker", *arguments)
            process = subprocess.Popen(command, env=self.environ, stderr=said, start_new_session=True)
        with stopped_after(process):
            yield process

    def _command(self, *arguments: str) -> list[str]:
        return [str(self.python.parent / "flowhub"), *arguments]


def say_command(*arguments: str) -> None:
    print(f"\n$ flowhub {' '.join(arguments)}", flush=True)


@dataclass
class Origin:
    """The Hub-shaped origin (lib.origin.hub) in another process. `hub` is the value for HF_ENDPOINT.

    After the block `counts` has the origin's `bytes_sent` and `leaked_tokens`.
    """

    hub: str
    counts: dict[str, Any]


@contextlib.contextmanager
def serving(root: Path, map_file: Path, *, rate: str, expires_s: int) -> Iterator[Origin]:
    """Serve the files of a map while the block runs. Raises CommandFailed."""
    given = [
        "-m",
        "lib.origin.hub",
        "--root",
        str(root),
        "--map",
        str(map_file),
        "--rate",
        rate,
        "--expires",
        str(expires_s),
    ]
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, *given], cwd=SCRIPTS, stdin=pipe, stdout=pipe, start_new_session=True)
    assert process.stdin is not None
    with stopped_after(process):
        origin = Origin(_said(process)["hub"], {})
        yield origin
        process.stdin.close()  # it serves while this pipe is open
        origin.counts = _said(process)


def _said(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    line: dict[str, Any] = json.loads(process.stdout.readline() or "{}")
    if not line:
        raise CommandFailed("the origin ended by itself; what it said stands above")
    return line


def environ_for(home: Path, *, online: bool) -> dict[str, str]:
    """Return the demo's environment, without the caller's settings of flowhub.

    Online, it keeps the settings to reach the Hub: a token, a mirror, a proxy, certificates.
    """
    prefixes = ("FLOWHUB_", "PYTHONPATH", "PYTHONHOME") + (() if online else ("HF_", "SSL_CERT_"))
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(prefixes) and (online or not name.lower().endswith("_proxy"))
    }
    return {**environment, "FLOWHUB_HOME": str(home), "FLOWHUB_LOOK_ELSEWHERE": "off"}
