"""pin: keeps models from `prune --to-fit`."""

from typing import Annotated

import typer

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session, raise_outcome_errors
from flowhub_jobs.operations.act_on_each import apply_to_each
from flowhub_jobs.operations.schemas.library import pinned_json

Refs = Annotated[list[str], typer.Argument(metavar="REF…", help="Models, or names from `flowhub list`.")]


def pin(refs: Refs, as_json: AsJson = False) -> None:
    """Keep models from `prune --to-fit`.

    A pin stays with the model's next versions. `rm` removes a pinned model all the same.
    """
    change_pins(refs, pinned=True)


def change_pins(refs: list[str], *, pinned: bool) -> None:
    """Pin or unpin models, and print their names."""
    with open_session() as session:
        act = session.installed.pin if pinned else session.installed.unpin
        outcomes = apply_to_each(refs, act)
    names = list(dict.fromkeys(name for outcome in outcomes.values() if isinstance(outcome, list) for name in outcome))
    if output.chosen.json and names:
        output.result_json(pinned_json(names, pinned=pinned))
    elif names:
        output.result("\n".join(f"{'Pinned' if pinned else 'Unpinned'} {output.clean(name)}." for name in names))
    raise_outcome_errors(outcomes)
