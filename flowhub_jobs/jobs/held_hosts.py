"""Reads the hosts that do not answer: each of them holds all its queued jobs (jobs/host_waits.py)."""

from collections.abc import Mapping
from dataclasses import dataclass

from flowhub_jobs.database.lazy import Snapshot
from flowhub_jobs.jobs.shared_select_sql import LIVE_OF_NODE
from flowhub_jobs.jobs.states import Hold
from flowhub_jobs.values.enums import Reason

_TRIAL_RUNS = (
    "SELECT 1 FROM jobs "  # noqa: S608, fixed text
    f"WHERE {LIVE_OF_NODE} AND jobs.state = 'running' AND jobs.lease_token = host_waits.prober"
)
_WAITS = (
    f'SELECT origin, since, "until", wait_us, tries, code, host, "text", prober, EXISTS ({_TRIAL_RUNS}) AS in_trial '  # noqa: S608, fixed text
    "FROM host_waits WHERE node = :node"
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
    prober: str | None  # the lease token of the job that tries the host, or tried it last

    def hold(self, now_us: int) -> Hold:
        """Return what keeps a queued job of this host from starting; without a time while a job tries the host."""
        until = self.until if self.until > now_us else None
        return Hold(Reason.HOST_WAIT, until, self.text, code=self.code, host=self.host)

    def lasted(self, since: int, now_us: int) -> int:
        """Return for how many microseconds the host has been held, from `since` on."""
        return now_us - max(self.since, since)


@dataclass(frozen=True, slots=True)
class HeldHosts:
    """The held hosts of a node, by origin; `in_trial` are those that one of their jobs is trying now."""

    waits: Mapping[str, HostWait]
    in_trial: frozenset[str]

    def due_for_trial(self, now_us: int) -> list[str]:
        """Return the origins that one of their jobs may try now."""
        return [name for name, wait in self.waits.items() if wait.until <= now_us and name not in self.in_trial]


def held_hosts(snapshot: Snapshot, node: str) -> HeldHosts:
    """Return the held hosts of the node."""
    waits, in_trial = {}, set()
    for row in snapshot.rows(_WAITS, node=node):
        values = dict(row)
        if values.pop("in_trial"):
            in_trial.add(row["origin"])
        waits[row["origin"]] = HostWait(**values)
    return HeldHosts(waits, frozenset(in_trial))
