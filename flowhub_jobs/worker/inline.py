"""Runs a few named jobs in the process that asks for them, as a worker would: under a lease, with its heartbeat.

If this process is killed, the jobs are taken back as any worker's are, and the next worker goes on with them.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy.exc import SQLAlchemyError

from flowhub_jobs.home import Home
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.heartbeat import Heartbeat
from flowhub_jobs.worker.pipeline import run_job

log = logging.getLogger("flowhub.inline")


@contextmanager
def running_inline(home: Home, jobs: Sequence[int]) -> Iterator[threading.Event]:
    """Run the jobs in a thread, one after the other; yield what is set at its end. Another worker's job is left to it.

    Who leaves before its end has the job at hand handed back: it stays in the queue.
    """
    every = logging.getLogger("flowhub")
    level = every.level
    every.setLevel(logging.CRITICAL)  # a worker's log is not for who asked: the jobs' rows say how they ended
    home.take_back_orphans()  # what an earlier call was killed with, and no worker has taken back yet
    context, over = WorkerContext(home, 1), threading.Event()
    heartbeat = Heartbeat(context)
    runner = threading.Thread(target=_run_each, args=(context, jobs, over), name="inline")
    heartbeat.start()
    runner.start()
    try:
        yield over
    finally:
        context.stop()
        # Not `join` first: a Ctrl-C inside of one has Python 3.11 take the thread for ended (gh-90882).
        over.wait()
        runner.join()
        heartbeat.stop()
        context.close()
        every.setLevel(level)


def _run_each(context: WorkerContext, jobs: Sequence[int], over: threading.Event) -> None:
    try:
        for job in jobs:
            claimed = None if context.stopping.is_set() else context.leases.claim(only=job)
            if claimed is not None:
                run_job(context, claimed)
    except SQLAlchemyError:
        log.warning("No job could be claimed.", exc_info=True)  # who asked meets the same when it reads the jobs
    finally:
        over.set()
