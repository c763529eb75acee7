"""Splits many values into groups for one query each: SQLite takes 32,766 bound parameters."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

AT_ONCE = 10_000

Value = TypeVar("Value")


def in_groups(values: Iterable[Value]) -> Iterator[list[Value]]:
    """Yield the values in their order, in lists that one query takes."""
    rest = iter(values)
    while some := list(islice(rest, AT_ONCE)):
        yield some
