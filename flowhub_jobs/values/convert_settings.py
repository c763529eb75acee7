"""Converts the values of single settings, as a variable or config.toml has them, to their types."""

from typing import Any

from flowhub_jobs.errors import SettingInvalid, UsageInvalid
from flowhub_jobs.times import parse_span
from flowhub_jobs.units import parse_rate, parse_size
from flowhub_jobs.values.enums import QueueOrder

_ONE_OF = {"log_format": ("plain", "json"), "queue_order": tuple(str(order) for order in QueueOrder)}
WORKER_JOBS_MAX = 999  # each has a thread of its own
_BOUNDS = {
    "jobs": (1, WORKER_JOBS_MAX),
    "connections_per_host": (1, 1000),
    "faults_max": (1, 1_000_000),
    "keep_events_days": (1, 1_000_000),
    "share_readers": (1, 1000),
}
_BYTES = (0, 2**63 - 1)  # of disk_reserve and slow_bps


def converted(name: str, kind: Any, value: Any, where: str) -> Any:
    """Return `value` as the setting's own type; `kind` is the annotation of its field."""
    try:
        if kind is int or (kind == int | None):
            return _int_or_none(name, value)
        if kind is float:
            return _seconds(value)
        if kind is bool:
            return _switch(value)
        if kind == tuple[str, ...]:
            return _word_list(value)
        if not isinstance(value, str):
            raise ValueError("is not text")
        if name in _ONE_OF and value not in _ONE_OF[name]:
            raise ValueError(f"is none of {', '.join(_ONE_OF[name])}")
    except (ValueError, TypeError) as error:
        raise SettingInvalid(
            f"{where}: {name} is {value!r}, which {error}.", hint="Correct it, or leave it out."
        ) from None
    return value


def _word_list(value: Any) -> tuple[str, ...]:
    """Return the words of a list, or of a text with commas between them, as a variable has them."""
    words = value.split(",") if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError("is not a list of words")
    return tuple(dict.fromkeys(word.strip() for word in words if word.strip()))


def _int_or_none(name: str, value: Any) -> int | None:
    if name == "limit_rate":
        return _rate(value)
    if name == "store_max":
        return size(value)
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    least, most = _BOUNDS.get(name, _BYTES)
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
        raise ValueError(f"is not a whole number from {least} to {most}")
    return number


def _rate(value: Any) -> int | None:
    try:
        return parse_rate(str(value))
    except UsageInvalid:
        raise ValueError("is not a rate (500K, 5M, 123456 or off; below 1000 it needs a unit)") from None


def size(value: Any) -> int | None:
    text = str(value).strip()
    try:
        return None if text.lower() == "off" else parse_size(text, option="store_max =")
    except UsageInvalid:
        raise ValueError("is not a size (2T, 500G, 8GiB or off)") from None


def _switch(value: Any) -> bool:
    text = str(value).strip().lower()
    if text not in ("1", "true", "on", "yes", "0", "false", "off", "no"):
        raise ValueError("is neither on nor off")
    return text in ("1", "true", "on", "yes")


def _seconds(value: Any) -> float:
    try:
        number = parse_span(value) if isinstance(value, str) else float(value)
    except (UsageInvalid, TypeError):
        raise ValueError("is not a number of seconds, nor a time such as 90s, 15m or 24h") from None
    if isinstance(value, bool) or not 0 < number < 1e7:
        raise ValueError("is not a number of seconds above 0")
    return number
