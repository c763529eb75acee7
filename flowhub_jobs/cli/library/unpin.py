"""unpin: allows `prune --to-fit` to remove models again."""

from flowhub_jobs.cli.library.pin import Refs, change_pins
from flowhub_jobs.cli.options import AsJson


def unpin(refs: Refs, as_json: AsJson = False) -> None:
    """Allow `prune --to-fit` to remove models again."""
    change_pins(refs, pinned=False)
