"""Runs a few named jobs in the process that asks for them, as a worker would: under a lease, with its heartbeat.

If this process is killed, the jobs are taken back as any worker's are, and the next worker goes on with them.
"""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from flowhub_jobs.home import Home
from flowhub_jobs.worker.floor import Floor
from flowhub_jobs.worker.heartbeat import Heartbeat
from flowhub_jobs.worker.pipeline import run_job


@contextmanager
def at_work(home: Home, jobs: Sequence[int]) -> Iterator[threading.Thread]:
    """Yield the thread that runs the jobs, one after the other; a job that another worker has is left to it.

    Who leaves before its end has the job at hand handed back: it stays in the queue.
    """
    log = logging.getLogger("flowhub")
    level = log.level
    log.setLevel(logging.CRITICAL)  # a worker's log is not for who asked: the jobs' rows say how they ended
    floor = Floor(home, 1)
    heartbeat = Heartbeat(floor)
    runner = threading.Thread(target=_run_each, args=(floor, jobs), name="inline")
    heartbeat.start()
    runner.start()
    try:
        yield runner
    finally:
        floor.stop()
        runner.join()
        heartbeat.stop()
        floor.close()
        log.setLevel(level)


def _run_each(floor: Floor, jobs: Sequence[int]) -> None:
    for job in jobs:
        claimed = None if floor.stopping.is_set() else floor.leases.claim(only=job)
        if claimed is not None:
            run_job(floor, claimed)
