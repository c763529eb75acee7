"""Splits many values into groups for one query each, and sends several statements to PostgreSQL as one."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:  # verbs that only read do not import it
    import sqlalchemy as sa

AT_ONCE = 10_000  # SQLite takes 32,766 bound parameters

Value = TypeVar("Value")


def in_groups(values: Iterable[Value]) -> Iterator[list[Value]]:
    """Yield the values in their order, in lists that one query takes."""
    rest = iter(values)
    while group := list(islice(rest, AT_ONCE)):
        yield group


def execute_together(tx: "sa.Connection", statements: "Sequence[sa.Insert | sa.Update]") -> None:
    """Execute statements of which none depends on another, nor writes another's row.

    PostgreSQL takes them in one message, as parts of a WITH query; SQLite's WITH takes none that writes.
    """
    if tx.dialect.name != "postgresql":
        for statement in statements:
            tx.execute(statement)
        return
    *others, last = statements
    tx.execute(last.add_cte(*(other.cte(f"with_{number}") for number, other in enumerate(others))))
