"""rm: removes installed models."""

from collections.abc import Mapping
from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson, Yes
from flowhub_jobs.cli.prompts import confirm
from flowhub_jobs.cli.session import open_session, raise_outcome_errors
from flowhub_jobs.operations.act_on_each import apply_to_each
from flowhub_jobs.operations.library.installed import Removal, freed_note
from flowhub_jobs.operations.schemas.library import removed_json
from flowhub_jobs.operations.subscriptions.next_check_line import followed_refs
from flowhub_jobs.units import format_bytes


def rm(
    refs: Annotated[list[str], typer.Argument(metavar="REF…", help="Models, or names from `flowhub list`.")],
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove installed models.

    Asks first; without a terminal, -y is required.
    """
    with open_session() as session:
        session.installed.require_store()
        names = list(dict.fromkeys(name for ref in refs for name in session.installed.find_all(ref)))
        plans = {name: session.installed.plan_removal(name) for name in names}
        if not (yes or dry_run or _confirm(plans)):
            output.hint("Nothing was removed.")
            return
        followed = followed_refs(session, names)
        outcomes = apply_to_each(names, lambda name: plans[name].bytes if dry_run else session.installed.remove(name))
        removed = {name: plans[name] for name, size in outcomes.items() if isinstance(size, int)}
        if removed and output.chosen.json:
            output.result_json(removed_json(list(removed.values()), dry_run=dry_run))
        elif removed:
            for name, one in removed.items():
                output.result(output.fold(_sentence(name, one, dry_run), after="  "))
            for ref in followed:
                note = f"{ref} is followed: its next version will be downloaded. `flowhub unfollow {ref}` ends that."
                output.hint(output.fold(note, after="  "))
        raise_outcome_errors(outcomes)


def _confirm(plans: Mapping[str, Removal]) -> bool:
    names, size = ", ".join(plans), sum(one.bytes for one in plans.values())
    freed = sum(one.freed for one in plans.values())
    frees = "" if freed == size else f", frees {format_bytes(freed)}" if freed else ", frees nothing"
    return confirm("rm", f"Remove {output.clean(names)} ({format_bytes(size)}{frees})?")


def _sentence(name: str, one: Removal, dry_run: bool) -> str:
    """Return a sentence about a removal and the space that it frees. `name` is NAME, or STORE:NAME."""
    if one.forgotten:
        would = "Would forget" if dry_run else "Forgot"
        return f"{would} {name}: it was removed by hand."
    would = "Would remove" if dry_run else "Removed"
    link = "the link " if one.link_target else ""
    placed = f", and from {' and '.join(one.placed_in)}" if one.placed_in else ""
    return f"{would} {link}{name}{placed}: {format_bytes(one.bytes)}{freed_note(one)}."
