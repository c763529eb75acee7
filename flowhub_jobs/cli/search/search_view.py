"""The screen of `search`: each model with its best variant for this machine, and the next step."""

from collections.abc import Sequence

from flowhub_jobs.cli import output, text_width
from flowhub_jobs.operations.search.search import FoundModel, FoundVariant, SearchRequest, SearchResult
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.enums import FITS_WELL, Fit

DIMMED = (Fit.TOO_BIG, Fit.WRONG_PLATFORM)  # variants that do not run here
_BEST, _BEST_MIN = 2, 8  # the column that gives way, and to how many characters
_Row = tuple[str, str, str, str, str]


def print_findings(findings: SearchResult, request: SearchRequest, *, every_variant: bool) -> None:
    if findings.corrected:
        typed, corrected = " ".join(request.typed), findings.corrected
        output.hint(output.fold(f"Nothing has {typed!r}; showing {corrected!r}."))
    if not findings.models:
        output.hint(_no_results_hint(request))
        return
    pairs = [(model, variant) for model in findings.models for variant in _variants_to_show(model, every_variant)]
    head = ("MODEL", "PARAMS", "VARIANT" if every_variant else "BEST", "SIZE", "HERE")
    rows = [_row(*pair) for pair in pairs]
    _print_table(
        head, rows if every_variant else _with_cut_names(head, rows), [variant.verdict.fit for _, variant in pairs]
    )
    output.hint(f"\n{_footer(findings)}")


def _variants_to_show(model: FoundModel, every: bool) -> Sequence[FoundVariant]:
    return model.variants if every else (model.best,)


def references(findings: SearchResult, *, every_variant: bool) -> list[str]:
    """Return the references that `enqueue` takes: of each model the best variant, or every one."""
    return [variant.ref for model in findings.models for variant in _variants_to_show(model, every_variant)]


def _row(model: FoundModel, variant: FoundVariant) -> _Row:
    size = format_bytes(variant.bytes) if variant.bytes is not None else "unknown"
    verdict = str(variant.verdict.fit) + (", installed" if variant.installed else "")
    return model.row.id, model.row.parameters or "-", variant.option, size, verdict


def _with_cut_names(head: _Row, rows: Sequence[_Row]) -> Sequence[_Row]:
    """Return the rows with the variants' names cut to the screen's width; the ids, which `show` takes, stay whole."""
    over = output.width_of(head, rows) - output.columns()
    width = max(text_width.width(row[_BEST]) for row in rows) - max(0, over)
    if over <= 0 or width < _BEST_MIN:
        return rows
    return [
        (id_, parameters, output.shorten(best, width), size, verdict) for id_, parameters, best, size, verdict in rows
    ]


def _print_table(head: _Row, rows: Sequence[_Row], fits: Sequence[Fit]) -> None:
    """Print a line a row; where the screen is too narrow for it, two: an id that is cut cannot be typed."""
    if output.width_of(head, rows) > output.columns():
        texts = [f"{output.clean(id_)}\n{output.fold(', '.join(rest), '  ')}" for id_, *rest in rows]
    else:
        first, *texts = output.table(head, rows, right=(1, 3)).split("\n")
        output.result(output.bold(first))
    for text, fit in zip(texts, fits, strict=True):
        output.result(output.dim(text) if fit in DIMMED else text)


def _footer(findings: SearchResult) -> str:
    """Return the number of further models, and the next step with the first one that runs here."""
    hidden = findings.total - len(findings.models)
    first = next((model for model in findings.models if model.best.verdict.fit in FITS_WELL), findings.models[0])
    lines = [f"{hidden:,} more: --limit 0 shows all; more words narrow the search."] if hidden > 0 else []
    lines.append(f"Details: `flowhub show {first.row.id}`.")
    if not first.best.installed:
        lines.append(f"`flowhub enqueue {first.best.ref}` queues it.")
    return "\n".join(lines)


def _no_results_hint(request: SearchRequest) -> str:
    """Return a hint for a search without results."""
    narrowed = request.filters.any or request.fits or request.installed
    if not request.typed:
        return "No model passes these filters; try fewer."
    if narrowed:
        return output.fold(f"No model matches {' '.join(request.typed)!r} and passes the filters; try fewer of them.")
    hub = "For a repository of the Hub: `flowhub show hf:owner/repo`."
    return output.fold(f"No model of the catalogs matches {' '.join(request.typed)!r}. {hub}")
