"""du: shows disk usage by model."""

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations.library.usage import Share, measure_store
from flowhub_jobs.operations.schemas.library import du_json
from flowhub_jobs.units import format_bytes

BAR = 16  # columns


def du(as_json: AsJson = False) -> None:
    """Show disk usage by model.

    Lists models by size, partial downloads, and bytes shared with other programs.
    """
    with open_session() as session:
        seen = measure_store(session)
    if output.chosen.json:
        output.result_json(du_json(seen))
        return
    shares = [*seen.models, *(share for share in (seen.partials, seen.rests) if share.on_disk)]
    if shares:
        head = ("ON DISK", "", "", "WHAT")
        output.result(output.folded_table(head, [_share_row(share) for share in shares], right=(0, 1)))
    line = f"{format_bytes(seen.total)} in {seen.root}; {format_bytes(seen.free)} free on its disk."
    if seen.shared:
        line += f" {format_bytes(seen.shared)} of it have other names elsewhere: removing them here frees nothing."
    if seen.linked:
        line += f" {format_bytes(seen.linked)} more are elsewhere, behind links."
    output.hint(output.fold(line))


def _share_row(share: Share) -> tuple[str, str, str, str]:
    notes = {"shared": share.weight.shared, "elsewhere": share.weight.linked}
    said = ", ".join(f"{format_bytes(size)} {what}" for what, size in notes.items() if size)
    name = {"partials": "(partials)", "rests": "(leftovers; `flowhub prune`)"}.get(share.name, share.name)
    bar = "█" * round(share.part * BAR) or "▏"
    return format_bytes(share.on_disk), f"{share.part:.0%}", bar, f"{name} ({said})" if said else name
