"""Orders jobs for `status`: running, failed, waiting, ended. Pure."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from flowhub_jobs.values.enums import QueueOrder, State
from flowhub_jobs.values.jobs import Job

_LAST = 2**63 - 1
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Overview:
    """The four sections, in the order in which they are shown. `failed` are those that need the user."""

    running: tuple[Job, ...]
    failed: tuple[Job, ...]
    waiting: tuple[Job, ...]
    ended: tuple[Job, ...]

    @property
    def sections(self) -> tuple[tuple[Job, ...], ...]:
        return self.running, self.failed, self.waiting, self.ended

    @property
    def jobs(self) -> list[Job]:
        return [job for section in self.sections for job in section]

    @property
    def live(self) -> tuple[Job, ...]:
        return (*self.running, *self.waiting)


def arrange(jobs: Iterable[Job], need_user: Collection[int], order: QueueOrder = QueueOrder.OLDEST_FIRST) -> Overview:
    """Return the sections of these jobs; `need_user` are the failed ones that need the user.

    `order` is that in which the waiting ones start within a priority.
    """
    by_number = sorted(jobs, key=lambda job: job.id)
    ended = [job for job in by_number if not job.live]
    waiting = [job for job in by_number if job.live and job.state is not State.RUNNING]
    needs_user = {job.id for job in ended if job.state is State.FAILED} & set(need_user)
    return Overview(
        running=tuple(job for job in by_number if job.state is State.RUNNING),
        failed=tuple(job for job in ended if job.id in needs_user),
        waiting=tuple(sorted(waiting, key=lambda job: _queue_place(job, order))),
        ended=tuple(sorted((job for job in ended if job.id not in needs_user), key=_end, reverse=True)),
    )


def _queue_place(job: Job, order: QueueOrder) -> tuple[bool, datetime, tuple[int, int, int]]:
    """Return the place in the queue: what may start first stands first, what is paused last."""
    return job.state is State.PAUSED, job.not_before or _EARLIEST, start_rank(job, order)


def start_rank(job: Job, order: QueueOrder) -> tuple[int, int, int]:
    """Return the rank by which a claim chooses: the lowest first. As jobs/queue_order_sql.py has it in SQL."""
    key = 0
    if order is QueueOrder.SMALLEST_FIRST:
        key = _LAST if job.bytes_total is None else job.bytes_total
    elif order is QueueOrder.NEARLY_DONE:
        key = _LAST if job.bytes_total is None or not job.bytes_done else job.bytes_total - job.bytes_done
    return -job.priority, key, job.id


def _end(job: Job) -> tuple[datetime, int]:
    return job.finished_at or job.created_at, job.id


def fitted(overview: Overview, lines: int) -> list[tuple[tuple[Job, ...], int]]:
    """Return, for each section, the jobs that fit into `lines`, and how many are left out.

    Earlier sections are filled first; each later one keeps a line for its count. A section that is cut needs a line
    that says so.
    """
    visible = []
    for place, section in enumerate(overview.sections):
        room = lines - sum(bool(later) for later in overview.sections[place + 1 :])
        count = len(section) if len(section) <= room else max(0, room - 1)
        visible.append((section[:count], len(section) - count))
        lines -= count + (count < len(section))
    return visible
