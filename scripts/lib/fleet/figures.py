"""The figures of a run, and their table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from lib.bench.figures import markdown

ORIGIN_MAX, CLAIM_MS_MAX, CPU_MAX, CONNECTIONS_PER_WORKER = 2.0, 50.0, 0.05, 3


@dataclass(frozen=True, slots=True)
class Limit:
    """A target, and whether a run met it. A slow or busy machine may miss one that is `of_speed`."""

    name: str
    met: bool
    of_speed: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures of a run. `origin_ratio` is the origin's bytes over the files' sizes; `cpu` is a share of a core."""

    nodes: int
    finished: int
    origin_ratio: float
    right: int  # digests
    wanted: int
    claims_ms: tuple[float, ...]
    cpu: float
    worker_connections: int
    all_connections: int
    wall_s: float

    @property
    def correct(self) -> bool:
        """Whether all targets are met that do not depend on the machine's speed."""
        return all(limit.met for limit in self.limits() if not limit.of_speed)

    @property
    def claim_ms(self) -> float:
        """The median."""
        return statistics.median(self.claims_ms or (float("nan"),))

    def limits(self) -> list[Limit]:
        most = CONNECTIONS_PER_WORKER * self.nodes
        return [
            Limit("bytes of the origin", self.origin_ratio <= ORIGIN_MAX),
            Limit("digests", self.right == self.wanted),
            Limit("milliseconds a claim", self.claim_ms < CLAIM_MS_MAX, of_speed=True),
            Limit("CPU of the database", self.cpu < CPU_MAX, of_speed=True),
            Limit("connections of the workers", self.worker_connections <= most),
        ]

    def cells(self) -> list[str]:
        return [
            f"{self.finished:,}",
            f"{self.origin_ratio:.2f}",
            f"{self.right} of {self.wanted}",
            f"{self.claim_ms:.1f} ({max(self.claims_ms, default=self.claim_ms):.1f})",
            f"{self.cpu:.1%}",
            f"{self.worker_connections} ({self.all_connections})",
            f"{self.wall_s:.1f}",
        ]


def table(runs: Sequence[Figures]) -> str:
    """Return the table: a line for each figure with its target, a column for each run."""
    connections = CONNECTIONS_PER_WORKER * runs[0].nodes
    names = [
        ("finished jobs before", ""),
        ("bytes of the origin / sizes of the files", f"<= {ORIGIN_MAX:g}"),
        ("right digests", "all"),
        ("milliseconds a claim: median (maximum)", f"< {CLAIM_MS_MAX:g}"),
        ("the database's CPU, share of a core", f"< {CPU_MAX:.0%}"),
        ("database connections of the workers (and the shares)", f"<= {connections}"),
        ("seconds until all nodes have all files", ""),
    ]
    columns = [run.cells() for run in runs]
    rows = [(*name, *(column[number] for column in columns)) for number, name in enumerate(names)]
    return markdown(("figure", "target", *(f"run {number}" for number in range(1, len(runs) + 1))), rows)


def verdicts(runs: Sequence[Figures]) -> str:
    """Return a line for each run and limit."""
    lines = [
        f"run {number}: {'met' if limit.met else 'MISSED'}: {limit.name}"
        for number, run in enumerate(runs, start=1)
        for limit in run.limits()
    ]
    return "\n".join(lines)
