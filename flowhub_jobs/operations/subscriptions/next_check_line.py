"""A line about the subscriptions for the screens: their number, the time of the next check, their models."""

from collections.abc import Collection

from flowhub_jobs.jobs.subscriptions.subscription_queries import SubscriptionQueries
from flowhub_jobs.operations.session import Session
from flowhub_jobs.times import clock_time, known_moment
from flowhub_jobs.units import counted


def next_check_line(session: Session) -> str | None:
    """Return "12 references; next check Tue 02:30; 1 could not be checked"; None where nothing is followed."""
    summary = SubscriptionQueries(session.home.database, session.node).summary()
    if summary.next_at is None:
        return None
    now = session.now_us()
    when = "due now" if summary.next_at <= now else clock_time(known_moment(summary.next_at), known_moment(now))
    failing = f"; {summary.failing} could not be checked: `flowhub follow --list`" if summary.failing else ""
    return f"{counted(summary.count, 'reference', 'references')}; next check {when}{failing}"


def followed_refs(session: Session, names: Collection[str]) -> list[str]:
    """Return the references of these installed models that are followed by themselves."""
    refs = {one.ref for one in SubscriptionQueries(session.home.database, session.node).all()}
    if not refs:
        return []
    entries = [(home.store.name, entry) for home in session.home.each_store() for entry in home.entries.entries()]
    return sorted(refs & {entry.ref for store, entry in entries if session.installed.key(store, entry.name) in names})
