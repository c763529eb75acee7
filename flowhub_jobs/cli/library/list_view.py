"""The screen of `list`: models, partial downloads, and the state of the store."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from flowhub_jobs.cli import output, text_width
from flowhub_jobs.operations.library.cleanup import Partial, PartialState
from flowhub_jobs.operations.library.match import can_be_enqueued
from flowhub_jobs.operations.library.usage import StoreListing, StoreState
from flowhub_jobs.units import format_bytes, format_duration
from flowhub_jobs.values.artifacts import InstalledModel
from flowhub_jobs.values.enums import Condition
from flowhub_jobs.values.store_settings import DEFAULT_STORE

FEW = 8  # partials that are shown one by one
TRIFLE = 16 << 10  # bytes
_HEAD = ("NAME", "SOURCE", "FORMAT", "SIZE", "VERIFIED", "STATE", "STORE")
_LESS = ("FORMAT", "VERIFIED")
_SUMS = {
    PartialState.LIVE: "{size} of queued jobs",
    PartialState.KEPT: "{size} kept for `flowhub retry`",
    PartialState.NOBODY: "{size} of no job (`flowhub prune` removes them)",
    PartialState.ELSEWHERE: "{size} of another node",
}


def models_text(models: Sequence[InstalledModel], *, verbose: bool) -> str:
    """Return the models: one a line where the screen is wide enough, else two. No name is cut: names are typed.

    On a narrower screen the columns of `_LESS` give way first, one after the other.
    """
    rows = [_row(model) for model in models]
    alone = ("STORE",) if all(model.store == DEFAULT_STORE for model in models) else ()
    for left_out in range(0 if verbose else len(_LESS) + 1):
        columns = [number for number, name in enumerate(_HEAD) if name not in (*_LESS[:left_out], *alone)]
        head, visible_rows = _chosen(columns, _HEAD), [_chosen(columns, row) for row in rows]
        if output.width_of(head, visible_rows) <= output.columns():
            first, *lines = output.table(head, visible_rows, right=(head.index("SIZE"),)).split("\n")
            return "\n".join([output.bold(first), *map(_painted, models, lines)])
    return "\n".join(_two_line_rows(models, rows, verbose=verbose))


def _chosen(columns: Sequence[int], row: Sequence[str]) -> tuple[str, ...]:
    return tuple(row[number] for number in columns)


def _painted(model: InstalledModel, line: str) -> str:
    """Return a line in the colour of its state: red if it is damaged, yellow if it was changed."""
    colour = {Condition.DAMAGED: "31", Condition.CHANGED: "33"}.get(model.condition)
    return output.paint(line, colour) if colour else line


def _two_line_rows(models: Sequence[InstalledModel], rows: Sequence[Sequence[str]], *, verbose: bool) -> Iterator[str]:
    """Yield two lines a model, and one more for a name that is too long; `verbose` adds paths, digests and sources."""
    several = any(model.store != DEFAULT_STORE for model in models)
    short = [(output.clean(row[0]), row[3], row[5]) for row in rows]
    fixed = output.width_of(("", "SIZE", "STATE"), [("", size, state) for _, size, state in short])
    room = max(len("NAME"), min(max(text_width.width(name) for name, _, _ in short), output.columns() - fixed))
    wide = max(len("SIZE"), *(len(size) for _, size, _ in short))
    yield f"{'NAME':<{room}}  {'SIZE':>{wide}}  STATE"
    for model, row, (name, size, state) in zip(models, rows, short, strict=True):
        if text_width.width(name) > room:
            yield name
            name = ""
        yield f"{text_width.left(name, room)}  {size:>{wide}}  {state}"
        if details := _details(row, with_store=several):
            yield output.fold(details, "  ")
        yield from _facts(model) if verbose else ()


def _details(row: Sequence[str], *, with_store: bool) -> str:
    _, ref, kind, _, verified, _, store = row
    parts = [part for part in (ref, kind) if part != "-"] + [f"verified {verified}"] * (verified != "-")
    return ", ".join([*parts, f"store {store}"] if with_store else parts)


def _row(model: InstalledModel) -> tuple[str, ...]:
    verified = model.verified_at.astimezone().strftime("%Y-%m-%d") if model.verified_at else "-"
    ref = f"{model.model}@{model.option}" if model.model else model.source or "-"
    return model.name, ref, model.format or "-", format_bytes(model.bytes), verified, state_of(model), model.store


def state_of(model: InstalledModel) -> str:
    """Return the state of a model in a word or two, damage first."""
    if model.condition is not Condition.GOOD:
        return str(model.condition)
    return "not in catalog" if model.model and not model.in_catalog else "pinned" if model.pinned else "ok"


def _facts(model: InstalledModel) -> list[str]:
    store = "" if model.store == DEFAULT_STORE else model.store
    facts = [("path", str(model.path)), ("store", store), ("sha256", model.sha256), ("source", model.source)]
    facts += [("shares", model.linked_from), ("placed in", ", ".join(model.placed_in))]
    if model.installed_at:
        facts.append(("installed", model.installed_at.astimezone().strftime("%Y-%m-%d %H:%M")))
    return [f"    {name:<10}{output.clean(text)}" for name, text in facts if text]


def without_tiny_partials(listing: StoreListing) -> StoreListing:
    """Return the listing without the partials that hold a journal and next to nothing else."""
    return replace(listing, partials=[partial for partial in listing.partials if partial.leaving.bytes >= TRIFLE])


def partials_text(partials: Sequence[Partial]) -> str:
    """Return the partial downloads, with their age and job."""
    rows = [
        (partial.name, format_bytes(partial.leaving.bytes), f"{format_duration(partial.age_s)} ago", owner_of(partial))
        for partial in partials
    ]
    if output.width_of(head := ("PARTIAL", "SIZE", "LAST WRITTEN", "FOR"), rows) <= output.columns():
        return output.table(head, rows, right=(1, 2))
    lines = ["Partials:"]
    for name, size, age, job in rows:
        lines += [output.clean(name), output.fold(f"{size}, last written {age}, {job}", "  ")]
    return "\n".join(lines)


def owner_of(partial: Partial) -> str:
    if partial.holder:
        return f"job {partial.holder.job}, {partial.holder.state}"
    if partial.state is PartialState.ELSEWHERE:
        return "another node's"
    return "of no job" if partial.state is PartialState.NOBODY else partial.leaving.operation or "a call of download()"


def sums(partials: Sequence[Partial]) -> str:
    """Return the sizes of the partial downloads, grouped by what continues them."""
    parts = []
    for state, text in _SUMS.items():
        sizes = [partial.leaving.bytes for partial in partials if partial.state is state]
        if sizes:
            parts.append(text.format(size=format_bytes(sum(sizes))))
    return f"Partials: {'; '.join(parts)}."


def foot(listing: StoreListing) -> list[str]:
    """Return the lines below the list: count, sizes, and models that are missing, changed or damaged."""
    lines = []
    if listing.models:
        count = f"{len(listing.models)} model" + ("s" if len(listing.models) > 1 else "")
        free = f"; {format_bytes(listing.free)} free" if listing.free is not None else ""
        size = format_bytes(sum(model.bytes for model in listing.models))
        lines.append(f"{count}, {size}, in {listing.root}{free}" if len(listing.stores) < 2 else f"{count}, {size}")
    if len(listing.stores) > 1:
        lines += [_store_line(state, listing.models) for state in listing.stores if state.online]
    if placed := sum(bool(model.placed_in) for model in listing.models):
        programs = sorted({program for model in listing.models for program in model.placed_in})
        lines.append(f"Placed in {', '.join(programs)}: {placed} of them (`flowhub placements`).")
    if listing.partials:
        lines.append(sums(listing.partials))
    return [*lines, *_problems(listing)]


def _store_line(state: StoreState, models: Sequence[InstalledModel]) -> str:
    in_store = (model for model in models if model.store == state.name and model.condition is not Condition.OFFLINE)
    size = format_bytes(sum(model.bytes for model in in_store))
    return f"{state.name}: {size} in {state.path}; {format_bytes(state.free or 0)} free"


def _problems(listing: StoreListing) -> list[str]:
    lines = []
    if offline := [state for state in listing.stores if not state.online]:
        text = "The store {} is offline: its disk is not mounted. The list shows what was on it."
        lines += [text.format(state.path) for state in offline]
    elif any(model.condition is Condition.OFFLINE for model in listing.models):
        if len(listing.stores) > 1:
            lines.append("The offline models are in stores that are not mounted, or no longer in config.toml.")
        else:
            lines.append(f"The offline models are in another store than the one at {listing.root} now.")
    if changed := [model.name for model in listing.models if model.condition is Condition.CHANGED]:
        lines.append(f"Changed by hand: {_first_names(changed)}. `flowhub verify {changed[0]}` checks it.")
    if damaged := [model.name for model in listing.models if model.condition is Condition.DAMAGED]:
        lines.append(f"Damaged: {_first_names(damaged)}. `flowhub verify --repair {damaged[0]}` repairs it.")
    if listing.waiting:
        lines.append(f"Not placed yet: {_first_names(listing.waiting)}. `flowhub placements` says why.")
    if listing.old:
        lines.append(f"Old versions: {_first_names(listing.old)}. `flowhub prune` removes them.")
    if listing.gone:
        refs = " ".join(dict.fromkeys(entry.ref for entry in listing.gone[:3] if can_be_enqueued(entry)))
        fetches = f"`flowhub enqueue {refs}` downloads it again; " if refs else ""
        names = _first_names([entry.name for entry in listing.gone])
        lines.append(f"Removed by hand: {names}. {fetches}`flowhub prune` forgets it.")
    return lines


def _first_names(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest
