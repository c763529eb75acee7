"""Reads the hosts that do not answer: each of them holds all its queued jobs (jobs/host_waits.py)."""

from collections.abc import Mapping
from dataclasses import dataclass

from flowhub_jobs.database.lazy import Snapshot
from flowhub_jobs.jobs.shared_select_sql import IS_LIVE
from flowhub_jobs.jobs.states import Hold
from flowhub_jobs.values.enums import Reason

_WAITS = 'SELECT origin, since, "until", wait_us, tries, code, host, "text", prober FROM host_waits WHERE node = :node'
_PROBERS_AT_WORK = (
    f"SELECT lease_token FROM jobs WHERE node = :node AND {IS_LIVE} AND state = 'running' AND lease_token IN :tokens"  # noqa: S608, ours
)


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
        """Return what keeps a queued job of this host from starting; without a time while a job tries the host."""
        until = self.until if self.until > now else None
        return Hold(Reason.HOST_WAIT, until, self.text, code=self.code, host=self.host)

    def lasted(self, since: int, now: int) -> int:
        """Return for how many microseconds the host has been held, from `since` on."""
        return now - max(self.since, since)


@dataclass(frozen=True, slots=True)
class HeldHosts:
    """The held hosts of a node, by origin; `probed` are those that one of their jobs is trying now."""

    waits: Mapping[str, HostWait]
    probed: frozenset[str]

    def to_probe(self, now: int) -> list[str]:
        """Return the origins that one of their jobs may try now."""
        return [name for name, wait in self.waits.items() if wait.until <= now and name not in self.probed]


def held_hosts(snapshot: Snapshot, node: str) -> HeldHosts:
    """Return the held hosts of the node."""
    waits = {row["origin"]: HostWait(**row) for row in snapshot.rows(_WAITS, node=node)}
    probers = {wait.prober: name for name, wait in waits.items() if wait.prober is not None}
    if not probers:
        return HeldHosts(waits, frozenset())
    at_work = snapshot.rows(_PROBERS_AT_WORK, node=node, tokens=list(probers))
    return HeldHosts(waits, frozenset(probers[row["lease_token"]] for row in at_work))
