"""PostgreSQL's notifications of a node's workers. SQLite has none: its workers poll the file.

A payload is empty for a new message in the queue of wake-ups, and CHANGED for a new control or a requested action.
"""

import hashlib

import sqlalchemy as sa

CHANGED = "changed"
_PREFIX = "wakeup"


def channel_of(node: str) -> str:
    """Return the channel of a node's workers: PostgreSQL takes 63 bytes at most."""
    return f"{_PREFIX}_{hashlib.sha256(node.encode()).hexdigest()[:32]}"


def notify_changed(tx: sa.Connection, node: str) -> None:
    """Have the node's workers read its controls and their requested actions at once, when the transaction commits."""
    if tx.dialect.name == "postgresql":
        tx.execute(sa.select(sa.func.pg_notify(channel_of(node), CHANGED)))
