"""list, path, rm: what is installed."""

from typing import Annotated

import typer

from flowhub_jobs.cli.options import AsJson, Yes


def list_models(as_json: AsJson = False) -> None:
    """List what is installed: fetched by flowhub, or put into the store by hand."""
    from flowhub_jobs.cli import say
    from flowhub_jobs.cli.session import desk, warn_of_catalog
    from flowhub_jobs.hub.wire import installed_page
    from flowhub_jobs.words import format_bytes

    with desk() as found:
        models = found.installed()
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
                model.verified_at.astimezone().strftime("%Y-%m-%d %H:%M") if model.verified_at else "by hand",
            )
            for model in models
        ]
        say.result(say.table(("NAME", "MODEL", "FORMAT", "SIZE", "VERIFIED"), rows, right=(3,), give=_widest(rows)))
        total = format_bytes(sum(model.bytes for model in models))
        count = f"{len(models)} model" + ("s" if len(models) > 1 else "")
        say.hint(f"{count}, {total}, in {found.home.store.root}")


def _widest(rows: list[tuple[str, str, str, str, str]]) -> int:
    return 0 if max(len(row[0]) for row in rows) >= max(len(row[1]) for row in rows) else 1


def path(
    ref: Annotated[str, typer.Argument(metavar="REF", help="A model, model@option, or a name from `flowhub list`.")],
    as_json: AsJson = False,
) -> None:
    """Print where an installed model lies, for your runtime to open."""
    from flowhub_jobs.cli import say
    from flowhub_jobs.cli.session import desk
    from flowhub_jobs.errors import UsageInvalid

    with desk() as found:
        names = found.find_installed(ref)
        if len(names) > 1:
            raise UsageInvalid(f"{ref} is installed more than once: {', '.join(names)}.", hint="Name one of them.")
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
    """Remove installed models from the store. It asks first; -y does not."""
    import sys

    from flowhub_jobs.cli import say
    from flowhub_jobs.cli.session import desk
    from flowhub_jobs.errors import UsageInvalid
    from flowhub_jobs.words import format_bytes

    with desk() as found:
        names = list(dict.fromkeys(name for ref in refs for name in found.find_installed(ref)))
        sizes = {model.name: model.bytes for model in found.home.store.models()}
        if not yes and not dry_run:
            if as_json or not sys.stdin.isatty():
                raise UsageInvalid("rm asks before it removes, and nobody is there to ask.", hint="Add -y to remove.")
            total = format_bytes(sum(sizes[name] for name in names))
            typer.confirm(f"Remove {', '.join(names)} ({total})?", abort=True, err=True)
        removed = [{"name": name, "bytes": sizes[name] if dry_run else found.remove(name)} for name in names]
        if as_json:
            say.result_json({"schema": "flowhub/removed/1", "dry_run": dry_run, "removed": removed})
            return
        for entry in removed:
            verb = "Would remove" if dry_run else "Removed"
            say.result(f"{verb} {entry['name']}: {format_bytes(sizes[str(entry['name'])])}.")
