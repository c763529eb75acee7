"""The time left of a running job: its remaining bytes at its present rate; none while its host does not answer."""

from collections.abc import Sequence

from flowhub_jobs.database.lazy import Row, Snapshot
from flowhub_jobs.jobs.held_hosts import held_hosts
from flowhub_jobs.values.enums import State

Source = tuple[str, str]  # a node, and the origin of the host that its job fetches from


def eta_s(total: int | None, done: int, rate: int | None) -> int | None:
    """Return the whole seconds that the rest takes at `rate` bytes a second, rounded up; None where one is unknown."""
    return -(-(total - done) // rate) if total is not None and rate else None


def held_sources(snapshot: Snapshot, rows: Sequence[Row]) -> set[Source]:
    """Return the sources of running jobs whose host is waited for.

    A job that tries such a host again still has the speed of its last try, which gives no estimate.
    """
    moving = {row["node"] for row in rows if row["state"] == State.RUNNING and row["rate_bps"]}
    return {(node, origin) for node in moving for origin in held_hosts(snapshot, node).waits}
