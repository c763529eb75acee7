"""Queues references as the page sends them: resolved, looked at where no catalog pins them, and committed together."""

from collections.abc import Sequence
from dataclasses import replace

from flowhub_jobs.jobs.requests import EnqueueTerms
from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.operations.session import EnqueueItem, Session
from flowhub_jobs.values.user_text import unquoted

TONIGHT = Schedule.parse("23:00-07:00")  # where no schedule says otherwise


def enqueue_refs(session: Session, refs: Sequence[str], *, tonight: bool = False) -> list[int]:
    """Queue all of these references, or none; return their jobs, in order. Raises what is wrong with the first."""
    settings = session.home.settings
    session.references.may_lack_name = settings.check
    terms = EnqueueTerms(not_before=tonight_begins(session) if tonight else None)
    orders = [EnqueueItem(session.artifact(unquoted(ref)), terms) for ref in refs]
    if settings.check:
        orders = [_as_seen(session, order) for order in orders]
    return [answer.job for answer in session.enqueue(orders)]


def _as_seen(session: Session, order: EnqueueItem) -> EnqueueItem:
    [seen] = session.checked([order], pinned_too=False)
    if seen is None:
        return order
    if seen.error is not None:
        raise seen.error
    return replace(order, artifact=seen.artifact, size_seen=seen.size)


def tonight_begins(session: Session) -> int | None:
    """Return when the schedule's window opens (without a schedule: 23:00); None, which is now, if it is open."""
    return (session.home.controls.schedule() or TONIGHT).opens_at(session.home.clock.now_us())
