"""A home with a catalog, its workers as real processes, and a way to wait for what they do."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from flowhub_jobs.home import Home, opened
from flowhub_jobs.hub.desk import Desk, Order
from flowhub_jobs.jobs.ledger import Terms
from flowhub_jobs.records import Artifact, Event, Job, State
from flowhub_jobs.settings import load_settings
from flowhub_jobs.worker.floor import Floor
from flowhub_jobs.worker.pipeline import run_job
from support.models import write_catalog

Found = TypeVar("Found")
PATIENCE_S = 60.0  # not a promise, only an end for a test that hangs


class Shop:
    """One home: queue in this process, work in others."""

    def __init__(self, home: Path, *models: dict[str, Any]) -> None:
        self.path = home
        home.mkdir(parents=True, exist_ok=True)
        self.catalog = write_catalog(home / "catalog.json", *models)
        self.workers: list[subprocess.Popen[bytes]] = []
        self.settings = load_settings(catalog=str(self.catalog))
        self._closing = contextlib.ExitStack()
        self.home: Home = self._closing.enter_context(opened(self.settings))
        self.desk = Desk(self.home)

    @property
    def store(self) -> Path:
        return self.settings.store

    def enqueue(self, ref: str, **terms: Any) -> int:
        return self.desk.enqueue([Order(self.desk.artifact(ref), Terms(**terms))])[0].job

    def artifact(self, ref: str) -> Artifact:
        return self.desk.artifact(ref)

    def partial(self, ref: str) -> Path:
        return self.home.store.partial_of(self.artifact(ref), self.home.node)

    def job(self, number: int) -> Job:
        return self.home.reports.jobs([number])[0]

    def events(self, number: int) -> list[Event]:
        return self.home.reports.events(number)

    def worker(self, *arguments: str, script: Path | None = None, **environ: str) -> "subprocess.Popen[bytes]":
        """Start a worker process; `script` runs instead of flowhub, and does what it does, but for some harm."""
        program = [str(script)] if script else ["-m", "flowhub_jobs.cli.main"]
        log = (self.path / "worker.log").open("ab")
        with log:
            process = subprocess.Popen(
                [sys.executable, *program, "worker", *arguments],
                env=os.environ | {"FLOWHUB_CATALOG": str(self.catalog)} | environ,
                stderr=log,
                stdout=log,
                stdin=subprocess.DEVNULL,
            )
        self.workers.append(process)
        return process

    def work_here(self) -> None:
        """Run the next job in this process."""
        floor = Floor(self.home, 1)
        try:
            claimed = floor.leases.claim()
            assert claimed is not None
            run_job(floor, claimed)
        finally:
            floor.close()

    def until(self, ask: Callable[[], Found | None], what: str = "it") -> Found:
        """Return the first answer of `ask` that is one."""
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

    def log(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return (self.path / "worker.log").read_text(errors="replace")
        return ""

    def drain(self, *arguments: str) -> int:
        return self.worker("--drain", *arguments).wait(timeout=PATIENCE_S)

    def left_over(self) -> list[str]:
        """Return what lies in the store's folder of partials."""
        folder = self.store / ".partial"
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGCONT)
                worker.kill()
            worker.wait()
        self._closing.close()


@contextlib.contextmanager
def shop_of(home: Path, *models: dict[str, Any]) -> Iterator[Shop]:
    shop = Shop(home, *models)
    try:
        yield shop
    finally:
        shop.close()
