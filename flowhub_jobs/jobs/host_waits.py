"""Waits for hosts that cannot be reached. One row holds all queued jobs of a host; one of them tries it at a time.

    a run fails, and nothing came from its host ─► hold: the row is made; the claim skips the host's jobs until `until`
    `until` passes ─► the next claim takes one of the jobs, whose lease's token becomes the row's `prober`
                   ─► it fails too: hold, with a longer wait    ─► it gets an answer: end_wait, and all jobs continue

A job that tries the host and dies, or ends without a request, blocks nothing: its token is then no running job's.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from flowhub_jobs.database.engine import querying, writing
from flowhub_jobs.database.lazy import snapshot_of
from flowhub_jobs.database.tables import host_waits, is_live, is_queued, is_running, jobs
from flowhub_jobs.errors import (
    ConnectionLost,
    FlowhubError,
    HeadersTimeout,
    NetworkDown,
    ServerBusy,
    TlsUntrusted,
)
from flowhub_jobs.jobs.held_hosts import HeldHosts, HostWait, held_hosts
from flowhub_jobs.system import Clock
from flowhub_jobs.values.enums import Reason

# So many tries in a row, each by the job that failed least, have failed: it was the host, and not one of its files.
OUTAGE_TRIES = 3
_KEPT_FROM_ANSWERING = (NetworkDown, ConnectionLost, HeadersTimeout, TlsUntrusted, ServerBusy)


def is_hosts_fault(error: FlowhubError) -> bool:
    """Return whether an error of a host that has sent nothing may concern all jobs of that host."""
    return isinstance(error, _KEPT_FROM_ANSWERING)


# Reads and writes ---------------------------------------------------------------------------------------------------


def record_trial(tx: sa.Connection, node: str, origin: str, token: str) -> None:
    """Record the lease of the job that tries a host, inside the transaction that claims the job."""
    where = (host_waits.c.node == node, host_waits.c.origin == origin)
    tx.execute(sa.update(host_waits).where(*where).values(prober=token))


def make_try_due(tx: sa.Connection, node: str, origin: str | None, now_us: int) -> None:
    """Make the next try of a host due now, inside a transaction that writes."""
    where = (host_waits.c.node == node, host_waits.c.origin == origin, host_waits.c.until > now_us)
    tx.execute(sa.update(host_waits).where(*where).values(until=now_us))


class HostWaits:
    """The waits of one node. Every method is one transaction."""

    def __init__(self, engine: sa.Engine, node: str, clock: Clock) -> None:
        self._engine, self._node, self._clock = engine, node, clock

    def held(self) -> HeldHosts:
        """Return the hosts that are waited for."""
        with querying(self._engine) as tx:
            return held_hosts(snapshot_of(tx), self._node)

    def hold(
        self, origin: str, token: str, error: FlowhubError, delay_s: Callable[[int], float], took_s: float
    ) -> HostWait | None:
        """Record that the run of this lease did not reach the host; return the wait that holds its jobs from now on.

        `delay_s` returns the seconds to wait after so many failed tries; `took_s` is how long this one took.
        Returns None where another job of the node gets bytes from the host: then the fault is this job's own.
        A run that failed while another one tries the host, or had failed before it, changes nothing: sixteen runs that
        lose their connections together are one fault.
        """
        with writing(self._engine) as tx:
            earlier = held_hosts(snapshot_of(tx), self._node).waits.get(origin)
            if earlier is not None and earlier.prober != token:
                return earlier
            if earlier is None and self._others_receive(tx, origin, token):
                return None
            now_us, tries = self._clock.now_us(), earlier.tries + 1 if earlier else 1
            wait_us = round(delay_s(tries) * 1e6)
            since = earlier.since if earlier else now_us
            wait = HostWait(
                origin, since, now_us + wait_us, wait_us, tries, error.code, error.host, error.message_of_host, token
            )
            self._write(tx, wait)
            self._count_for_all(tx, origin, wait_us + round(took_s * 1e6))
            return wait

    def end_wait(self, origin: str) -> HostWait | None:
        """End the wait for a host that has answered; return it, or None where there was none.

        After an outage, the jobs that tried the host start at once, too: their backoffs were due to the host.
        """
        where = (host_waits.c.node == self._node, host_waits.c.origin == origin)
        with writing(self._engine) as tx:
            wait = held_hosts(snapshot_of(tx), self._node).waits.get(origin)
            if wait is None:
                return None
            tx.execute(sa.delete(host_waits).where(*where))
            if wait.tries >= OUTAGE_TRIES:
                backoff = jobs.c.wait_reason.in_((Reason.BACKOFF, Reason.HOST_WAIT))
                ended = {"not_before": None, "wait_reason": None, "wait_text": None, "wait_us": None}
                tx.execute(sa.update(jobs).where(*self._queued(origin), backoff).values(**ended))
            return wait

    def make_try_due(self, origin: str) -> None:
        """Let one of a host's jobs try it at once."""
        with writing(self._engine) as tx:
            make_try_due(tx, self._node, origin, self._clock.now_us())

    def forget_unwanted(self) -> None:
        """Delete the waits for hosts that no live job needs any more."""
        its_jobs = (jobs.c.node == host_waits.c.node, jobs.c.source_origin == host_waits.c.origin, is_live)
        needed = sa.select(sa.literal(1)).where(*its_jobs).correlate(host_waits).exists()
        unneeded = (host_waits.c.node == self._node, ~needed)
        with querying(self._engine) as tx:
            if tx.execute(sa.select(host_waits.c.origin).where(*unneeded).limit(1)).first() is None:
                return
        with writing(self._engine) as tx:
            tx.execute(sa.delete(host_waits).where(*unneeded))

    def waiting(self, origin: str) -> int:
        """Return how many queued jobs a host holds."""
        with querying(self._engine) as tx:
            query = sa.select(sa.func.count()).select_from(jobs).where(*self._queued(origin))
            return int(tx.execute(query).scalar_one())

    def _write(self, tx: sa.Connection, wait: HostWait) -> None:
        values: dict[str, Any] = {name: getattr(wait, name) for name in wait.__slots__ if name != "origin"}
        where = (host_waits.c.node == self._node, host_waits.c.origin == wait.origin)
        if not tx.execute(sa.update(host_waits).where(*where).values(**values)).rowcount:
            tx.execute(host_waits.insert().values(node=self._node, origin=wait.origin, **values))

    def _others_receive(self, tx: sa.Connection, origin: str, token: str) -> bool:
        running = (jobs.c.node == self._node, is_live, is_running, jobs.c.lease_token != token)
        query = sa.select(jobs.c.id).where(*running, jobs.c.source_origin == origin, jobs.c.rate_bps > 0).limit(1)
        return tx.execute(query).first() is not None

    def _count_for_all(self, tx: sa.Connection, origin: str, micros: int) -> None:
        """Count a try and the wait after it as time without a byte for every job that could have run in it."""
        now_us = self._clock.now_us()
        could_run = sa.or_(jobs.c.not_before.is_(None), jobs.c.not_before <= now_us)
        changed = {"fruitless_us": jobs.c.fruitless_us + micros}
        tx.execute(sa.update(jobs).where(*self._queued(origin), could_run).values(**changed))

    def _queued(self, origin: str) -> tuple[sa.ColumnElement[bool], ...]:
        return jobs.c.node == self._node, is_live, is_queued, jobs.c.source_origin == origin
