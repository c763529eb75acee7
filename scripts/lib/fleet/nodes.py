"""The nodes: each has a worker, a share, a home and a store."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lib.env import TOP
from lib.processes import stopped_after

FLOWHUB = (sys.executable, "-m", "flowhub_jobs.cli.main")
WORKER, SHARE, OTHER = "worker", "share", "fleet"  # names of connections in pg_stat_activity


@dataclass(frozen=True, slots=True)
class FleetNode:
    name: str
    home: Path
    database_url: str
    catalog: Path
    rate_bps: float | None = None  # its download rate

    def environ(self, application: str) -> dict[str, str]:
        """Return the environment of one of its processes; `application` is the name of its database connections."""
        return os.environ | {
            "FLOWHUB_HOME": str(self.home),
            "FLOWHUB_NODE": self.name,
            "FLOWHUB_CATALOG": str(self.catalog),
            "FLOWHUB_DATABASE_URL": f"{self.database_url}?application_name={application}",
            "FLOWHUB_CHECK": "false",
            "FLOWHUB_LOOK_ELSEWHERE": "false",
            "PYTHONPATH": str(TOP),
            **({"FLOWHUB_LIMIT_RATE": f"{self.rate_bps:.0f}"} if self.rate_bps else {}),
        }

    @property
    def store(self) -> Path:
        return self.home / "llms"

    def run(self, *arguments: str) -> str:
        """Run a verb on this node. Raises CalledProcessError."""
        command = [*FLOWHUB, *arguments]
        return subprocess.run(command, env=self.environ(OTHER), check=True, stdout=subprocess.PIPE, text=True).stdout

    @contextlib.contextmanager
    def process(self, application: str, *arguments: str) -> Iterator[None]:
        with (
            (self.home / f"{application}.log").open("wb") as log,
            subprocess.Popen(
                [*FLOWHUB, *arguments], env=self.environ(application), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            ) as process,
            stopped_after(process),
        ):
            yield


def make_nodes(
    folder: Path, count: int, database_url: str, catalog: Path, rate_bps: float | None = None
) -> list[FleetNode]:
    names = [f"n{number:02}" for number in range(1, count + 1)]
    nodes = [FleetNode(name, folder / name, database_url, catalog, rate_bps) for name in names]
    for node in nodes:
        node.home.mkdir(parents=True)
    return nodes


@contextlib.contextmanager
def running(nodes: Sequence[FleetNode], *, share: bool) -> Iterator[None]:
    """Run the nodes' workers, and their shares; they stop at the end."""
    with contextlib.ExitStack() as stack:
        for node in nodes if share else ():
            stack.enter_context(node.process(SHARE, "web", "--share", "--port", "0", "--no-open"))
        for node in nodes:
            stack.enter_context(node.process(WORKER, "worker", "--node", node.name))
        yield
