"""export, import: models carried to a machine without a network, and taken in there."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowhub_jobs.cli.options import AsJson, Later

if TYPE_CHECKING:
    from flowhub_jobs.operations.session import Session


def export(
    refs: Annotated[list[str], typer.Argument(metavar="REF…", help="Models, or names from `flowhub list`.")],
    to: Annotated[str, typer.Option("--to", metavar="DIR", help="The folder to copy them to.")],
    later: Later = False,
    as_json: AsJson = False,
) -> None:
    """Copy installed models to a folder, to carry them.

    A manifest there has their digests. `flowhub import DIR` takes them in on another machine.
    """
    from pathlib import Path

    from flowhub_jobs.cli.session import open_session
    from flowhub_jobs.operations.local_jobs import LocalJobs

    folder = Path(to).expanduser().absolute()
    with open_session() as session:
        errands = LocalJobs(session)
        _check_target(session, folder)
        _carry(session, errands.export(errands.known(refs), folder), "Exporting", later, as_json)


def import_models(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="A folder that `flowhub export` filled.")],
    refs: Annotated[list[str] | None, typer.Argument(metavar="REF…", help="Only these of its models.")] = None,
    later: Later = False,
    as_json: AsJson = False,
) -> None:
    """Take in what `export` copied to a folder.

    It is verified on the way, and listed like any other model.
    """
    from pathlib import Path

    from flowhub_jobs.cli.session import open_session
    from flowhub_jobs.operations.local_jobs import LocalJobs

    with open_session() as session:
        numbers = LocalJobs(session).bring(Path(folder).expanduser().absolute(), refs or [])
        _carry(session, numbers, "Importing", later, as_json)


def _check_target(session: "Session", folder: Any) -> None:
    from flowhub_jobs.errors import UsageInvalid

    store = session.home.store.root
    if folder == store or folder.is_relative_to(store):
        raise UsageInvalid(f"{folder} is inside the store.", hint="Export to a folder elsewhere.")
    if folder.exists() and not folder.is_dir():
        raise UsageInvalid(f"{folder} is not a folder.", hint="Name a folder; it is made if it is not there.")


def _carry(session: "Session", numbers: Sequence[int], verb: str, later: bool, as_json: bool) -> None:
    from flowhub_jobs.cli.library.run_inline import leave, raise_for_undone, run_here, tell

    if later:
        leave(session, numbers, as_json=as_json)
        return
    jobs = run_here(session, numbers, verb, quiet=as_json)
    tell(jobs, as_json=as_json)
    raise_for_undone(jobs)
