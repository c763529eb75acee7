"""The stores of a node by their names: the folder of each, and how much of its disk models may take."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_STORE = "default"  # FLOWHUB_STORE
STORES_HINT = '[stores]\nfast = "/mnt/nvme/llms"\ncold = {path = "/mnt/big/llms", reserve = "50G", max = "4T"}'
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_KEYS = ("path", "reserve", "max")


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """One store of `[stores]`. `reserve` and `max` are bytes; a `reserve` of None is `disk_reserve`."""

    path: Path
    reserve: int | None = None
    max: int | None = None


def stores_from(
    table: Any, place: Callable[[str], Path], size: Callable[[Any], int | None]
) -> dict[str, StoreSettings]:
    """Return the stores of config.toml's `[stores]` by name. `place` makes a path absolute, `size` parses bytes.

    Raises ValueError, whose text ends a sentence.
    """
    if not isinstance(table, dict):
        raise ValueError("it is not a table")
    return {name: _store(name, value, place, size) for name, value in table.items()}


def _store(name: str, value: Any, place: Callable[[str], Path], size: Callable[[Any], int | None]) -> StoreSettings:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name: letters, digits, dots and hyphens, at most 64")
    if name == DEFAULT_STORE:
        raise ValueError(f"{name!r} is the store that FLOWHUB_STORE names")
    table = {"path": value} if isinstance(value, str) else value
    if not isinstance(table, dict) or not isinstance(table.get("path"), str) or not table["path"]:
        raise ValueError(f"{name} has no path")
    if unknown := [key for key in table if key not in _KEYS]:
        raise ValueError(f"{name} has {unknown[0]!r}; known are {', '.join(_KEYS)}")
    sizes = []
    for key in ("reserve", "max"):
        try:
            sizes.append(size(table.get(key, "off")))
        except ValueError as error:
            raise ValueError(f"{key} of {name} {error}") from None
    return StoreSettings(place(table["path"]), *sizes)


def overlapping(paths: Mapping[str, Path]) -> tuple[str, str] | None:
    """Return two stores of which one is the other's folder, or in it, also through links; None if there are none."""
    real_paths = {name: Path(os.path.realpath(path)) for name, path in paths.items()}
    for name, path in real_paths.items():
        for other, above in real_paths.items():
            if name != other and path.is_relative_to(above):
                return name, other
    return None
