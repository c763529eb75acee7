"""Medians, ratios and tables of measurements. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

MIB, GIB = 1 << 20, 1 << 30
LEVEL = 0.95  # of a competitor's speed: two runs of one program differ by this on most machines


@dataclass(frozen=True)
class Run:
    """One run of one program: seconds on the clock, and of CPU in all its processes (user and system)."""

    wall_s: float
    cpu_s: float
    peak_bytes: int = 0


@dataclass(frozen=True)
class Row:
    """All runs of one program in one case; `what` describes the call. `size` is the number of bytes of each run."""

    who: str
    what: str
    size: int
    runs: tuple[Run, ...]

    @property
    def wall_s(self) -> float:
        return median(run.wall_s for run in self.runs)

    @property
    def cpu_s(self) -> float:
        return median(run.cpu_s for run in self.runs)

    @property
    def mib_s(self) -> float:
        return self.size / MIB / self.wall_s

    @property
    def cpu_per_gib(self) -> float:
        return self.cpu_s * GIB / self.size

    @property
    def spread(self) -> float:
        """Return the excess of the slowest run over the fastest: 0.1 is ten percent."""
        walls = [run.wall_s for run in self.runs]
        return max(walls) / min(walls) - 1


@dataclass(frozen=True)
class Claim:
    """One line of the closing table. `met` is None where the machine cannot measure it."""

    work: str
    at_least: str
    reached: str
    met: bool | None = None


@dataclass(frozen=True)
class Result:
    """The result of a case: its rows, further lines to print, and its claims about the aims."""

    rows: tuple[Row, ...] = ()
    lines: tuple[str, ...] = ()
    claims: tuple[Claim, ...] = ()


def row_of(rows: Sequence[Row], who: str) -> Row | None:
    return next((row for row in rows if row.who == who), None)


def speed_ratio(us: Row, other: Row) -> float:
    """Return flowhub's speed over the other program's, by the medians: 2.0 is twice as fast."""
    return other.wall_s / us.wall_s


def at_least(work: str, rows: Sequence[Row], whom: str, aim: float, aim_text: str) -> Claim:
    """Return the claim that flowhub is `aim` times as fast as the row `whom`."""
    us, other = row_of(rows, "flowhub"), row_of(rows, whom)
    if us is None or other is None:
        return Claim(work, aim_text, f"{whom} was not run")
    ratio = speed_ratio(us, other)
    return Claim(work, aim_text, f"{ratio:.2f} x {whom} ({us.wall_s:.2f} s, {other.wall_s:.2f} s)", ratio >= aim)


def level_with_best(work: str, rows: Sequence[Row], aim_text: str) -> Claim:
    """Return the claim that no competitor's median is better than flowhub's by more than LEVEL allows."""
    competitors = [row for row in rows if row.who not in ("flowhub", "limit")]
    best = min(competitors, key=lambda row: row.wall_s, default=None)
    return at_least(work, rows, best.who if best else "a competitor", LEVEL, aim_text)


# Markdown -----------------------------------------------------------------------------------------------------------


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table with aligned columns, so that its source is readable."""
    table = [list(head), *map(list, lines)]
    widths = [max(len(line[column]) for line in table) for column in range(len(head))]
    padded = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in table]
    padded.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in padded)


def rows_table(rows: Sequence[Row]) -> str:
    """Return the rows, fastest first; `our speed` is flowhub's over theirs, `their CPU` is theirs over flowhub's."""
    head = ("who", "wall s", "min..max", "MiB/s", "CPU s a GiB", "our speed", "their CPU")
    us = row_of(rows, "flowhub")
    return markdown(head, [_cells(row, us) for row in sorted(rows, key=lambda row: row.wall_s)])


def _cells(row: Row, us: Row | None) -> list[str]:
    walls = [run.wall_s for run in row.runs]
    against = [f"{speed_ratio(us, row):.2f} x", f"{row.cpu_s / us.cpu_s:.2f} x"] if us else ["", ""]
    speeds = [f"{row.wall_s:.2f}", f"{min(walls):.2f}..{max(walls):.2f}", f"{row.mib_s:.0f}", f"{row.cpu_per_gib:.2f}"]
    return [row.who, *speeds, *against]


def claims_table(claims: Sequence[Claim]) -> str:
    answers = {True: "yes", False: "no", None: "not measured"}
    return markdown(
        ("work", "at least", "reached", "met"),
        [(claim.work, claim.at_least, claim.reached, answers[claim.met]) for claim in claims],
    )


def size_in_words(size: int) -> str:
    return f"{size / GIB:g} GiB" if size >= GIB else f"{size / MIB:g} MiB"
