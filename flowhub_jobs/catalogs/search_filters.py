"""Filters of a search, parsed from options, and their SQL. Pure. A number matches every value that rounds to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import NoReturn

from flowhub_jobs.catalogs.search_query import key
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.units import parse_size
from flowhub_jobs.values.enums import HubFormat

NEW_DAYS = 90

_FACTORS = {"": 10**9, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_NUMBER = r"[0-9]{1,9}(?:\.[0-9]{1,6})?"
_RANGE = re.compile(rf"({_NUMBER})?\s*([KMBT]?)\s*(\.\.)?\s*({_NUMBER})?\s*([KMBT]?)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Filters:
    """Conditions on models, and on their variants (`format`, `max_bytes`). None, or empty, is no condition.

    `parameters` is from (inclusive) and to (exclusive), None at an end that is open. `license` and `publisher` are
    beginnings of words; a tag is compared whole. `since` is a date, such as 2026-08-24. All texts as `query.key`.
    """

    format: str | None = None
    parameters: tuple[int, int | None] | None = None
    max_bytes: int | None = None
    license: str | None = None
    tags: tuple[str, ...] = ()
    publisher: str | None = None
    since: str | None = None

    @classmethod
    def typed(
        cls,
        *,
        format: str | None = None,  # noqa: A002, the catalog's own word
        params: str | None = None,
        max_size: str | None = None,
        license: str | None = None,  # noqa: A002
        tags: tuple[str, ...] = (),
        publisher: str | None = None,
        new_on: date | None = None,
    ) -> "Filters":
        """Return the filters of a command line; `new_on` is today, to keep only new models. Raises UsageInvalid."""
        return cls(
            format=_format(format),
            parameters=parameter_range(params) if params is not None else None,
            max_bytes=parse_size(max_size, option="--max-size") if max_size is not None else None,
            license=_key("--license", license, "apache-2.0"),
            tags=tuple(_key("--tag", tag, "chat") or "" for tag in tags),
            publisher=_key("--publisher", publisher, "mistral"),
            since=(new_on - timedelta(days=NEW_DAYS)).isoformat() if new_on else None,
        )

    @property
    def any(self) -> bool:
        return self != Filters()


@dataclass(frozen=True, slots=True)
class Conditions:
    """Filters as SQL over the index: what must hold of a model `m`, and of one of its options `o`."""

    model: list[str] = field(default_factory=list)
    option: list[str] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)


def conditions(filters: Filters) -> Conditions:
    result = Conditions()
    of_models = {
        "m.parameter_count >= :least": ("least", filters.parameters and filters.parameters[0]),
        "m.parameter_count < :most": ("most", filters.parameters and filters.parameters[1]),
        "' ' || m.license_key LIKE :license": ("license", filters.license and f"% {filters.license}%"),
        "' ' || m.publisher_key LIKE :publisher": ("publisher", filters.publisher and f"% {filters.publisher}%"),
        "m.released_at >= :since": ("since", filters.since),
    }
    for number, tag in enumerate(filters.tags):
        of_models[f"m.tag_keys LIKE :tag{number}"] = (f"tag{number}", f"%|{tag}|%")
    _add_conditions(result.model, result.values, of_models)
    of_options = {
        "o.format = :format": ("format", filters.format),
        "o.bytes <= :max_bytes": ("max_bytes", filters.max_bytes),
    }
    _add_conditions(result.option, result.values, of_options)
    return result


def _add_conditions(where: list[str], values: dict[str, object], conditions: Mapping[str, tuple[str, object]]) -> None:
    for condition, (name, value) in conditions.items():
        if value is not None:
            where.append(condition)
            values[name] = value


# Figures ------------------------------------------------------------------------------------------------------------


def parameter_range(text: str) -> tuple[int, int | None]:
    """Return from and to (exclusive; None is no end) of `7..14B`, `7B`, `..8B`, `500M..3B`. Raises UsageInvalid.

    Both ends include the values that round to them: `7..8B` matches models of 6.7 and of 8.2 billion. A number without
    a letter takes that of the other end, else billions.
    """
    match = _RANGE.fullmatch(text.strip())
    low, unit, dots, high, last_unit = match.groups() if match else (None, "", None, None, "")
    if (low is None and high is None) or (high is not None and dots is None):
        _bad_range(text)
    unit, last_unit = unit or last_unit, last_unit or unit
    least = _bounds(low, unit)[0] if low else 0
    most = _bounds(high, last_unit)[1] if high else None if dots else _bounds(low or "0", unit)[1]
    if most is not None and most <= least:
        _bad_range(text)
    return least, most


def _bounds(number: str, unit: str) -> tuple[int, int]:
    """Return the range of values that round to the number: 7 is from 6.5 to 7.5, 1.5 from 1.45 to 1.55."""
    half = Decimal(5).scaleb(-1 - len(number.partition(".")[2]))
    factor = _FACTORS[unit.upper()]
    return int((Decimal(number) - half) * factor), int((Decimal(number) + half) * factor)


def _bad_range(text: str) -> NoReturn:
    raise UsageInvalid(
        f"The number of parameters {text[:40]!r} is not understood.", hint="Write --params 7B, 7..14B, ..8B or 30B.."
    )


# Names --------------------------------------------------------------------------------------------------------------


def _format(text: str | None) -> str | None:
    if text is None or text.strip().lower() in list(HubFormat):
        return text and text.strip().lower()
    raise UsageInvalid(f"{text[:40]!r} is not a format.", hint=f"Formats are: {', '.join(HubFormat)}.")


def _key(option: str, text: str | None, example: str) -> str | None:
    if text is None:
        return None
    if not (folded := key(text)):
        raise UsageInvalid(f"{option} {text[:40]!r} has no letter and no digit.", hint=f"Write {option} {example}.")
    return folded
