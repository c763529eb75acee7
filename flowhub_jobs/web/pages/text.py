"""Text for the pages: replaces invisible characters, and formats figures in a constant width. Pure."""

import re
from datetime import datetime
from urllib.parse import urlsplit

from markupsafe import Markup, escape

from flowhub_jobs.fs.names import is_unseen
from flowhub_jobs.times import clock_time
from flowhub_jobs.units import format_bytes

NO_VALUE = "\N{EN DASH}"  # in place of a figure that is not known
TEXT_MAX = 4000  # characters of one value: the catalog's author decides how long its texts are
_UNITS = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "KB"))
_COMMAND = re.compile(r"`([^`\n]{1,300})`")


def visible(text: str, most: int = TEXT_MAX) -> str:
    """Return the text without control, format and bidi characters, which could disguise it; cut at `most` characters.

    Line breaks and tabs stay: they do no harm in HTML.
    """
    cut = text if len(text) <= most else f"{text[:most]}…"
    if cut.isprintable():
        return cut
    return "".join("\ufffd" if is_unseen(char) and char not in "\n\t\u200d" else char for char in cut)


def finalize(value: object) -> object:
    """Return what a template prints in the place of a value: every text passes `visible`, None is nothing."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return visible(value)
    return "" if value is None else value


def with_commands(text: str) -> Markup:
    """Return a sentence with its commands, which stand in backticks, as <code>."""
    parts = _COMMAND.split(visible(text))
    escaped = [
        escape(part) if number % 2 == 0 else Markup("<code>{}</code>").format(part) for number, part in enumerate(parts)
    ]
    return Markup("").join(escaped)


def safe_link(url: str | None) -> str | None:
    """Return an address that a page may link to: https with a host, and nothing else."""
    if not url or len(url) > 2000 or not url.isprintable():
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    return url if parts.scheme.lower() == "https" and host and parts.username is None else None


def of_total(done: int, total: int | None) -> tuple[str, str]:
    """Return how much there is of a total, in its unit: ("5.77", "of 9.00 GB"); ("610 MB", "") without one.

    Two digits after the point, so that a figure that changes keeps its width.
    """
    if total is None:
        return format_bytes(done), ""
    size, unit = next(((size, unit) for size, unit in _UNITS if total >= size), (1, "B"))
    if size == 1:
        return str(done), f"of {total} B"
    return f"{done / size:.2f}", f"of {total / size:.2f} {unit}"


def day_or_time(moment: datetime | None, now: datetime) -> str:
    """Return a time as the screens show it, without seconds."""
    if moment is None:
        return ""
    return re.sub(r"(\d\d:\d\d):\d\d$", r"\1", clock_time(moment, now))


def date_of(moment: datetime | None) -> str:
    """Return a local date such as "18 Nov 2026"."""
    return f"{moment.astimezone():%-d %b %Y}" if moment else ""


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]
