"""Samples of a run: connections of the database, its CPU time, and the time that a claim takes."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import psycopg
from support.postgres import Server

from flowhub_jobs.home import opened
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.operations.enqueue_plan import EnqueueItem
from flowhub_jobs.operations.session import Session
from flowhub_jobs.settings import load_settings
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile
from lib.chaos.environment import environment
from lib.fleet.nodes import OTHER

CLAIMS_MAX, EVERY_S, ALL = 1000, 0.5, "all"  # EVERY_S: the sampling itself must not load the database


def database_cpu_s(server: Server) -> float:
    """Return the CPU seconds of all processes of a server so far, including ended ones."""
    main = psutil.Process(int((server.data / "postmaster.pid").read_text().splitlines()[0]))
    seconds = sum(main.cpu_times()[:4])  # its own time, and that of the children that it has waited for
    for child in main.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            seconds += sum(child.cpu_times()[:2])
    return seconds


class ConnectionCounter:
    """Counts the connections to a database. `peak` is the maximum, by application and in all."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection
        self.peak: Counter[str] = Counter()

    def sample(self) -> None:
        query = "SELECT application_name, count(*) FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1"
        counts = {name: count for name, count in self._connection.execute(query) if name != OTHER}
        for name, count in (*counts.items(), (ALL, sum(counts.values()))):
            self.peak[name] = max(self.peak[name], count)


class ClaimTimer:
    """A further node that claims its own jobs without running them. `ms` are the times of the claims."""

    def __init__(self, leases: LeaseStore) -> None:
        self._leases, self.ms = leases, list[float]()

    def claim(self) -> None:
        began = time.perf_counter()
        if self._leases.claim() is not None:
            self.ms.append(1000 * (time.perf_counter() - began))


@contextlib.contextmanager
def claim_timer(home_folder: Path, database_url: str) -> Iterator[ClaimTimer]:
    url = f"{database_url}?application_name={OTHER}"
    node_environ = {"FLOWHUB_HOME": str(home_folder), "FLOWHUB_NODE": "claims", "FLOWHUB_DATABASE_URL": url}
    with environment(**node_environ), opened(load_settings()) as home:
        files = [ArtifactFile(f"{n}.gguf", f"https://models.example/{n}.gguf", 10**9) for n in range(CLAIMS_MAX)]
        artifacts = [Artifact(one.url, None, None, None, one.path, False, (one,)) for one in files]
        Session(home).enqueue([EnqueueItem(artifact) for artifact in artifacts])
        yield ClaimTimer(LeaseStore(home.engine, home.node, "w-claims", home.clock))


@contextlib.contextmanager
def sampled(counter: ConnectionCounter, timer: ClaimTimer) -> Iterator[None]:
    """Sample and claim in a thread while the block runs. Raises what the thread raised."""
    stop, failed = threading.Event(), list[Exception]()

    def loop() -> None:
        try:
            while not stop.wait(EVERY_S):
                counter.sample()
                timer.claim()
        except Exception as error:
            failed.append(error)

    thread = threading.Thread(target=loop, name="sampler")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
    if failed:
        raise failed[0]
