"""The figures of a run, and their table."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from lib.bench.figures import markdown

ORIGIN_MAX, CLAIM_MS_MAX, CPU_MAX, CONNECTIONS_PER_WORKER = 2.0, 50.0, 0.05, 3


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run gave. `origin_ratio` is the origin's bytes over the files' sizes; `cpu` is a share of one core."""

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
        """Whether the targets are met that no slow machine excuses."""
        return self.right == self.wanted and self.origin_ratio <= ORIGIN_MAX

    def cells(self) -> list[str]:
        claims = sorted(self.claims_ms) or [float("nan")]
        return [
            f"{self.finished:,}",
            f"{self.origin_ratio:.2f}",
            f"{self.right} of {self.wanted}",
            f"{statistics.median(claims):.1f} ({claims[-1]:.1f})",
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
