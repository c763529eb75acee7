"""Geometry of the drawings on the pages, as numbers for SVG attributes. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

SPARK_WIDTH, SPARK_HEIGHT = 96, 24


@dataclass(frozen=True, slots=True)
class Line:
    """A line and the area below it: values of `points` and of a path's `d`."""

    points: str
    area: str


def sparkline(samples: Sequence[tuple[float, float]], span: float, *, width: int, height: int) -> Line | None:
    """Return the line of (age, value) samples, the oldest first, over the last `span`; None for fewer than two.

    0 is at the bottom; a fifth of the height stays free above the highest value.
    """
    inside = [(age, value) for age, value in samples if age <= span]
    if len(inside) < 2:
        return None
    top = 1.25 * max(value for _, value in inside) or 1.0
    dots = [(width * (1 - age / span), height - 1 - (height - 2) * value / top) for age, value in inside]
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
    (first, _), (last, _) = dots[0], dots[-1]
    return Line(points, f"M{first:.1f},{height} L{points.replace(' ', ' L')} L{last:.1f},{height} Z")


@dataclass(frozen=True, slots=True)
class Band:
    """A part of a bar, in percent of its width."""

    kind: str
    x: float
    width: float


def bands(parts: Sequence[tuple[str, int]], total: int) -> list[Band]:
    """Return the parts of a bar from left to right. A part that is not empty is at least half a percent wide."""
    visible = [(kind, count) for kind, count in parts if count > 0]
    widths = [max(0.5, 100 * count / max(1, total)) for _, count in visible]
    excess = sum(widths) / 100 if sum(widths) > 100 else 1.0
    result, at = [], 0.0
    for (kind, _), width in zip(visible, widths, strict=True):
        result.append(Band(kind, round(at, 3), round(width / excess, 3)))
        at += width / excess
    return result


def strip(kept: Sequence[tuple[int, int]], total: int, cells: int) -> list[float]:
    """Return for each of `cells` equal parts of a file how much of it is kept, from 0 to 1.

    `kept` are half-open ranges of bytes that do not overlap, in order.
    """
    if total <= 0:
        return []
    size = total / cells
    shares = [0.0] * cells
    for start, end in kept:
        for cell in range(int(start / size), min(cells, int(end / size) + 1)):
            inside = min(end, (cell + 1) * size) - max(start, cell * size)
            shares[cell] += max(0.0, inside) / size
    return [min(1.0, share) for share in shares]
