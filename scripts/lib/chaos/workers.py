"""Starts and watches worker processes. The origin knows each by its token, the rows by its name."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from support.app import App
from support.fork_server import ForkedProcess, ForkServer

from lib.chaos.database import RunDatabase
from lib.chaos.disk import Disk

STOPS_WITHIN_S = 5.0  # the documented time of a worker to end after SIGTERM


@dataclass
class WorkerProcess:
    """One worker process. `token` identifies it at the origin, `name` in the rows, once they have it."""

    token: str
    process: ForkedProcess
    name: str | None = None
    struck: list[float] = field(
        default_factory=list
    )  # times of kills and suspensions, by time.monotonic(), as all times here
    let_go: list[float] = field(default_factory=list)
    stop_requested_at: float | None = None
    suspended: bool = False
    judged: bool = False  # its end was checked

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.struck.append(time.monotonic())
        self.process.kill()
        self.process.wait()

    def suspend(self) -> None:
        self.struck.append(time.monotonic())
        self.suspended = True
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Continue a suspended worker, from any thread; a dead one is ignored."""
        if not self.suspended:
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGCONT)
        self.suspended = False
        self.let_go.append(time.monotonic())

    def request_stop(self) -> None:
        self.stop_requested_at = time.monotonic()
        self.process.send_signal(signal.SIGTERM)


class Workers:
    """All workers of a home, in the order of their start."""

    def __init__(
        self,
        app: App,
        fork_server: ForkServer,
        disk: Disk,
        database: RunDatabase,
        *,
        lease_s: float,
        suspended_s: float,
    ) -> None:
        self._app, self._fork_server, self._database = app, fork_server, database
        self._failpoints = f"lease={lease_s} {disk.failpoints}"
        # Another worker that is suspended during a write locks the database for as long.
        self._stops_within_s = STOPS_WITHIN_S + suspended_s
        self.all: list[WorkerProcess] = []

    def start_worker(self) -> WorkerProcess:
        token = f"worker-{len(self.all) + 1}"
        # Two jobs at a time, so that a fault of one worker affects more than one job.
        process = self._fork_server.start_worker(self._app, "--jobs", "2", failpoints=self._failpoints, HF_TOKEN=token)
        worker = WorkerProcess(token, process)
        self.all.append(worker)
        return worker

    @property
    def living(self) -> list[WorkerProcess]:
        return [worker for worker in self.all if worker.lives]

    @property
    def awake(self) -> list[WorkerProcess]:
        return [worker for worker in self.living if not worker.suspended and worker.stop_requested_at is None]

    def learn_names(self) -> None:
        """Read the names of the workers from the rows; a worker that stops cleanly removes its row."""
        names = dict(self._database.rows("SELECT pid, worker FROM workers ORDER BY started_at"))
        for worker in self.all:
            if worker.name is None:
                worker.name = names.get(worker.process.pid)

    def remembered(self) -> list[str]:
        """Return the dead workers that still have rows: a living worker checks for them once a second."""
        worker_rows = dict(self._database.rows("SELECT pid, worker FROM workers"))
        living = {worker.process.pid for worker in self.living}
        return [name for pid, name in worker_rows.items() if pid not in living]

    def kill(self, worker: WorkerProcess) -> None:
        """Stop it, read its name, and kill it: the worker that rescues its jobs removes its row."""
        worker.process.send_signal(signal.SIGSTOP)
        self.learn_names()
        worker.kill()

    def unexpected_exits(self) -> Iterator[str]:
        """Yield, once each, the workers that ended unexpectedly, or did not end when requested."""
        for worker in self.all:
            status = None if worker.judged else worker.process.poll()
            if status is None:
                if (
                    worker.stop_requested_at is not None
                    and time.monotonic() > worker.stop_requested_at + self._stops_within_s
                    and not worker.judged
                ):
                    worker.judged = True
                    yield f"{worker.token} got SIGTERM and did not end within {self._stops_within_s} s"
                continue
            worker.judged = True
            if worker.stop_requested_at is not None and status != 0:
                yield f"{worker.token} got SIGTERM and ended with {status}"
            if worker.stop_requested_at is None and not (status == -signal.SIGKILL and worker.struck):
                yield f"{worker.token} ended by itself, with {status}"

    def stop_all(self) -> None:
        """Request all to stop, and wait for it; `unexpected_exits` reports failures."""
        for worker in self.living:
            worker.wake()
            worker.request_stop()
        for worker in self.living:
            with contextlib.suppress(TimeoutError):
                worker.process.wait(2 * self._stops_within_s)
