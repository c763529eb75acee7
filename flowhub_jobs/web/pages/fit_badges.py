"""Badges for verdicts: whether a model runs here, as a word, an icon and a shape, with the reason. Pure."""

from dataclasses import dataclass

from flowhub_jobs.operations.result_types import Verdict
from flowhub_jobs.values.enums import Fit
from flowhub_jobs.web.pages.text import NO_VALUE, capital


@dataclass(frozen=True, slots=True)
class Badge:
    """`css` is the class that gives it its shape and colour; no two share both."""

    css: str
    icon: str
    word: str


BADGES = {
    Fit.FITS: Badge("fits", "check", "Fits"),
    Fit.TIGHT: Badge("tight", "tight", "Tight"),
    Fit.SLOW: Badge("slow", "clock", "Slow"),
    Fit.TOO_BIG: Badge("big", "cross", "Too big"),
    Fit.WRONG_PLATFORM: Badge("platform", "slash", "Wrong platform"),
    Fit.UNKNOWN: Badge("unknown", "ask", "Unknown"),
}


def why(verdict: Verdict) -> str:
    """Return the verdict's sentence, with a capital and a full stop."""
    return f"{capital(verdict.why)}."


def memory(verdict: Verdict) -> str:
    """Return the memory that it needs, in GiB as memory is sold; a dash where that is not known."""
    return f"{verdict.need_bytes / 2**30:.1f} GiB" if verdict.need_bytes is not None else NO_VALUE
