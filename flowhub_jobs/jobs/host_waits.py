"""Waits for hosts that cannot be reached. One row holds all queued jobs of a host; one of them tries it at a time.

    a run fails, and nothing came from its host ─► hold: the row is made; the claim skips the host's jobs until `until`
    `until` passes ─► the next claim takes one of the jobs, whose lease's token becomes the row's `prober`
                   ─► it fails too: hold, with a longer wait    ─► it gets an answer: clear, and all jobs continue

A prober that dies, or ends without having asked, blocks nothing: its token is no running job's any more.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import reading, writing
from flowhub_jobs.database.tables import host_waits, is_live, jobs
from flowhub_jobs.errors import (
    ConnectionLost,
    FlowhubError,
    HeadersTimeout,
    NetworkDown,
    ServerBusy,
    TlsUntrusted,
)
from flowhub_jobs.jobs.states import Hold
from flowhub_jobs.kinds import Reason, State
from flowhub_jobs.system import Clock

# So many tries in a row, each by the job that failed least, have failed: it was the host, and not one of its files.
OUTAGE_TRIES = 3
_KEPT_FROM_ANSWERING = (NetworkDown, ConnectionLost, HeadersTimeout, TlsUntrusted, ServerBusy)


@dataclass(frozen=True, slots=True)
class HostWait:
    """A host that cannot be reached. `since` and `until` are microseconds; `tries` counts the failed ones."""

    origin: str
    since: int
    until: int
    wait_us: int
    tries: int
    code: str
    host: str | None
    text: str
    prober: str | None

    def hold(self, now: int) -> Hold:
        """Return what keeps a queued job of this host from starting; without a time while the host is tried."""
        until = self.until if self.until > now else None
        return Hold(Reason.HOST_WAIT, until, self.text, code=self.code, host=self.host)

    def lasted(self, since: int, now: int) -> int:
        """Return for how many microseconds the host has been waited for, from `since` on."""
        return now - max(self.since, since)


def is_hosts_fault(error: FlowhubError) -> bool:
    """Return whether an error, of a host that sent nothing of use meanwhile, may be met by all jobs of that host."""
    return isinstance(error, _KEPT_FROM_ANSWERING)


@dataclass(frozen=True, slots=True)
class HeldHosts:
    """The hosts of a node that are waited for, by origin; and which of them one of their jobs is trying now."""

    waits: Mapping[str, HostWait]
    probed: frozenset[str]

    def to_probe(self, now: int) -> list[str]:
        """Return the origins that one of their jobs may try now."""
        return [name for name, wait in self.waits.items() if wait.until <= now and name not in self.probed]

    def not_held(self) -> tuple[sa.ColumnElement[bool], ...]:
        """Return the condition on a row of `jobs` that none of these hosts holds it."""
        if not self.waits:
            return ()
        origin = jobs.c.source_origin
        return (sa.or_(origin.is_(None), origin.not_in(list(self.waits))),)


# Reads and writes ---------------------------------------------------------------------------------------------------


def held_hosts(tx: sa.Connection, node: str) -> HeldHosts:
    """Return the hosts of the node that are waited for."""
    names = ("origin", "since", "until", "wait_us", "tries", "code", "host", "text", "prober")
    query = sa.select(*(host_waits.c[name] for name in names)).where(host_waits.c.node == node)
    waits = {row.origin: HostWait(*row) for row in tx.execute(query)}
    if not waits:
        return HeldHosts({}, frozenset())
    probers = {wait.prober: name for name, wait in waits.items()}
    at_work = (jobs.c.node == node, is_live, jobs.c.state == State.RUNNING, jobs.c.lease_token.in_(list(probers)))
    tokens = tx.execute(sa.select(jobs.c.lease_token).where(*at_work)).scalars()
    return HeldHosts(waits, frozenset(probers[token] for token in tokens))


def set_prober(tx: sa.Connection, node: str, origin: str, token: str) -> None:
    """Name the lease of the job that tries a host, inside the transaction that claims it."""
    mine = (host_waits.c.node == node, host_waits.c.origin == origin)
    tx.execute(sa.update(host_waits).where(*mine).values(prober=token))


class HostWaits:
    """The waits of one node. Every method is one transaction."""

    def __init__(self, engine: sa.Engine, node: str, clock: Clock) -> None:
        self._engine, self._node, self._clock = engine, node, clock

    def held(self) -> HeldHosts:
        """Return the hosts that are waited for."""
        with reading(self._engine) as tx:
            return held_hosts(tx, self._node)

    def hold(
        self, origin: str, token: str, error: FlowhubError, delay_s: Callable[[int], float], took_s: float
    ) -> HostWait | None:
        """Note that the run of this lease did not reach the host; return the wait that holds its jobs from now on.

        `delay_s` returns the seconds to wait after so many failed tries; `took_s` is how long this one took.
        Returns None where another job of the node gets bytes from the host: then the fault is this job's own.
        A run that failed while another one is the prober, or had failed before it, changes nothing: sixteen runs that
        lose their connections together are one fault.
        """
        with writing(self._engine) as tx:
            found = held_hosts(tx, self._node).waits.get(origin)
            if found is not None and found.prober != token:
                return found
            if found is None and self._others_receive(tx, origin, token):
                return None
            now, tries = self._clock.now_us(), found.tries + 1 if found else 1
            wait_us = round(delay_s(tries) * 1e6)
            since = found.since if found else now
            text = error.message.removeprefix(f"{error.path}: ")  # of all its files, whichever was tried
            wait = HostWait(origin, since, now + wait_us, wait_us, tries, error.code, error.host, text, token)
            self._write(tx, wait)
            self._count_for_all(tx, origin, wait_us + round(took_s * 1e6))
            return wait

    def clear(self, origin: str) -> HostWait | None:
        """End the wait for a host that has answered; return it, or None where there was none.

        After an outage the jobs that were tried during it start at once, too: their own backoffs were the host's.
        """
        where = (host_waits.c.node == self._node, host_waits.c.origin == origin)
        with writing(self._engine) as tx:
            found = held_hosts(tx, self._node).waits.get(origin)
            if found is None:
                return None
            tx.execute(sa.delete(host_waits).where(*where))
            if found.tries >= OUTAGE_TRIES:
                backoff = jobs.c.wait_reason.in_((Reason.BACKOFF, Reason.HOST_WAIT))
                ended = {"not_before": None, "wait_reason": None, "wait_text": None, "wait_us": None}
                tx.execute(sa.update(jobs).where(*self._queued(origin), backoff).values(**ended))
            return found

    def forget_unwanted(self) -> None:
        """Drop the waits for hosts that no live job wants any more."""
        its_jobs = (jobs.c.node == host_waits.c.node, jobs.c.source_origin == host_waits.c.origin, is_live)
        wanted = sa.select(sa.literal(1)).where(*its_jobs).correlate(host_waits).exists()
        gone = (host_waits.c.node == self._node, ~wanted)
        with reading(self._engine) as tx:
            if tx.execute(sa.select(host_waits.c.origin).where(*gone).limit(1)).first() is None:
                return
        with writing(self._engine) as tx:
            tx.execute(sa.delete(host_waits).where(*gone))

    def waiting(self, origin: str) -> int:
        """Return how many queued jobs a host holds."""
        with reading(self._engine) as tx:
            query = sa.select(sa.func.count()).select_from(jobs).where(*self._queued(origin))
            return int(tx.execute(query).scalar_one())

    def _write(self, tx: sa.Connection, wait: HostWait) -> None:
        values: dict[str, Any] = {name: getattr(wait, name) for name in wait.__slots__ if name != "origin"}
        where = (host_waits.c.node == self._node, host_waits.c.origin == wait.origin)
        if not tx.execute(sa.update(host_waits).where(*where).values(**values)).rowcount:
            tx.execute(host_waits.insert().values(node=self._node, origin=wait.origin, **values))

    def _others_receive(self, tx: sa.Connection, origin: str, token: str) -> bool:
        running = (jobs.c.node == self._node, is_live, jobs.c.state == State.RUNNING, jobs.c.lease_token != token)
        query = sa.select(jobs.c.id).where(*running, jobs.c.source_origin == origin, jobs.c.rate_bps > 0).limit(1)
        return tx.execute(query).first() is not None

    def _count_for_all(self, tx: sa.Connection, origin: str, micros: int) -> None:
        """Count a try and the wait after it as time without a byte for every job that could have run in it."""
        now = self._clock.now_us()
        could_run = sa.or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now)
        changed = {"fruitless_us": jobs.c.fruitless_us + micros}
        tx.execute(sa.update(jobs).where(*self._queued(origin), could_run).values(**changed))

    def _queued(self, origin: str) -> tuple[sa.ColumnElement[bool], ...]:
        return jobs.c.node == self._node, is_live, jobs.c.state == State.QUEUED, jobs.c.source_origin == origin
