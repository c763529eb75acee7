"""A search: words and filters against the index, each variant compared with this machine and the store.

Values, for the command line and the page alike; nothing here prints. Most are NamedTuples: Python takes a millisecond
to make a frozen dataclass, and a search is to answer in a tenth of a second.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from flowhub_jobs.catalogs.search_filters import Filters
from flowhub_jobs.catalogs.search_query import Query
from flowhub_jobs.catalogs.search_reader import IndexedModel, IndexReader, OptionRow, ParsedQuery
from flowhub_jobs.device.fit import Verdict
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.operations.search.index_update import query_index
from flowhub_jobs.operations.search.machine import Machine
from flowhub_jobs.operations.search.variant_ranking import BEST_FIRST, rank_key
from flowhub_jobs.settings import Settings
from flowhub_jobs.values.enums import FITS_WELL, HubFormat

if TYPE_CHECKING:
    from flowhub_jobs.device.device_values import Device

SORTS = ("fit", "size", "name", "recent")


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Conditions of a search. `fits` and `installed` keep only such variants, and models that have one.

    `sort` is one of SORTS; None is the best match first, without words the catalog's order. No `limit` is all.
    `context` is the tokens that the verdicts count with; None is the usual (fit.DEFAULT_CONTEXT).
    """

    typed: tuple[str, ...] = ()
    filters: Filters = field(default_factory=Filters)
    fits: bool = False
    installed: bool = False
    sort: str | None = None
    limit: int | None = None
    context: int | None = None

    def __post_init__(self) -> None:
        if self.sort is not None and self.sort not in SORTS:
            raise UsageInvalid(f"{self.sort[:40]!r} is not an order.", hint=f"Sort by: {', '.join(SORTS)}.")

    @property
    def needs_machine(self) -> bool:
        """Whether the result or its order depends on this machine: then all variants must be judged."""
        return self.fits or self.installed or self.sort in ("fit", "size")


class FoundVariant(NamedTuple):
    """One variant of a model that was found. `bytes` None is unknown; so is `installed`, if the library cannot tell."""

    ref: str
    option: str
    format: HubFormat
    quantization: str | None
    bytes: int | None
    verdict: Verdict
    installed: bool | None
    named: bool  # by a word of the search: `q4_k_m`


class FoundModel(NamedTuple):
    """A model that was found; its variants that pass the filters, in the catalog's order; `best` is one of them."""

    row: IndexedModel
    variants: tuple[FoundVariant, ...]
    best: FoundVariant

    @property
    def tags(self) -> list[str]:
        return list(json.loads(self.row.tags))

    @property
    def installed(self) -> bool | None:
        marks = [variant.installed for variant in self.variants]
        return None if None in marks else any(marks)


class SearchResult(NamedTuple):
    """Result of a search: `models` are the first of `total`.

    `corrected` is the query that replaced a misspelt one, `warnings` are for the user.
    """

    models: tuple[FoundModel, ...]
    total: int
    corrected: str | None = None
    warnings: tuple[str, ...] = ()


def run_search(settings: Settings, request: SearchRequest, device: "Device | None" = None) -> SearchResult:
    """Search the catalogs in force; `device` is another machine than this one.

    Nothing found is an answer. Where the catalogs have changed, it raises what loading them raises.
    """
    machine = Machine(settings, device)
    result, warnings = query_index(settings, lambda index: _Search(index, request, machine).findings())
    return SearchResult(result.models, result.total, result.corrected, warnings)


class _Search:
    """One search in one index."""

    def __init__(self, index: IndexReader, request: SearchRequest, machine: Machine) -> None:
        self._index, self._request, self._machine = index, request, machine
        self._parsed: ParsedQuery = index.parse(Query.of(request.typed))

    def findings(self) -> SearchResult:
        models, total = self._judged_models() if self._request.needs_machine else self._first()
        return SearchResult(
            tuple(models), total, " ".join(self._parsed.query.typed) if self._parsed.corrected else None
        )

    @property
    def _order(self) -> str:
        """The order in which the index returns models (search_reader.ORDERS)."""
        request = self._request
        if request.sort in ("name", "recent"):
            return request.sort
        if request.sort is None and request.filters.since:
            return "recent"
        return "best" if self._parsed.match else "catalog"

    def _first(self) -> tuple[list[FoundModel], int]:
        request, limit = self._request, self._request.limit
        numbers = self._index.numbers(self._parsed, request.filters, self._order, limit)
        total = self._index.count(self._parsed, request.filters) if len(numbers) == limit else len(numbers)
        return self._models(numbers), total

    def _judged_models(self) -> tuple[list[FoundModel], int]:
        request = self._request
        numbers = self._index.numbers(self._parsed, request.filters, self._order)
        if request.installed:
            installed = self._index.numbers_of(sorted({model for model, _ in self._machine.installed_surely}))
            numbers = [number for number in numbers if number in installed]
        if request.sort not in ("fit", "size"):
            passing = self._passing(numbers)
            return self._models(passing[: request.limit]), len(passing)
        models = sorted(self._models(numbers), key=_by_fit if request.sort == "fit" else _by_size)
        return models[: request.limit], len(models)

    def _passing(self, numbers: Sequence[int]) -> list[int]:
        """Return the models that have a variant that counts; the others of its variants are not looked at."""
        options = self._index.options(numbers, self._request.filters)
        rows = self._index.models(numbers)
        return [row.number for row in rows if any(self._counts(self._variant(row, one)) for one in options[row.number])]

    def _models(self, numbers: Sequence[int]) -> list[FoundModel]:
        options = self._index.options(numbers, self._request.filters)
        models = []
        for row in self._index.models(numbers):
            variants = [self._variant(row, option) for option in options[row.number]]
            variants = [variant for variant in variants if self._counts(variant)]
            if variants:
                models.append(FoundModel(row, tuple(variants), _best(variants)))
        return models

    def _counts(self, variant: FoundVariant) -> bool:
        runs = not self._request.fits or variant.verdict.fit in FITS_WELL
        return runs and (not self._request.installed or variant.installed is True)

    def _variant(self, model: IndexedModel, option: OptionRow) -> FoundVariant:
        installed = self._machine.has(model.id, option.option)
        return FoundVariant(
            ref=f"{model.id}@{option.option}",
            option=option.option,
            format=HubFormat(option.format),
            quantization=option.quantization,
            bytes=option.bytes,
            verdict=self._machine.verdict(option.needs, installed=bool(installed), context=self._request.context),
            installed=installed,
            named=any(f" {' '.join(term)} " in f" {option.words} " for term in self._parsed.query.terms),
        )


def _best(variants: Sequence[FoundVariant]) -> FoundVariant:
    """Return the variant to show of a model: the best for this machine of those that were named, if any was."""
    candidates = [one for one in variants if one.named] or variants
    return min(candidates, key=lambda one: rank_key(one.verdict, one.format, candidates[0].format))


def _by_fit(model: FoundModel) -> int:
    return BEST_FIRST.index(model.best.verdict.fit)


def _by_size(model: FoundModel) -> tuple[bool, int]:
    return _size(model.best)


def _size(variant: FoundVariant) -> tuple[bool, int]:
    return variant.bytes is None, variant.bytes or 0
