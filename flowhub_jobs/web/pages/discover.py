"""The tab Discover: search and filters of the catalogs, each model with its best variant for this machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from urllib.parse import quote, urlencode

from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.operations.reference_resolver import is_file_address
from flowhub_jobs.operations.repositories import repository_named
from flowhub_jobs.operations.result_types import DEFAULT_CONTEXT, Filters
from flowhub_jobs.operations.search.facets import PARAMETERS, Facets, facets
from flowhub_jobs.operations.search.search import FoundModel, SearchRequest, SearchResult, run_search
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.enums import RUNNABLE
from flowhub_jobs.web.call import Call, endpoint
from flowhub_jobs.web.pages.fit_badges import BADGES, Badge, memory
from flowhub_jobs.web.pages.form_results import notice_of
from flowhub_jobs.web.pages.frame import render
from flowhub_jobs.web.pages.naming import FORMATS
from flowhub_jobs.web.pages.text import NO_VALUE

SHOWN, SHOWN_MAX = 40, 5000
CONTEXT_LEAST, CONTEXT_MOST = 11, 17  # powers of two: 2,048 to 131,072 tokens
SORTS = (
    ("fit", "Best fit first"),
    ("match", "Best match"),
    ("recent", "Newest"),
    ("size", "Smallest"),
    ("name", "Name"),
)
ABOUT_MAX, NAME_MAX, LABEL_MAX = 140, 120, 40


@dataclass(frozen=True, slots=True)
class Search:
    """The form's fields, as they were sent. `context` is a power of two."""

    words: str = ""
    format: str = ""
    params: str = ""
    license: str = ""
    tags: tuple[str, ...] = ()
    fits: bool = False
    new: bool = False
    sort: str = "fit"
    context: int = DEFAULT_CONTEXT.bit_length() - 1
    shown: int = SHOWN

    @property
    def tokens(self) -> int:
        return 1 << self.context

    @property
    def narrowed(self) -> int:
        """Return how many filters are set."""
        return sum(map(bool, (self.format, self.params, self.license, self.fits, self.new))) + len(self.tags)

    def filters(self, today: date) -> Filters:
        """Return the filters of the search. Raises UsageInvalid."""
        return Filters.typed(
            format=self.format or None,
            params=self.params or None,
            license=self.license or None,
            tags=self.tags,
            new_on=today if self.new else None,
        )

    def address(self, **changes: object) -> str:
        """Return the address of this search with some fields changed."""
        other = replace(self, **changes)  # type: ignore[arg-type]
        fields = [("q", other.words), ("format", other.format), ("params", other.params), ("license", other.license)]
        fields += [("tag", tag) for tag in other.tags]
        fields += [("fits", "1" if other.fits else ""), ("new", "1" if other.new else "")]
        fields += [("sort", other.sort if other.sort != "fit" else "")]
        fields += [("context", str(other.context) if other.context != Search().context else "")]
        fields += [("shown", str(other.shown) if other.shown != SHOWN else "")]
        query = urlencode([(name, value) for name, value in fields if value])
        return f"/discover?{query}" if query else "/discover"


def search_of(call: Call) -> Search:
    """Return the search of an address. Raises UsageInvalid."""
    return Search(
        words=(call.query("q") or "")[:500],
        format=call.query("format") or "",
        params=call.query("params") or "",
        license=(call.query("license") or "")[:200],
        tags=tuple(tag[:200] for tag in dict.fromkeys(call.queries("tag")))[:20],
        fits=call.query("fits") is not None,
        new=call.query("new") is not None,
        sort=call.query("sort") or "fit",
        context=context_of(call),
        shown=_number(call, "shown", SHOWN, 1, SHOWN_MAX),
    )


def context_of(call: Call) -> int:
    """Return the power of two that the context slider stands for. Raises UsageInvalid."""
    return _number(call, "context", Search().context, CONTEXT_LEAST, CONTEXT_MOST)


def _number(call: Call, name: str, default: int, minimum: int, maximum: int) -> int:
    text = call.query(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and minimum <= int(text[:9]) <= maximum):
        raise UsageInvalid(f"{name} is {text[:40]!r}; it may be {minimum} to {maximum}.")
    return int(text)


# What is shown --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Chip:
    """One choice of a filter, and how many models it would leave."""

    value: str
    label: str
    count: int
    checked: bool


@dataclass(frozen=True, slots=True)
class ModelRow:
    """`ref` is the best variant's; `runs`: it makes sense to queue it here; `mark` is installed, queued or ""."""

    href: str
    name: str
    about: str
    parameters: str
    option: str
    size: str
    memory: str
    badge: Badge
    ref: str
    runs: bool
    mark: str


@dataclass(frozen=True, slots=True)
class DiscoverView:
    search: Search
    summary: str
    shown_count: str
    rows: tuple[ModelRow, ...]
    formats: tuple[Chip, ...]
    parameters: tuple[Chip, ...]
    tags: tuple[Chip, ...]
    licenses: tuple[Chip, ...]
    sorts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    link: str  # the URL of a file, in the place of words
    more: str  # the address that shows more; "" where all are shown


def discover_view(
    search: Search, result: SearchResult, counts: Facets, queued: frozenset[str], notes: Sequence[str] = ()
) -> DiscoverView:
    next_count = min(SHOWN_MAX, search.shown + 4 * SHOWN) if result.total > len(result.models) else 0
    return DiscoverView(
        search=search,
        summary=f"{counts.all:,} models",
        shown_count=f"{result.total:,} of {counts.all:,} models",
        rows=tuple(model_row(model, search, queued) for model in result.models),
        formats=_chips(counts.formats, FORMATS, (search.format,)),  # type: ignore[arg-type]
        parameters=_chips(counts.parameters, PARAMETERS, (search.params,)),
        tags=_chips(counts.tags, {}, search.tags),
        licenses=_chips(counts.licenses, {}, (search.license,)),
        sorts=SORTS,
        notes=tuple(notes),
        link="",
        more=search.address(shown=next_count) if next_count and next_count > search.shown else "",
    )


def _chips(counts: Mapping[str, int], labels: Mapping[str, str], checked: Sequence[str]) -> tuple[Chip, ...]:
    """Return a chip for each value; a chosen one is always there, whatever its count."""
    values = [*counts, *(value for value in checked if value and value not in counts)]
    return tuple(
        Chip(str(value), labels.get(value, license_name(value))[:LABEL_MAX], counts.get(value, 0), value in checked)
        for value in values
        if counts.get(value) or value in checked
    )


def license_name(text: str) -> str:
    """Return a licence as people name it: without SPDX's prefix for those outside of its list."""
    return text.removeprefix("LicenseRef-")


def model_row(model: FoundModel, search: Search, queued: frozenset[str]) -> ModelRow:
    row, best = model.row, model.best
    tags = ", ".join(str(tag) for tag in model.tags[:4])
    details = " · ".join(part for part in (row.publisher or "", tags, license_name(row.license or "")) if part)
    context = f"?context={search.context}" if search.context != Search().context else ""
    return ModelRow(
        href=f"/models/{quote(row.id)}{context}",
        name=row.name[:NAME_MAX],
        about=details[:ABOUT_MAX],
        parameters=(row.parameters or NO_VALUE)[:LABEL_MAX],
        option=(best.quantization or best.option)[:LABEL_MAX],
        size=format_bytes(best.bytes) if best.bytes is not None else "size unknown",
        memory=memory(best.verdict),
        badge=BADGES[best.verdict.fit],
        ref=best.ref,
        runs=best.verdict.fit in RUNNABLE,
        mark="installed" if best.installed else "queued" if best.ref in queued else "",
    )


# Requests -------------------------------------------------------------------------------------------------------------


def show_discover(call: Call) -> Response:
    search, session = search_of(call), call.session
    settings = session.home.settings
    if ref := repository_named(settings, search.words) if search.words else None:
        return RedirectResponse(f"/models/{quote(ref, safe='/:@,')}", 303)
    is_link = is_file_address(search.words)
    typed = () if is_link else tuple(search.words.split())
    filters = search.filters(date.today())
    sort = None if search.sort == "match" else search.sort
    request = SearchRequest(typed, filters, search.fits, sort=sort, context=search.tokens, limit=search.shown)
    result = run_search(settings, request, session.device)
    counts = facets(settings, typed, filters)
    notes = [f"Nothing has “{search.words}”; showing “{result.corrected}”."] if result.corrected else []
    queued = frozenset(job.ref for job in session.home.queries.all(live=True))
    view = discover_view(search, result, counts, queued, [*result.warnings, *notes])
    return render(
        call,
        "discover.html",
        tab="/discover",
        heading="Discover",
        view=replace(view, link=search.words) if is_link else view,
        notice=notice_of(call),
    )


ROUTES: list[BaseRoute] = [Route("/discover", endpoint(show_discover), methods=["GET"])]
