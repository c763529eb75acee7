"""list, path, rm: what is installed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from flowhub_jobs.cli.options import AsJson, Quiet, Yes

if TYPE_CHECKING:
    from flowhub_jobs.operations.library.installed import Removal


def list_models(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Paths, digests and sources, too.")] = False,
    quiet: Quiet = False,
    as_json: AsJson = False,
) -> None:
    """List installed models, and partial downloads.

    Models that were put into the store by hand are listed too.
    """
    from flowhub_jobs.cli import output
    from flowhub_jobs.cli.library import list_view
    from flowhub_jobs.cli.session import open_session, warn_of_catalog
    from flowhub_jobs.operations.library.usage import stock
    from flowhub_jobs.operations.schemas.jobs import installed_page

    with open_session() as session:
        there = stock(session)
        warn_of_catalog(session, quiet=as_json)
    if as_json:
        output.result_json(installed_page(there))
        return
    if quiet:
        for model in there.models:
            output.exactly(output.clean(model.name))
        return
    if there.models:
        output.result(list_view.models_text(there.models, verbose=verbose))
    else:
        output.hint(f"Nothing is installed in {there.root}. `flowhub enqueue MODEL` queues a model.")
    if not verbose:
        there = list_view.without_trifles(there)
    if there.partials and (verbose or len(there.partials) <= list_view.FEW):
        output.result(("\n" if there.models else "") + list_view.partials_text(there.partials))
    for line in list_view.foot(there):
        output.hint(output.fold(line, after="  "))


def path(
    ref: Annotated[str, typer.Argument(metavar="REF", help="A model, model@option, hf:…, or a name from the list.")],
    as_json: AsJson = False,
) -> None:
    """Print the path of an installed model for a runtime.

    It is a model's file, the first of its parts, or its folder.
    """
    from flowhub_jobs.cli import output
    from flowhub_jobs.cli.session import open_session
    from flowhub_jobs.operations.library.match import entrance
    from flowhub_jobs.values.enums import Condition

    with open_session() as session:
        model = session.installed.one(ref)
    where = entrance(model.path)
    if model.condition in (Condition.CHANGED, Condition.DAMAGED):
        what = "is damaged" if model.condition is Condition.DAMAGED else "was changed by hand since it was verified"
        output.hint(f"flowhub: {output.clean(model.name)} {what}; `flowhub verify` shows more.", quiet=as_json)
    if as_json:
        folder = model.path.is_dir()
        page = {"schema": "flowhub/path/1", "path": str(where), "name": model.name, "format": model.format}
        output.result_json(page | {"folder": folder, "condition": str(model.condition)})
    else:
        output.exactly(str(where))


def rm(
    refs: Annotated[list[str], typer.Argument(metavar="REF…", help="Models, or names from `flowhub list`.")],
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove installed models.

    It asks first. Without a terminal, -y is needed.
    """
    from flowhub_jobs.cli import output
    from flowhub_jobs.cli.session import each, open_session, raise_for

    with open_session() as session:
        session.installed.demand_store()
        names = list(dict.fromkeys(name for ref in refs for name in session.installed.find_all(ref)))
        plans = {name: session.installed.removal(name) for name in names}
        if not (yes or dry_run or _agreed(list(plans.values()), as_json)):
            output.hint("Nothing was removed.")
            return
        outcomes = each(names, lambda name: plans[name].bytes if dry_run else session.installed.remove(name))
        removed = [plans[name] for name, size in outcomes.items() if isinstance(size, int)]
        if removed and as_json:
            gone = [{"name": one.name, "bytes": one.bytes, "freed": one.freed} for one in removed]
            output.result_json({"schema": "flowhub/removed/1", "dry_run": dry_run, "removed": gone})
        elif removed:
            for one in removed:
                output.result(output.fold(_told(one, dry_run), after="  "))
        raise_for(outcomes)


def _agreed(plans: "Sequence[Removal]", as_json: bool) -> bool:
    from flowhub_jobs.cli import output
    from flowhub_jobs.cli.prompts import agreed
    from flowhub_jobs.units import format_bytes

    names, size = ", ".join(one.name for one in plans), sum(one.bytes for one in plans)
    freed = sum(one.freed for one in plans)
    frees = "" if freed == size else f", frees {format_bytes(freed)}" if freed else ", frees nothing"
    return agreed("rm", f"Remove {output.clean(names)} ({format_bytes(size)}{frees})?", as_json=as_json)


def _told(one: "Removal", dry_run: bool) -> str:
    """Return what was removed, or would be, and what of it is freed."""
    from flowhub_jobs.operations.library.installed import freed_note
    from flowhub_jobs.units import format_bytes

    if one.forgotten:
        would = "Would forget" if dry_run else "Forgot"
        return f"{would} {one.name}: it was removed by hand."
    would = "Would remove" if dry_run else "Removed"
    link = "the link " if one.leads_to else ""
    return f"{would} {link}{one.name}: {format_bytes(one.bytes)}{freed_note(one)}."
