"""Runs named jobs in the process of a command, as a worker would: under a lease, with a heartbeat.

If this process is killed, its jobs are rescued as any worker's are, and the next worker continues them.
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
    """Run the jobs in a thread, one after the other; yield an event that is set at the end. Skips other workers' jobs.

    If the block is left before the end, the running job is handed back and stays in the queue.
    """
    logger = logging.getLogger("flowhub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # no worker's log for the user of a command: the rows say how the jobs ended
    home.take_back_orphans()  # the jobs of an earlier call that was killed
    context, finished = WorkerContext(home, 1), threading.Event()
    heartbeat = Heartbeat(context)
    runner = threading.Thread(target=_run_each, args=(context, jobs, finished), name="inline")
    heartbeat.start()
    runner.start()
    try:
        yield finished
    finally:
        context.stop()
        # Not `join` first: a Ctrl-C during it makes Python 3.11 regard the thread as ended (gh-90882).
        finished.wait()
        runner.join()
        heartbeat.stop()
        context.close()
        logger.setLevel(level)


def _run_each(context: WorkerContext, jobs: Sequence[int], finished: threading.Event) -> None:
    try:
        for job in jobs:
            claimed = None if context.stopping.is_set() else context.leases.claim(only=job)
            if claimed is not None:
                run_job(context, claimed)
    except SQLAlchemyError:
        log.warning(
            "No job could be claimed.", exc_info=True
        )  # the command meets the same error when it reads the jobs
    finally:
        finished.set()
