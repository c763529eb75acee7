"""list, path, rm: what is installed."""

from typing import Annotated

import typer

from flowhub_jobs.cli.options import AsJson, Yes


def list_models(as_json: AsJson = False) -> None:
    """List the models in the store, ours and those put by hand."""
    from flowhub_jobs.cli import say
    from flowhub_jobs.cli.session import desk, warn_of_catalog
    from flowhub_jobs.hub.wire import installed_page
    from flowhub_jobs.words import format_bytes

    with desk() as found:
        models = found.shelf.models()
        warn_of_catalog(found, quiet=as_json)
        if as_json:
            say.result_json(installed_page(models))
            return
        if not models:
            say.hint(f"Nothing is installed in {found.home.store.root}. `flowhub enqueue MODEL` queues a model.")
            return
        rows = [
            (
                model.name,
                f"{model.model}@{model.option}" if model.model else "-",
                model.format or "-",
                format_bytes(model.bytes),
                model.verified_at.astimezone().strftime("%Y-%m-%d") if model.verified_at else "by hand",
            )
            for model in models
        ]
        say.result(_table(rows))
        total = format_bytes(sum(model.bytes for model in models))
        count = f"{len(models)} model" + ("s" if len(models) > 1 else "")
        say.hint(f"{count}, {total}, in {found.home.store.root}")


def _table(rows: list[tuple[str, str, str, str, str]]) -> str:
    """Return the models, one a line; where the screen is too narrow for it, two lines each: both names are typed."""
    from flowhub_jobs.cli import say

    head = ("NAME", "MODEL", "FORMAT", "SIZE", "VERIFIED")
    if say.width_of(head, rows) <= say.columns():
        return say.table(head, rows, right=(3,))
    return "\n".join(f"{say.clean(name)}\n{say.fold(', '.join(rest), '  ')}" for name, *rest in rows)


def path(
    ref: Annotated[str, typer.Argument(metavar="REF", help="A model, model@option, or a name from `flowhub list`.")],
    as_json: AsJson = False,
) -> None:
    """Print where an installed model lies."""
    from flowhub_jobs.cli import say
    from flowhub_jobs.cli.session import desk
    from flowhub_jobs.errors import UsageInvalid

    with desk() as found:
        names = found.shelf.find(ref)
        if len(names) > 1:
            raise UsageInvalid(f"{ref} is installed in {len(names)} variants.", hint=f"Name one: {', '.join(names)}.")
        where = str(found.home.store.path_of(names[0]))
    if as_json:
        say.result_json({"path": where})
    else:
        say.result(where)


def rm(
    refs: Annotated[list[str], typer.Argument(metavar="REF…", help="Models, or names from `flowhub list`.")],
    yes: Yes = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove installed models; it asks first.

    Without a terminal to ask on, it removes nothing unless -y is given.
    """
    from flowhub_jobs.cli import say
    from flowhub_jobs.cli.session import desk, each, raise_for

    with desk() as found:
        names = list(dict.fromkeys(name for ref in refs for name in found.shelf.find(ref)))
        sizes = {model.name: model.bytes for model in found.home.store.models()}
        if not (yes or dry_run or _agreed(names, sum(sizes[name] for name in names), as_json)):
            say.hint("Nothing was removed.")
            return
        outcomes = each(names, lambda name: sizes[name] if dry_run else found.shelf.remove(name))
        removed = {name: size for name, size in outcomes.items() if isinstance(size, int)}
        if removed and as_json:
            gone = [{"name": name, "bytes": size} for name, size in removed.items()]
            say.result_json({"schema": "flowhub/removed/1", "dry_run": dry_run, "removed": gone})
        elif removed:
            _tell_removed(removed, dry_run)
        raise_for(outcomes)


def _agreed(names: list[str], size: int, as_json: bool) -> bool:
    """Ask on the terminal. Raises UsageInvalid where nobody can answer; no answer is a no."""
    import sys

    from flowhub_jobs.cli import say
    from flowhub_jobs.errors import UsageInvalid
    from flowhub_jobs.words import format_bytes

    if as_json or not sys.stdin.isatty():
        raise UsageInvalid("rm asks before it removes, and nobody is there to ask.", hint="Add -y to remove.")
    sys.stderr.write(f"Remove {say.clean(', '.join(names))} ({format_bytes(size)})? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _tell_removed(removed: dict[str, int], dry_run: bool) -> None:
    from flowhub_jobs.cli import say
    from flowhub_jobs.words import format_bytes

    for name, size in removed.items():
        say.result(f"{'Would remove' if dry_run else 'Removed'} {say.clean(name)}: {format_bytes(size)}.")
