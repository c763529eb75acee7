"""du: shows disk usage by model."""

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations.library.usage import ModelDiskUsage, StoreState, by_disk, measure_store
from flowhub_jobs.operations.schemas.library import du_json
from flowhub_jobs.units import format_bytes, listed

BAR = 16  # columns


def du(as_json: AsJson = False) -> None:
    """Show disk usage by model.

    Lists models by size, partial downloads, and bytes shared with other programs.
    """
    with open_session() as session:
        used = measure_store(session)
    if output.chosen.json:
        output.result_json(du_json(used))
        return
    rows = [*used.models, *(model for model in (used.partials, used.leftovers) if model.on_disk)]
    if rows:
        head = ("ON DISK", "", "", "WHAT")
        output.result(output.folded_table(head, [_usage_row(model) for model in rows], right=(0, 1)))
    line = f"{format_bytes(used.total)} in {used.root}; {format_bytes(used.free)} free on its disk."
    if len(used.stores) > 1:
        line = f"{format_bytes(used.total)} in {len(used.stores)} stores; {_free(by_disk(used.stores))}."
    if used.shared:
        line += f" {format_bytes(used.shared)} of it have other names elsewhere: removing them here frees nothing."
    if used.linked:
        line += f" {format_bytes(used.linked)} more are elsewhere, behind links."
    output.hint(output.fold(line))


def _free(disks: list[list[StoreState]]) -> str:
    free = [(format_bytes(stores[0].free or 0), listed([one.name for one in stores])) for stores in disks]
    if len(free) == 1:
        return f"{free[0][0]} free on their disk"
    return f"free on their disks: {', '.join(f'{size} on that of {names}' for size, names in free)}"


def _usage_row(model: ModelDiskUsage) -> tuple[str, str, str, str]:
    notes = {"shared": model.size.shared, "elsewhere": model.size.linked}
    note = ", ".join(f"{format_bytes(size)} {name}" for name, size in notes.items() if size)
    name = {"partials": "(partials)", "rests": "(leftovers; `flowhub prune`)"}.get(model.name, model.name)
    bar = "█" * round(model.fraction * BAR) or "▏"
    return format_bytes(model.on_disk), f"{model.fraction:.0%}", bar, f"{name} ({note})" if note else name
