"""The last line of `status`: the number of jobs, the bytes that are left, and the expected end."""

from datetime import datetime

from flowhub_jobs.jobs.status_order import Overview
from flowhub_jobs.operations.forecast import Remaining, remaining
from flowhub_jobs.operations.session import Session
from flowhub_jobs.times import at_clock, moment
from flowhub_jobs.units import format_bytes, format_duration, format_rate
from flowhub_jobs.values.enums import LIVE_STATES, Reason
from flowhub_jobs.values.jobs import ANY_NODE

_AWAY = {
    Reason.HOST_WAIT: "waiting for a host",
    Reason.NETWORK: "this machine is offline",
    Reason.STORE_OFFLINE: "the store is offline",
    Reason.DISK: "no room on the disk",
    Reason.BACKOFF: "waiting for the next try",
}


def total_line(session: Session, overview: Overview, now: datetime) -> str:
    """Return e.g. "2 running, 5 queued: 31.2 GB of 120.4 GB left, at 22.9 MB/s; all done at 03:40, in 23 min."."""
    return f"{counts(overview)}: {in_words(remaining(session.home, overview.live), now)}"


def total_of_nodes(overview: Overview) -> str:
    """Return e.g. "2 running, 5 queued on 3 nodes: 31.2 GB left." of the jobs of other nodes, or of several."""
    nodes = {job.node for job in overview.live if job.node != ANY_NODE}
    remaining_bytes = sum((job.bytes_total or job.bytes_done) - job.bytes_done for job in overview.live)
    unknown = sum(job.bytes_total is None for job in overview.live)
    sizes = f"{format_bytes(remaining_bytes)} left" + (f", and {unknown} of unknown size" if unknown else "")
    nodes_text = f" on {len(nodes)} nodes" if len(nodes) > 1 else ""
    return f"{counts(overview)}{nodes_text}: {sizes}."


def counts(overview: Overview) -> str:
    """Return "2 running, 5 queued, 1 paused"; "empty" where no job is live."""
    by_state = [(sum(job.state is state for job in overview.live), state) for state in LIVE_STATES]
    return ", ".join(f"{count} {state}" for count, state in by_state if count) or "empty"


def in_words(estimate: Remaining, now: datetime) -> str:
    """Return how much is left, how fast it comes, and when all is done."""
    if not estimate.bytes and not estimate.unknown:
        return "nothing left to download."
    if not estimate.total:
        return "of unknown size."
    sizes = f"{format_bytes(estimate.bytes)} of {format_bytes(estimate.total)} left"
    if estimate.unknown:
        sizes += f", and {estimate.unknown} of unknown size"
    speed = f", at {format_rate(estimate.rate_bps)}" if estimate.rate_bps else ""
    return f"{sizes}{speed}; {_end_text(estimate, now)}."


def _end_text(estimate: Remaining, now: datetime) -> str:
    if estimate.away is not None:
        return f"ETA unknown ({_AWAY[estimate.away]})"
    done = moment(estimate.done_at)
    if estimate.rate_bps is None:
        return "ETA unknown (no recent downloads)"
    if done is None:
        return "ETA unknown (too far away)"
    subject = "those of known size done" if estimate.unknown else "all done"
    return f"{subject} {at_clock(done, now)}, in {format_duration((done - now).total_seconds())}"
