"""Real workers and verbs, forked from a process that has imported flowhub already, which takes a second.

`python -m support.fork_server` is that process. It has one thread and no open file. Each line on its stdin is a request
in JSON, each line on its stdout the answer.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from support.python_process import ROOT

if TYPE_CHECKING:
    from support.app import App

POLL_S = 0.01


class ForkedProcess:
    """A process with the methods of subprocess.Popen that `App` uses, and whether it is stopped."""

    def __init__(self, fork_server: "ForkServer", pid: int) -> None:
        self._fork_server, self.pid = fork_server, pid
        self._status: int | None = None
        self.stopped = False

    def poll(self) -> int | None:
        """Return its exit status, or minus the signal that ended it; None while it runs."""
        if self._status is None:
            answer = self._fork_server.send({"poll": self.pid})
            self._status, self.stopped = answer["status"], answer["stopped"]
        return self._status

    def is_stopped(self) -> bool:
        """Return whether SIGSTOP has stopped it. Raises AssertionError if it has ended."""
        assert self.poll() is None, "the worker ended before it was stopped"
        return self.stopped

    def wait(self, timeout: float = 60) -> int:
        deadline, pause = time.monotonic() + timeout, threading.Event()
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the worker {self.pid} does not end")
            pause.wait(POLL_S)
        return status

    def send_signal(self, signum: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@dataclass(frozen=True)
class ProcessResult:
    """The exit status of a verb, or minus the signal that ended it; and its stdout and stderr."""

    status: int
    output: str


class ForkServer:
    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.fork_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )

    def send(self, request: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def start_worker(
        self, app: "App", *arguments: str, failpoints: str = "fast_maintenance", **environ: str
    ) -> ForkedProcess:
        """Start a worker of an app, and end it with the app; `failpoints` are words of support/failpoints.py."""
        return self._start(app, ["worker", *arguments], app.path / "worker.log", failpoints, environ)

    def _start(self, app: "App", verb: list[str], log: Path, failpoints: str, environ: dict[str, str]) -> ForkedProcess:
        environment = os.environ | {"FLOWHUB_CATALOG": str(app.catalog), "FAILPOINTS": failpoints} | environ
        request = {"verb": verb, "environ": dict(environment), "log": str(log)}
        worker = ForkedProcess(self, self.send({"fork": request})["pid"])
        app.workers.append(worker)
        return worker

    def run(self, app: "App", *verb: object, failpoints: str = "") -> "ProcessResult":
        """Run a verb to its end, whether it succeeds or is killed."""
        log = app.path / "verb.log"
        log.unlink(missing_ok=True)
        status = self._start(app, [str(word) for word in verb], log, failpoints, {}).wait()
        return ProcessResult(status, log.read_text())

    def drain(self, app: "App", *, failpoints: str = "fast_maintenance", **environ: str) -> int:
        """Run all queued jobs in a worker, and return its exit status."""
        return self.start_worker(app, "--drain", failpoints=failpoints, **environ).wait()

    def close(self) -> None:
        self._process.communicate()


# The server process ---------------------------------------------------------------------------------------------------


def serve() -> None:
    import flowhub_jobs.cli.app
    import flowhub_jobs.cli.worker.worker
    import flowhub_jobs.worker.process  # noqa: F401, now a worker imports nothing

    running: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        answer = _fork(running, **request["fork"]) if "fork" in request else _poll(running, request["poll"])
        print(json.dumps(answer), flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _fork(running: set[int], verb: list[str], environ: dict[str, str], log: str) -> dict[str, int]:
    pid = os.fork()
    if pid == 0:
        _work(verb, environ, log)
    running.add(pid)
    return {"pid": pid}


def _work(verb: list[str], environ: dict[str, str], log: str) -> NoReturn:
    from flowhub_jobs.cli.main import main
    from flowhub_jobs.transfer import slow_connection_rules
    from support.failpoints import set_failpoints

    slow_connection_rules.SLOW_S = 600.0  # a worker must not replace a connection that a test pauses

    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.clear()
    os.environ.update(environ)
    set_failpoints(environ["FAILPOINTS"])
    sys.argv = ["flowhub", *verb]
    main()


def _poll(running: set[int], pid: int) -> dict[str, int | bool | None]:
    stopped = pid in _stopped
    changed_pid, wait_status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED | os.WCONTINUED)
    if not changed_pid:
        return {"status": None, "stopped": stopped}
    if os.WIFSTOPPED(wait_status) or os.WIFCONTINUED(wait_status):
        _stopped.add(pid) if os.WIFSTOPPED(wait_status) else _stopped.discard(pid)
        return {"status": None, "stopped": os.WIFSTOPPED(wait_status)}
    running.discard(pid)
    return {"status": os.waitstatus_to_exitcode(wait_status), "stopped": False}


_stopped: set[int] = set()

if __name__ == "__main__":
    serve()
