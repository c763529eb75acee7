"""Ranking of a model's variants for a machine. A search imports it, so it imports little."""

from flowhub_jobs.device.fit import Verdict
from flowhub_jobs.values.enums import Fit, HubFormat

BEST_FIRST = (Fit.FITS, Fit.TIGHT, Fit.SLOW, Fit.UNKNOWN, Fit.TOO_BIG, Fit.WRONG_PLATFORM)

Merit = tuple[int, bool, int]


def rank_key(verdict: Verdict, format: HubFormat | None, default: HubFormat | None) -> Merit:  # noqa: A002
    """Return the sort key of a variant: the best is the least; `default` is the format of the model's first option.

    Order: fits, tight, slow. Among those the default format comes first, and in
    it the largest weights: of one model, more bytes mean more precision. Of variants that do not run, the smallest
    comes first.
    """
    weights = verdict.weights_bytes or 0
    runs = {Fit.UNKNOWN: 0, Fit.TOO_BIG: weights, Fit.WRONG_PLATFORM: weights}.get(verdict.fit, -weights)
    return BEST_FIRST.index(verdict.fit), format is not default, runs
