"""The condition of a placement: whether its files are unchanged, and of the installed version."""

from flowhub_jobs.placement.entries import PlacementState, state_of
from flowhub_jobs.placement.rows import PlacementRow, RowState
from flowhub_jobs.store.library_check import LibraryEntry

_IN_PLACE = (RowState.PLACED, RowState.WANTED)  # of a wanted one, those of the model's older version


def condition_of_placement(row: PlacementRow, entry: LibraryEntry | None) -> PlacementState:
    """Return the state of a placement; `entry` is its model's in the library."""
    if entry is None or not row.entries or row.state not in _IN_PLACE:
        return PlacementState.MISSING
    states = {state_of(placed_file) for placed_file in row.entries if not placed_file.optional}
    if PlacementState.MISSING in states:
        return PlacementState.MISSING
    is_current = row.artifact_key == entry.key
    return PlacementState.OK if states <= {PlacementState.OK} and is_current else PlacementState.CHANGED
