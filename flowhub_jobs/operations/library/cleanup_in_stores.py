"""Cleanup of all stores of a node, one after the other (`cleanup`)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from flowhub_jobs.operations.library.cleanup import Item, find_removable, find_to_fit, remove_item
from flowhub_jobs.operations.library.least_recently_used import bytes_missing
from flowhub_jobs.operations.session import Session


@dataclass(slots=True)
class ModelsToRemove:
    """The models to remove so that the queue fits, and the bytes that are missing even then."""

    items: list[Item] = field(default_factory=list)
    missing: int = 0


def find_in_stores(session: Session) -> list[Item]:
    """Return all that can be removed from the stores that are there. Raises StoreOffline if none is."""
    session.installed.require_store()
    online = [store_session for store_session in session.each_store() if not store_session.home.store_is_away()]
    return [item for store_session in online for item in find_removable(store_session.home, store_session.installed)]


def find_to_fit_in_stores(session: Session, others: Sequence[Item]) -> ModelsToRemove:
    """Return the models to remove so that the queue fits each store, besides the `others` that are removed anyway."""
    result = ModelsToRemove()
    for store_session in session.each_store():
        if store_session.home.store_is_away():
            continue
        disk = store_session.home.stores_on_disk()
        freed = [item for item in (*others, *result.items) if disk is None or item.store in disk]
        items = find_to_fit(store_session.home, freed)
        result.items += items
        result.missing += max(0, bytes_missing(store_session.home) - sum(item.frees for item in (*freed, *items)))
    return result


def remove_from_store(session: Session, item: Item) -> int:
    """Remove one item from its store; return the bytes that it frees. Raises Busy if it is no leftover any more."""
    store_session = session.in_store(item.store)
    return remove_item(store_session.home, store_session.installed, item)
