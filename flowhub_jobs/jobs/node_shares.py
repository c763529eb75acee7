"""Records where nodes share their stores, finds the copies of a file there, and keeps the fleet's token."""

import contextlib
import secrets
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256 as digest

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from flowhub_jobs.database.batches import in_groups
from flowhub_jobs.database.engine import querying, writing
from flowhub_jobs.database.tables import artifact_files, artifacts, controls, nodes
from flowhub_jobs.net.urls import host_of, is_loopback
from flowhub_jobs.system import Clock

_FLEET, _TOKEN = "*", "fleet_token"
COPIES_MAX = 8  # of one file: more would only be tried in vain


@dataclass(frozen=True, slots=True)
class Copy:
    """A verified copy of a file: the node that has it, and the address of its share."""

    node: str
    share_url: str
    here: bool  # on this machine


class NodeShares:
    """The shares as one node sees them."""

    def __init__(self, engine: sa.Engine, node: str, clock: Clock) -> None:
        self._engine, self._node, self._clock = engine, node, clock

    def publish(self, url: str, hostname: str, store: str) -> None:
        """Record that this node shares its store at an address."""
        with writing(self._engine) as tx:
            is_own = nodes.c.node == self._node
            if not tx.execute(sa.update(nodes).where(is_own).values(share_url=url)).rowcount:
                row = {"node": self._node, "hostname": hostname, "store": store, "seen_at": self._clock.now_us()}
                tx.execute(nodes.insert().values(**row, share_url=url))

    def publish_again(self, url: str) -> None:
        """Record the address where the node has none: it was removed and is back. A removed node gets no row."""
        where = nodes.c.node == self._node, nodes.c.share_url.is_(None)
        with querying(self._engine) as tx:
            if tx.execute(sa.select(nodes.c.node).where(*where)).first() is None:
                return
        with writing(self._engine) as tx:
            tx.execute(sa.update(nodes).where(*where).values(share_url=url))

    def withdraw(self, url: str) -> None:
        """Record that this node no longer shares at that address; another server may have published its own since."""
        with writing(self._engine) as tx:
            where = nodes.c.node == self._node, nodes.c.share_url == url
            tx.execute(sa.update(nodes).where(*where).values(share_url=None))

    def copies(self, digests: Collection[str], hostname: str) -> dict[str, list[Copy]]:
        """Return the copies of files in other nodes' shares by sha256, those on this machine first.

        Each node has an order of its own among the others, so that they do not all ask the same one.
        """
        by_sha256: defaultdict[str, list[Copy]] = defaultdict(list)
        columns = artifact_files.c.sha256, nodes.c.node, nodes.c.share_url, nodes.c.hostname
        joined = artifact_files.join(artifacts).join(nodes, nodes.c.node == artifacts.c.node)
        shared = nodes.c.share_url.is_not(None), nodes.c.node != self._node
        for group in in_groups(sorted(digests)):
            files = sa.select(*columns).select_from(joined).where(artifact_files.c.sha256.in_(group), *shared)
            with querying(self._engine) as tx:
                for sha256, node, share_url, host in tx.execute(files.distinct()):
                    if is_reachable(share_url, host, hostname):
                        by_sha256[sha256].append(Copy(node, share_url, host == hostname))
        return {sha256: in_order(self._node, copies, sha256) for sha256, copies in by_sha256.items()}

    # The fleet's token ---------------------------------------------------------------------------------------------

    def token(self) -> str:
        """Return the token that all nodes of this database share; it is made at first use. It is never shown."""
        with querying(self._engine) as tx:
            stored = tx.execute(sa.select(controls.c.value).where(*_token_row())).scalar()
        return stored if isinstance(stored, str) else self._new_token(replace=False)

    def rotate_token(self) -> None:
        """Replace the token: credentials that were made with the old one are refused."""
        self._new_token(replace=True)

    def _new_token(self, *, replace: bool) -> str:
        token = secrets.token_urlsafe(32)
        written = {"value": token, "until": None, "set_at": self._clock.now_us()}
        with writing(self._engine) as tx:
            if replace and tx.execute(sa.update(controls).where(*_token_row()).values(**written)).rowcount:
                return token
            with contextlib.suppress(IntegrityError), tx.begin_nested():  # another node may be first: its token counts
                tx.execute(controls.insert().values(node=_FLEET, name=_TOKEN, **written))
            return str(tx.execute(sa.select(controls.c.value).where(*_token_row())).scalar_one())


def in_order(node: str, copies: Sequence[Copy], sha256: str) -> list[Copy]:
    """Return the copies of a file in the order in which a node asks them. Pure."""

    def place(copy: Copy) -> tuple[bool, str]:
        return not copy.here, digest(f"{node} {copy.node} {sha256}".encode()).hexdigest()

    return sorted(copies, key=place)[:COPIES_MAX]


def _token_row() -> tuple[sa.ColumnElement[bool], ...]:
    return controls.c.node == _FLEET, controls.c.name == _TOKEN


def is_reachable(share_url: str, its_hostname: str, hostname: str) -> bool:
    """Return whether a share can be meant for this machine: an address of the loopback is its own machine's."""
    return its_hostname == hostname or not is_loopback(host_of(share_url).rpartition(":")[0])
