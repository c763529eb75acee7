"""placements: lists the models in the folders of other programs."""

from flowhub_jobs.cli import output
from flowhub_jobs.cli.options import AsJson
from flowhub_jobs.cli.session import open_session
from flowhub_jobs.operations import placement
from flowhub_jobs.operations.schemas.placements import placements_json
from flowhub_jobs.placement.entries import PlacementState


def placements(as_json: AsJson = False) -> None:
    """List models in folders of other programs.

    The state is ok, missing (a file is gone), or changed (by the program, or the model has a newer version).
    """
    with open_session() as session:
        shown = placement.placements(session)
    if output.chosen.json:
        output.result_json(placements_json(shown))
        return
    if not shown:
        output.hint("No model is placed. `flowhub place MODEL --in hf-cache` places one.")
        return
    rows = [
        (output.clean(one.name), one.app, one.how or "-", str(one.state), output.clean(str(one.path))) for one in shown
    ]
    output.result(output.folded_table(("NAME", "IN", "HOW", "STATE", "PATH"), rows))
    if broken := [one for one in shown if one.state is not PlacementState.OK]:
        first = broken[0]
        output.hint(output.fold(f"`flowhub place {first.name} --in {first.app}` places it again."))
