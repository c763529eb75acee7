"""Reads JSON columns so that one damaged value does not make the other rows of a query unreadable."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.decode_row_values import Unreadable


class StoredJson(sa.types.TypeDecorator[Any]):
    """JSON whose damaged values are read as `Unreadable`. SQLAlchemy's own type raises while it reads the row."""

    impl = sa.JSON
    cache_ok = True

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], Any] | None:
        parse = super().result_processor(dialect, coltype)
        if parse is None:  # the driver parses, as psycopg does
            return None

        def read(stored: Any) -> Any:
            try:
                return parse(stored)
            except (ValueError, TypeError, RecursionError) as error:
                return Unreadable(str(error))

        return read
