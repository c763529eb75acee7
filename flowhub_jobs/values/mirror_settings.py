"""Mirror settings: the `[mirrors]` table of `config.toml`, a URL prefix and the prefixes to put in its place."""

from collections.abc import Mapping
from typing import Any

from flowhub_jobs.errors import AddressRefused
from flowhub_jobs.net.redaction import public_url
from flowhub_jobs.net.urls import check_address

MIRRORS_HINT = '[mirrors]\n"https://huggingface.co" = ["https://mirror.example", "origin"]'
ORIGIN = "origin"  # where the original address stands in the order
MODELSCOPE = "modelscope"  # the repository of the same name at ModelScope


def mirrors_from(table: Any) -> Mapping[str, tuple[str, ...]]:
    """Return the table's meaning. Raises ValueError, which says what is wrong."""
    if not isinstance(table, dict):
        raise ValueError("it is not a table")
    return {_checked(prefix): _places(prefix, places) for prefix, places in table.items()}


def _places(prefix: str, places: Any) -> tuple[str, ...]:
    if not isinstance(places, list | tuple) or not all(isinstance(place, str) for place in places):
        raise ValueError(f"{prefix!r} does not map to a list of addresses")
    if twice := next((place for place in places if places.count(place) > 1), None):
        raise ValueError(f"{prefix!r} has {twice!r} twice")
    return tuple(place if place in (ORIGIN, MODELSCOPE) else _checked(place) for place in places)


def _checked(prefix: str) -> str:
    try:
        check_address(prefix, pinned=True)  # a mirror gives only files whose sha256 is known
    except AddressRefused as error:
        raise ValueError(error.message.rstrip(".")) from None
    if "?" in prefix or "#" in prefix:
        raise ValueError(f"{public_url(prefix)} has a query or a fragment; a mirror is a prefix of addresses")
    return prefix
