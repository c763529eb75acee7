"""Choice of jobs to list: the overview, or those of a state, a time, a group, or by number."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.jobs.status_order import Overview, arrange
from flowhub_jobs.operations.schemas.jobs import job_with_events_json, jobs_json
from flowhub_jobs.times import micros, parse_since
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import Job

if TYPE_CHECKING:
    from flowhub_jobs.operations.session import Session


@dataclass(frozen=True, slots=True)
class JobListFilter:
    """Without any condition it is the overview; `every` is every state and age. `since_us` is microseconds."""

    numbers: list[int] | None = None
    every: bool = False
    state: State | None = None
    since_us: int | None = None
    group: str | None = None

    @property
    def is_overview(self) -> bool:
        return self.numbers is None and not self.every and (self.state, self.since_us, self.group) == (None,) * 3

    def read(self, session: "Session") -> list[Job]:
        """Return the overview in the order of what matters, numbers as they were given, all else by number."""
        reports = session.queries
        if self.is_overview:
            return self.arranged(session).jobs
        if self.numbers is None:
            return reports.all(state=self.state, since=self.since_us, group=self.group)
        fits = [(self.state, "state"), (self.group, "group")]
        jobs = reports.jobs(self.numbers)
        return [job for job in jobs if all(value in (None, getattr(job, name)) for value, name in fits)]

    def arranged(self, session: "Session") -> Overview:
        reports = session.queries
        return arrange(reports.overview(), reports.jobs_that_need_user(), session.queue_order)

    def page(self, session: "Session") -> dict[str, Any]:
        """Return `flowhub/jobs/1`; one job that is named has its events, too."""
        jobs = self.read(session)
        if self.numbers is not None and len(self.numbers) == 1 and jobs:
            return job_with_events_json(jobs[0], session.queries.events(jobs[0].id))
        return jobs_json(jobs)


def state_named(text: str | None) -> State | None:
    """Return the state of this name. Raises UsageInvalid."""
    if text is None:
        return None
    try:
        return State(text.lower())
    except ValueError:
        raise UsageInvalid(f"{text[:40]!r} is not a state.", hint=f"States are: {', '.join(State)}.") from None


def parse_since_us(text: str | None) -> int | None:
    """Return the microsecond that `12h`, `22:00` or an RFC 3339 time names. Raises UsageInvalid."""
    return micros(parse_since(text, datetime.now().astimezone())) if text is not None else None
