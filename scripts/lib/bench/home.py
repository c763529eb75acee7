"""A home with the bench's catalog, and its workers."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lib.bench.competitors import option_of
from lib.bench.context import Context
from lib.bench.figures import Run
from lib.bench.files import Served
from lib.bench.processes import BenchFailed, measured
from lib.processes import stopped_after

POLL_S = 0.001
AT_MOST_S = 900


class BenchHome:
    """One home, empty at first. `base` is the address of the models, one file each."""

    def __init__(self, context: Context, base: str, files: Sequence[Served]) -> None:
        self.home = context.folder / "home"
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        catalog = self.home / "catalog.json"
        catalog.write_text(json.dumps({"apiVersion": "v1", "models": [_model(base, file) for file in files]}))
        self._flowhub = [str(context.python), "-m", "flowhub_jobs.cli.main"]
        self.environ = {**context.runner.environ, "FLOWHUB_HOME": str(self.home), "FLOWHUB_CATALOG": str(catalog)}
        self.store = self.home / "llms"
        os.sync()

    def command(self, *arguments: str) -> list[str]:
        return [*self._flowhub, *arguments]

    def ask(self, *arguments: str) -> Any:
        """Return the output of a verb with --json. Raises BenchFailed with its errors."""
        command = self.command(*arguments, "--json")
        answer = subprocess.run(command, env=self.environ, check=False, capture_output=True, text=True)
        if answer.returncode:
            raise BenchFailed(f"`flowhub {' '.join(arguments)}` said: {answer.stderr.strip()}")
        return json.loads(answer.stdout)

    def job(self) -> dict[str, Any]:
        """Return the only job, as `status` shows it."""
        [job] = self.ask("status", "--all")["jobs"]
        return dict(job)

    def drained(self, *arguments: str) -> Run:
        """Run a worker until the queue is empty, and measure it."""
        return measured(self.command("worker", "--drain", *arguments), self.home, self.environ)

    @contextlib.contextmanager
    def worker(self, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
        with (self.home / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                self.command("worker", *arguments),
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        with stopped_after(process):
            yield process

    def wait_for(self, worker: "subprocess.Popen[bytes]", there: Callable[[], bool], what: str) -> None:
        """Return within a millisecond after `there` is true. Raises BenchFailed if the worker ends, or at a timeout."""
        end = time.monotonic() + AT_MOST_S
        while not there():
            if worker.poll() is not None or time.monotonic() > end:
                log = (self.home / "worker.log").read_text(errors="replace")[-2000:]
                raise BenchFailed(f"{what} did not come; the worker said:\n{log}")
            time.sleep(POLL_S)


def end(worker: "subprocess.Popen[bytes]", signum: signal.Signals) -> None:
    worker.send_signal(signum)
    worker.wait()


def bytes_read(process: "subprocess.Popen[bytes]") -> int | None:
    """Return the bytes that a process has read from files, with its modules, without sockets. None outside Linux."""
    try:
        lines = Path(f"/proc/{process.pid}/io").read_text().splitlines()
    except OSError:
        return None
    return int(dict(line.split(": ") for line in lines)["rchar"])


def _model(base: str, file: Served) -> dict[str, Any]:
    name = model_of(file)
    return {"id": name, "name": name, "downloads": [option_of(base, [file])]}


def model_of(file: Served) -> str:
    return f"m-{file.sha256[:12]}"
