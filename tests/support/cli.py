"""Runs verbs of the command line, in this process or as another process."""

import contextlib
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from flowhub_jobs.cli import output
from flowhub_jobs.cli.main import run
from flowhub_jobs.errors import ERRORS, FlowhubError
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.process import run_claimable_jobs
from support.app import App, app_of
from support.models import one_file_model
from support.origin import Origin

PROGRAM = [sys.executable, "-m", "flowhub_jobs.cli.main"]


@dataclass(frozen=True)
class CliResult:
    """The exit status, stdout and stderr of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the one JSON object on stdout; stderr must be empty."""
        assert self.err == "", self.err
        return json.loads(self.out)

    @property
    def jobs(self) -> list[dict[str, Any]]:
        return list(self.json["jobs"])

    @property
    def error(self) -> dict[str, Any]:
        """Return the error object: stderr has nothing else, and the object has the contract's keys."""
        [(name, error)] = json.loads(self.err).items()
        assert name == "error"
        assert list(error) == ["code", "message", "hint", "retryable"]
        assert ERRORS[error["code"]].exit_status == self.status
        return dict(error)

    @property
    def error_text(self) -> str:
        """Return the text of an error: at most four lines, no traceback."""
        assert self.status not in (0, None)
        assert self.err.startswith("flowhub: ")
        assert len(self.err.splitlines()) <= 4
        assert "Traceback" not in self.err
        return self.err


class Cli:
    """`cli("status", "--json")` runs a verb in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> CliResult:
        self._capsys.readouterr()
        sigterm_handler, log_handlers = signal.getsignal(signal.SIGTERM), list(logging.getLogger().handlers)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.delenv("COLUMNS", raising=False)  # xdist sets it
                status = run([str(argument) for argument in arguments])
        finally:
            output.choose()  # a separate process would end here
            signal.signal(signal.SIGTERM, sigterm_handler)
            logging.getLogger().handlers[:] = log_handlers  # a worker adds its handler
        return CliResult(status, *self._capsys.readouterr())


def run_command(*arguments: object, stdin: bytes = b"", timeout_s: float = 60, **environ: str) -> CliResult:
    """Run a verb as another process, to its end."""
    completed = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=timeout_s,
        env=os.environ | environ,
    )
    return CliResult(completed.returncode, completed.stdout.decode(), completed.stderr.decode())


@contextlib.contextmanager
def start_command(*arguments: object, **environ: str) -> Iterator["subprocess.Popen[str]"]:
    """Start a verb whose output is read as it comes; kill it at the end of the block."""
    process = subprocess.Popen(
        [*PROGRAM, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"} | environ,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextlib.contextmanager
def cli_app(home: Path, monkeypatch: pytest.MonkeyPatch, *models: dict[str, Any]) -> Iterator[App]:
    """Open an app, and put its catalog into the environment, so that verbs use it too."""
    with app_of(home, *models) as app:
        monkeypatch.setenv("FLOWHUB_CATALOG", str(app.catalog))
        yield app


@contextlib.contextmanager
def two_model_app(home: Path, origin: Origin, monkeypatch: pytest.MonkeyPatch, a: bytes, b: bytes) -> Iterator[App]:
    """Open a home whose catalog has the models `a` and `b`, which `origin` serves."""
    files = {"a": ("a.gguf", a), "b": ("b.gguf", b)}
    models = [one_file_model(model, origin.serve(name, content), content) for model, (name, content) in files.items()]
    with cli_app(home, monkeypatch, *models) as app:
        yield app


def lease_store_of(app: App) -> LeaseStore:
    """Return the leases of a worker without a process, to claim and fail jobs by hand."""
    return LeaseStore(app.home.engine, app.home.node, "w-by-hand", app.home.clock)


def run_due_jobs(app: App) -> None:
    """Run all due jobs in this process, as a thread of a worker does after a wake-up."""
    context = WorkerContext(app.home, 1)
    try:
        run_claimable_jobs(context)
    finally:
        context.close()


def fail_next_job(app: App, number: int, error: FlowhubError) -> None:
    """Claim the next due job, which must be this one, and fail it with this error."""
    leases = lease_store_of(app)
    claimed = leases.claim()
    assert claimed is not None
    assert claimed.lease.job == number
    leases.fail(claimed.lease, error)
