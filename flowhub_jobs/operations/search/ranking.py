"""Which variant of a model is the best for a machine: one rule, for `--best-fit`, and light enough for a search."""

from flowhub_jobs.device.fit import Verdict
from flowhub_jobs.values.enums import Fit, HubFormat

BEST_FIRST = (Fit.FITS, Fit.TIGHT, Fit.SLOW, Fit.UNKNOWN, Fit.TOO_BIG, Fit.WRONG_PLATFORM)
RUNNING = BEST_FIRST[:4]  # what is not known is tried where nothing better is known

Merit = tuple[int, bool, int]


def merit(verdict: Verdict, format: HubFormat | None, default: HubFormat | None) -> Merit:  # noqa: A002
    """Return what is the less, the better a variant is; `default` is the format of the model's first option.

    What fits comes before what is tight, that before what is slow. Among those the default format comes first, and in
    it the largest weights: of one model, more bytes are more of it. What does not run is the better the smaller it is.
    """
    weights = verdict.weights_bytes or 0
    runs = {Fit.UNKNOWN: 0, Fit.TOO_BIG: weights, Fit.WRONG_PLATFORM: weights}.get(verdict.fit, -weights)
    return BEST_FIRST.index(verdict.fit), format is not default, runs
