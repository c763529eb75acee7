"""A process that may start few threads: TasksMax of a service, pids.max of a container, `ulimit -u` and `ulimit -v`.

The system refuses a thread whose stack has no room in its memory, with the error of a limit on threads.
"""

import subprocess
import sys
import threading

import pytest
from support.fault_files import MODEL, serve_model
from support.run_fetch import run_transfer

from flowhub_jobs.errors import TooManyThreads
from flowhub_jobs.home import opened
from flowhub_jobs.operations.convert_unexpected_errors import as_flowhub_error
from flowhub_jobs.settings import load_settings
from flowhub_jobs.transfer import fetchers
from flowhub_jobs.transfer.committer import Committer
from flowhub_jobs.transfer.fetch import RetryLater
from flowhub_jobs.transfer.hasher import Hasher
from flowhub_jobs.worker.release_or_fail import to_flowhub_error

NO_ROOM = 1 << 46  # bytes of a stack
HINTS = ("ulimit -u", "TasksMax=", "pids.max")


def refused_thread():
    """Return what Python raises for a thread that the system does not start."""
    default_size = threading.stack_size(NO_ROOM)
    try:
        with pytest.raises(RuntimeError) as raised:
            threading.Thread(target=lambda: None).start()
    finally:
        threading.stack_size(default_size)
    return raised.value


def refuse_threads(monkeypatch, kind, *, first):
    """Have the system refuse the threads of a kind, after the first `first`; return the list of those that began."""
    start, started = kind.start, []

    def start_or_not(thread):
        started.append(thread)
        default_size = threading.stack_size(NO_ROOM if len(started) > first else 0)
        try:
            start(thread)
        finally:
            threading.stack_size(default_size)

    monkeypatch.setattr(kind, "start", start_or_not)
    return started


def test_a_thread_that_the_system_refuses_is_not_an_internal_error(home):
    error = as_flowhub_error(refused_thread())
    assert type(error) is TooManyThreads
    assert all(hint in str(error.hint) for hint in HINTS)
    with opened(load_settings()) as opened_home:
        retry = to_flowhub_error(opened_home, 1, refused_thread())
    assert isinstance(retry, RetryLater)
    assert type(retry.error) is TooManyThreads


def test_a_worker_that_may_start_no_thread_says_which_limit_to_raise(home):
    script = f"import threading; threading.stack_size({NO_ROOM}); from flowhub_jobs.cli.main import main; main()"
    worker = subprocess.run([sys.executable, "-c", script, "worker", "--drain"], capture_output=True, text=True)
    assert worker.returncode == 1
    assert "starts no more threads" in worker.stderr
    assert all(hint in worker.stderr for hint in HINTS)


def test_a_transfer_continues_with_the_connections_that_it_has(origin, tmp_path, monkeypatch):
    resize = fetchers.FetcherPool.resize
    monkeypatch.setattr(fetchers.FetcherPool, "resize", lambda pool, count: resize(pool, count + 2))
    started = refuse_threads(monkeypatch, fetchers.Fetcher, first=1)
    assert run_transfer(serve_model(origin, True), tmp_path).content() == MODEL.read()
    assert len(started) > 1


@pytest.mark.parametrize("kind", [Committer, Hasher, fetchers.Fetcher])
def test_a_transfer_that_gets_no_thread_ends_every_thread_that_it_began(origin, tmp_path, monkeypatch, kind):
    refuse_threads(monkeypatch, kind, first=0)
    before = threading.active_count()
    with pytest.raises(RuntimeError) as raised:
        run_transfer(serve_model(origin, True), tmp_path)
    assert TooManyThreads.of(raised.value)
    assert threading.active_count() == before
    monkeypatch.undo()
    assert run_transfer(serve_model(origin, True), tmp_path).content() == MODEL.read()
