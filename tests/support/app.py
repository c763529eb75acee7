"""A home with a catalog, real worker processes, and functions that wait for what they do."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from flowhub_jobs.home import Home, opened
from flowhub_jobs.jobs.enqueue_rows import EnqueueTerms
from flowhub_jobs.operations.enqueue_plan import EnqueueItem
from flowhub_jobs.operations.session import Session
from flowhub_jobs.settings import load_settings
from flowhub_jobs.system import Clock
from flowhub_jobs.values.artifacts import Artifact
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import Event, Job
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.pipeline import run_job
from support.models import write_catalog
from support.new_database import put_new_database

Result = TypeVar("Result")
PATIENCE_S = 60.0  # asserts no speed; only ends a test that hangs
# For a worker whose source pauses in mid-file: it waits, and with a limit it replaces no connection for being slow.
LONG_TIMEOUTS = {
    "FLOWHUB_HEADERS_TIMEOUT_S": "600",
    "FLOWHUB_LIMIT_RATE": "10G",
    "FLOWHUB_SLOW_WINDOW_S": "600",
    "FLOWHUB_STALL_TIMEOUT_S": "600",
}


class Worker(Protocol):
    """The methods of a worker's process that `App` uses."""

    pid: int

    def poll(self) -> int | None: ...
    def wait(self, timeout: float = ...) -> int: ...
    def send_signal(self, signum: int, /) -> None: ...
    def kill(self) -> None: ...


class App:
    """One home: queue in this process, work in others."""

    def __init__(self, home: Path, *models: dict[str, Any], clock: Clock | None = None) -> None:
        """`clock` is this process's; its workers have their own."""
        self.path = home
        home.mkdir(parents=True, exist_ok=True)
        self.catalog = write_catalog(home / "catalog.json", *models)
        self.workers: list[Worker] = []
        self.settings = load_settings(catalog=str(self.catalog))
        if self.settings.database_url == f"sqlite:///{home / 'flowhub.db'}":
            put_new_database(home)
        self._closing = contextlib.ExitStack()
        opened_home = self._closing.enter_context(opened(self.settings))
        self.home: Home = replace(opened_home, clock=clock or Clock())
        self.session = Session(self.home)

    def set_models(self, *models: dict[str, Any]) -> None:
        """Replace the models of the catalog."""
        write_catalog(self.catalog, *models)
        self.session = Session(self.home)

    @property
    def store(self) -> Path:
        return self.settings.store

    def enqueue(self, ref: str, **terms: Any) -> int:
        return self.session.enqueue([EnqueueItem(self.session.artifact(ref), EnqueueTerms(**terms))])[0].job

    def artifact(self, ref: str) -> Artifact:
        return self.session.artifact(ref)

    def partial(self, ref: str) -> Path:
        return self.home.store.partial_of(self.artifact(ref), self.home.node)

    def job(self, number: int) -> Job:
        return self.home.queries.jobs([number])[0]

    def events(self, number: int) -> list[Event]:
        return self.home.queries.events(number)

    def start_worker(self, *arguments: str, **environ: str) -> "subprocess.Popen[bytes]":
        """Start a worker process. One with failpoints comes from support/fork_server.py."""
        log = (self.path / "worker.log").open("ab")
        with log:
            process = subprocess.Popen(
                [sys.executable, "-m", "flowhub_jobs.cli.main", "worker", *arguments],
                env=os.environ | {"FLOWHUB_CATALOG": str(self.catalog)} | environ,
                stderr=log,
                stdout=log,
                stdin=subprocess.DEVNULL,
            )
        self.workers.append(process)
        return process

    def run_next_job(self) -> None:
        """Run the next job in this process."""
        context = WorkerContext(self.home, 1)
        try:
            claimed = context.leases.claim()
            assert claimed is not None
            run_job(context, claimed)
        finally:
            context.close()

    def until(self, ask: Callable[[], Result | None], what: str = "it") -> Result:
        """Call `ask` until it returns a true value; return that."""
        end, pause = time.monotonic() + PATIENCE_S, threading.Event()
        while time.monotonic() < end:
            if answer := ask():
                return answer
            pause.wait(0.02)
        raise AssertionError(f"{what} did not come; the worker's log:\n{self.log()[-3000:]}")

    def until_state(self, number: int, *states: State) -> Job:
        def ask() -> Job | None:
            job = self.job(number)
            return job if job.state in states else None

        return self.until(ask, f"job {number} in {', '.join(states)}")

    def until_ended(self, number: int) -> Job:
        return self.until_state(number, State.COMPLETED, State.FAILED, State.CANCELLED)

    def until_wait_text(self, number: int, *words: str) -> str:
        """Return the text of a job's wait once all these words are in it.

        A job with a short wait is claimed again and again: a text that is read after the wait was seen may be None.
        """

        def ask() -> str | None:
            text = self.home.queries.wait_text(number) or ""
            return text if all(word in text for word in words) else None

        return self.until(ask, f"job {number} in a wait that names {', '.join(words)}")

    def log(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.path / "worker.log").read_text(errors="replace")
        return ""

    def drain(self, *arguments: str) -> int:
        return self.start_worker("--drain", *arguments).wait(timeout=PATIENCE_S)

    def leftover_partials(self) -> list[str]:
        """Return the names in the store's folder of partials."""
        folder = self.store / ".partial"
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()
        self.close_home()

    def close_home(self) -> None:
        """Close the database in this process, so that only other processes have it open."""
        self._closing.close()


@contextlib.contextmanager
def app_of(home: Path, *models: dict[str, Any], clock: Clock | None = None) -> Iterator[App]:
    app = App(home, *models, clock=clock)
    try:
        yield app
    finally:
        app.close()
