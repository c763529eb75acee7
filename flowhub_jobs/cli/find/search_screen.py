"""What `search` shows: a line a model with the variant that is best for this machine, and what to do next."""

from collections.abc import Sequence

from flowhub_jobs.cli import cells, say
from flowhub_jobs.hub.find.search import RUNS, Findings, FoundModel, FoundVariant, Wanted
from flowhub_jobs.kinds import Fit
from flowhub_jobs.words import format_bytes

QUIET = (Fit.TOO_BIG, Fit.WRONG_PLATFORM)  # what does not run here
_BEST, _BEST_MIN = 2, 8  # the column that gives way, and to how many characters
_Row = tuple[str, str, str, str, str]


def print_findings(findings: Findings, wanted: Wanted, *, every_variant: bool) -> None:
    if findings.corrected:
        typed, shown = " ".join(wanted.typed), findings.corrected
        say.hint(say.fold(f"Nothing has {typed!r}; showing {shown!r}."))
    if not findings.models:
        say.hint(_nothing(wanted))
        return
    pairs = [(model, variant) for model in findings.models for variant in _shown(model, every_variant)]
    head = ("MODEL", "PARAMS", "VARIANT" if every_variant else "BEST", "SIZE", "HERE")
    rows = [_row(*pair) for pair in pairs]
    _print_table(head, rows if every_variant else _narrowed(head, rows), [variant.verdict.fit for _, variant in pairs])
    say.hint(f"\n{_foot(findings)}")


def _shown(model: FoundModel, every: bool) -> Sequence[FoundVariant]:
    return model.variants if every else (model.best,)


def references(findings: Findings, *, every_variant: bool) -> list[str]:
    """Return the references that `enqueue` takes: of each model the best variant, or every one."""
    return [variant.ref for model in findings.models for variant in _shown(model, every_variant)]


def _row(model: FoundModel, variant: FoundVariant) -> _Row:
    size = format_bytes(variant.bytes) if variant.bytes is not None else "unknown"
    here = str(variant.verdict.fit) + (", installed" if variant.installed else "")
    return model.row.id, model.row.parameters or "-", variant.option, size, here


def _narrowed(head: _Row, rows: Sequence[_Row]) -> Sequence[_Row]:
    """Return the rows with the names of variants cut as far as the screen asks; the ids stay, which `show` takes."""
    over = say.width_of(head, rows) - say.columns()
    width = max(cells.width(row[_BEST]) for row in rows) - max(0, over)
    if over <= 0 or width < _BEST_MIN:
        return rows
    return [(id_, parameters, say.shorten(best, width), size, here) for id_, parameters, best, size, here in rows]


def _print_table(head: _Row, rows: Sequence[_Row], fits: Sequence[Fit]) -> None:
    """Print a line a row; where the screen is too narrow for it, two: an id that is cut cannot be typed."""
    if say.width_of(head, rows) > say.columns():
        texts = [f"{say.clean(id_)}\n{say.fold(', '.join(rest), '  ')}" for id_, *rest in rows]
    else:
        first, *texts = say.table(head, rows, right=(1, 3)).split("\n")
        say.result(say.bold(first))
    for text, fit in zip(texts, fits, strict=True):
        say.result(say.dim(text) if fit in QUIET else text)


def _foot(findings: Findings) -> str:
    """Return how many more there are, and what to do with the first, or the first that runs here."""
    more = findings.total - len(findings.models)
    first = next((model for model in findings.models if model.best.verdict.fit in RUNS), findings.models[0])
    lines = [f"{more:,} more: --limit 0 shows all; more words narrow the search."] if more > 0 else []
    lines.append(f"Details: `flowhub show {first.row.id}`.")
    if not first.best.installed:
        lines.append(f"`flowhub enqueue {first.best.ref}` queues it.")
    return "\n".join(lines)


def _nothing(wanted: Wanted) -> str:
    """Return what to try where nothing was found."""
    narrowed = wanted.filters.any or wanted.fits or wanted.installed
    if not wanted.typed:
        return "No model passes these filters; try fewer."
    if narrowed:
        return say.fold(f"No model matches {' '.join(wanted.typed)!r} and passes the filters; try fewer of them.")
    hub = "For a repository of the Hub: `flowhub show hf:owner/repo`."
    return say.fold(f"No model of the catalogs matches {' '.join(wanted.typed)!r}. {hub}")
