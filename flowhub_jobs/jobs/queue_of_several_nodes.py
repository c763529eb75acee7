"""Reads the jobs of several nodes as one queue, and those that no node has taken yet."""

from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime

from flowhub_jobs.database.lazy import Database
from flowhub_jobs.jobs.queries import RECENT, JobQueries
from flowhub_jobs.system import Clock
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import Job

_EARLIEST = datetime.min.replace(tzinfo=UTC)


class QueriesOfNodes(JobQueries):
    """The same queries, over several nodes. A query by job numbers finds the jobs of any node anyway."""

    def __init__(
        self,
        database: Database,
        own: str,
        nodes: Sequence[str],
        clock: Clock,
        is_dead: Callable[[str], bool | None],
    ) -> None:
        super().__init__(database, own, clock, is_dead)
        self._each = [JobQueries(database, node, clock, is_dead) for node in nodes]

    def overview(self) -> list[Job]:
        """Return all live jobs, the failed ones that need the user, and the last 20 that ended on any of the nodes."""
        jobs, needed = [job for queries in self._each for job in queries.overview()], set(self.jobs_that_need_user())
        unfinished = [job for job in jobs if job.live or job.id in needed]
        ended = [job for job in jobs if not (job.live or job.id in needed)]
        latest = sorted(ended, key=lambda job: job.finished_at or _EARLIEST)[-RECENT:]
        return sorted([*unfinished, *latest], key=lambda job: job.id)

    def jobs_that_need_user(self) -> list[int]:
        return sorted((job for queries in self._each for job in queries.jobs_that_need_user()), reverse=True)

    def all(
        self, *, state: State | None = None, since: int | None = None, live: bool = False, group: str | None = None
    ) -> list[Job]:
        jobs = [job for queries in self._each for job in queries.all(state=state, since=since, live=live, group=group)]
        return sorted(jobs, key=lambda job: job.id)

    def in_state(self, states: Iterable[State], group: str | None = None) -> list[int]:
        state_list = list(states)
        return sorted(job for queries in self._each for job in queries.in_state(state_list, group))

    def bytes_still_needed(self, stores: Collection[str] | None = None) -> int:
        return sum(queries.bytes_still_needed(stores) for queries in self._each)

    def workers(self) -> list[str]:
        return [worker for queries in self._each for worker in queries.workers()]
