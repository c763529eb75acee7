"""Removes old versions beyond `--keep N`: only those that a job of the subscription installed."""

import logging
from collections.abc import Collection

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.jobs.subscriptions.subscription_queries import SubscriptionQueries
from flowhub_jobs.jobs.subscriptions.subscription_values import Subscription
from flowhub_jobs.operations.library.cleanup import old_version_items, remove_item
from flowhub_jobs.operations.library.placed import programs_by_name
from flowhub_jobs.operations.session import Session
from flowhub_jobs.store.library_check import LibraryEntry, Presence, old_versions

log = logging.getLogger("flowhub.subscriptions")


def surplus(entries: list[LibraryEntry], keep: int, own_jobs: set[int]) -> list[LibraryEntry]:
    """Return the old versions to remove: those that `own_jobs` installed, and that `keep` newer old ones precede. Pure.

    Each model's versions are counted separately; those that the user installed count, too.
    """
    old, by_claim = old_versions(entries), dict[str, list[LibraryEntry]]()
    for entry in sorted(entries, key=lambda entry: entry.installed_at, reverse=True):
        if entry.name in old:
            by_claim.setdefault(entry.claim, []).append(entry)
    beyond = [entry for versions in by_claim.values() for entry in versions[keep:]]
    return [entry for entry in beyond if entry.job is not None and entry.job in own_jobs]


def remove_surplus(session: Session, subscription: Subscription) -> None:
    """Remove the surplus of a subscription with `keep`. A version stays unless the newest one is installed unchanged.

    A version that is placed in a program or pinned stays as well. One that cannot be removed now, as a job works on it,
    is removed after a later check.
    """
    for one in session.each_store():
        _remove_surplus_of_store(one, subscription)


def _remove_surplus_of_store(session: Session, subscription: Subscription) -> None:
    keep, home = subscription.terms.keep, session.home
    if keep is None or session.installed.presence is Presence.AWAY:
        return
    own_jobs = SubscriptionQueries(home.database, home.node).jobs(subscription.id)
    surplus_names = {entry.name for entry in surplus(home.entries.entries_here(), keep, own_jobs)}
    in_use = set(programs_by_name(home)) | _pinned_names(home.entries.entries_here(), home.entries.pinned())
    for item in old_version_items(home, home.clock.now_us()):
        if item.name not in surplus_names or item.name in in_use:
            continue
        try:
            remove_item(home, session.installed, item)
        except FlowhubError as error:
            log.warning("The old version %s stays: %s", item.name, error.message)
        else:
            log.info("Removed the old version %s: %s.", item.name, item.why)


def _pinned_names(entries: list[LibraryEntry], claims: Collection[str]) -> set[str]:
    return {entry.name for entry in entries if entry.claim in claims}
