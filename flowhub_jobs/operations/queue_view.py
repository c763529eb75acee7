"""The queue as the screens show it, and the jobs in it that need the user."""

from collections.abc import Mapping

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.jobs.report_values import DISK_WAIT_REASONS, needs_user
from flowhub_jobs.jobs.status_order import Overview, arrange
from flowhub_jobs.operations.session import Session
from flowhub_jobs.values.jobs import Job


def read_overview(session: Session) -> Overview:
    """Return the live jobs, those that need the user, and the last that ended."""
    return arrange(session.queries.overview(), session.queries.jobs_that_need_user(), session.queue_order)


def needing(overview: Overview) -> tuple[Job, ...]:
    """Return the waiting jobs that wait for something only the user can do: room, a disk, a certificate."""
    return tuple(job for job in overview.waiting if needs_user(job) or job.reason in DISK_WAIT_REASONS)


def titles_or_none(session: Session) -> Mapping[str, str]:
    """Return the catalog's names of models by id; none where the catalog cannot be read: a queue is shown without."""
    try:
        return session.known_titles()
    except FlowhubError:
        return {}
