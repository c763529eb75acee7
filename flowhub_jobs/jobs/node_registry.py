"""Registers a machine as a node: one machine and home at a time works under a node's name.

The name belongs to the owner in the row as long as one of its workers renews its leases: another machine with the same
name is refused. Afterwards the other one takes it over, and a worker of the former owner that wakes stops.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.clock import shared_now_us
from flowhub_jobs.database.engine import querying, writing
from flowhub_jobs.database.tables import nodes, workers
from flowhub_jobs.errors import NodeTaken
from flowhub_jobs.jobs.run_values import LEASE_S
from flowhub_jobs.system import Clock, machine_name

_LEASE_US = round(LEASE_S * 1_000_000)


def owner_of(home: Path) -> str:
    """Return what tells a machine and home from all others."""
    return f"{machine_name()} {os.path.realpath(home)}"


class NodeRegistry:
    """The row of one node, as the workers of one home write it."""

    def __init__(self, engine: sa.Engine, node: str, owner: str, clock: Clock) -> None:
        self._engine, self._node, self.owner, self._clock = engine, node, owner, clock
        self._own_row = sa.and_(nodes.c.node == node, nodes.c.owner == owner)

    def register(self, tx: sa.Connection, hostname: str, store: str, version: str) -> str | None:
        """Take the node's name, inside a transaction that writes; return the host that had it before, if another.

        Raises NodeTaken while a worker of another machine or home works under it.
        """
        now_us = shared_now_us(tx, self._clock.now_us())
        # Of two machines that begin together, the second one waits: a transaction that writes has the node's lock.
        row = tx.execute(sa.select(nodes).where(nodes.c.node == self._node).with_for_update()).mappings().first()
        if row is not None and row["owner"] not in (None, self.owner) and self._is_alive(tx):
            raise _taken(self._node, row["owner"], self.owner)
        values: dict[str, Any] = {"hostname": hostname, "store": store, "version": version}
        values |= {"owner": self.owner, "seen_at": now_us}
        if row is None:
            tx.execute(nodes.insert().values(node=self._node, **values))
            return None
        tx.execute(sa.update(nodes).where(nodes.c.node == self._node).values(**values))
        return row["hostname"] if row["hostname"] != hostname else None

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write what the machine is: disk_free, ram, gpus, share_url."""
        with writing(self._engine) as tx:
            tx.execute(sa.update(nodes).where(self._own_row).values(**description))

    def seen(self, tx: sa.Connection) -> None:
        """Record that the node is alive. Raises NodeTaken if another machine has taken its name, or it was removed."""
        now_us = shared_now_us(tx, self._clock.now_us())
        if tx.execute(sa.update(nodes).where(self._own_row).values(seen_at=now_us)).rowcount:
            return
        other = tx.execute(sa.select(nodes.c.owner).where(nodes.c.node == self._node)).scalar()
        if other is None:
            raise NodeTaken(
                f"The node {self._node} was removed while this worker ran under its name.",
                hint="Start the worker again to register the node again.",
            )
        raise _taken(self._node, other, self.owner)

    def release(self, tx: sa.Connection) -> None:
        """Release the name, unless another worker of the node is still registered."""
        others = sa.select(workers.c.worker).where(workers.c.node == self._node)
        now_us = shared_now_us(tx, self._clock.now_us())
        tx.execute(sa.update(nodes).where(self._own_row, ~sa.exists(others)).values(owner=None, seen_at=now_us))

    def is_elsewhere(self) -> bool:
        """Return whether a living worker of another machine or home works under this node's name."""
        with querying(self._engine) as tx:
            owner = tx.execute(sa.select(nodes.c.owner).where(nodes.c.node == self._node)).scalar()
        if owner in (None, self.owner):
            return False
        with querying(self._engine) as tx:
            return self._is_alive(tx)

    def _is_alive(self, tx: sa.Connection) -> bool:
        since = shared_now_us(tx, self._clock.now_us()) - _LEASE_US
        living = sa.select(workers.c.worker).where(workers.c.node == self._node, workers.c.seen_at >= since)
        return tx.execute(living.limit(1)).first() is not None


def _taken(node: str, other: str, own_owner: str) -> NodeTaken:
    return NodeTaken(f"The node name {node} is in use by {_place(other)}; this is {_place(own_owner)}.")


def _place(owner: str) -> str:
    """Return an owner for a message: the host, and the home."""
    machine, _, home = owner.partition(" ")
    return f"the machine {machine.partition('/')[0]} (home {home})"
