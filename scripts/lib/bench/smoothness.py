"""The deviation of a flow from its rate. Pure; a flow is a list of (time in s, bytes so far)."""

from collections.abc import Sequence

EARLY_S = 0.02

Flow = Sequence[tuple[float, int]]


def window_deviation(flow: Flow, rate_bps: float, window_s: float) -> float:
    """Return the largest deviation from the rate in a window of that length: -0.03 is three percent too slow."""
    rates = [(later - sooner) / (end - start) for start, sooner, end, later in windows(flow, window_s)]
    return max((rate / rate_bps - 1 for rate in rates), key=abs, default=0.0)


def worst_to_best(flow: Flow, window_s: float) -> float:
    """Return the most over the least bytes in any window of that length; 1.0 is perfectly smooth."""
    rates = [(later - sooner) / (end - start) for start, sooner, end, later in windows(flow, window_s)]
    return max(rates) / min(rates) if rates and min(rates) > 0 else float("inf")


def windows(flow: Flow, window_s: float) -> list[tuple[float, int, float, int]]:
    """Return the start, its bytes, the end and its bytes of each whole window."""
    windows = []
    for start, sooner in flow:
        # Samples come a little early or late.
        after = next(((end, later) for end, later in flow if end - start >= window_s - EARLY_S), None)
        if after is not None:
            windows.append((start, sooner, *after))
    return windows
