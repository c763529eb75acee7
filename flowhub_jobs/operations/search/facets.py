"""The number of models for each filter of a search, for the page."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from flowhub_jobs.catalogs.search_filters import Filters, parameter_range
from flowhub_jobs.catalogs.search_query import Query, key
from flowhub_jobs.catalogs.search_reader import IndexReader
from flowhub_jobs.operations.search.index_update import query_index
from flowhub_jobs.settings import Settings
from flowhub_jobs.values.enums import HubFormat

PARAMETERS = {"..3B": "up to 3B", "4B..9B": "4–9B", "10B..20B": "10–20B", "21B..40B": "21–40B", "41B..": "over 40B"}  # noqa: RUF001
TAGS_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Facets:
    """Models that have the words and pass the other filters, by the value of each filter; `all` models there are."""

    formats: Mapping[str, int]
    parameters: Mapping[str, int]
    tags: Mapping[str, int]
    licenses: Mapping[str, int]
    all: int


def facets(settings: Settings, typed: Sequence[str], filters: Filters) -> Facets:
    """Return the counts of a search. Raises what `find` raises."""
    return query_index(settings, lambda index: _facets(index, typed, filters))[0]


def _facets(index: IndexReader, typed: Sequence[str], filters: Filters) -> Facets:
    parsed = index.parse(Query.of(typed))

    def counts(values: Sequence[str], narrowed: Callable[[str], Filters]) -> dict[str, int]:
        return {value: index.count(parsed, narrowed(value)) for value in values}

    return Facets(
        formats=counts(list(HubFormat), lambda value: replace(filters, format=value)),
        parameters=counts(list(PARAMETERS), lambda value: replace(filters, parameters=parameter_range(value))),
        tags=counts(index.tags(TAGS_SHOWN), lambda value: replace(filters, tags=_with_tag(filters.tags, key(value)))),
        licenses=counts(index.values("license"), lambda value: replace(filters, license=key(value))),
        all=index.count(index.parse(Query.of(())), Filters()),
    )


def _with_tag(tags: tuple[str, ...], tag: str) -> tuple[str, ...]:
    return tags if tag in tags else (*tags, tag)
