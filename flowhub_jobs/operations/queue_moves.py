"""Moves a waiting job to another place in the queue by changing priorities; `queue_order` breaks ties."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from flowhub_jobs.errors import UsageInvalid, WrongState
from flowhub_jobs.jobs.status_order import start_rank
from flowhub_jobs.operations.session import Session
from flowhub_jobs.values.enums import QueueOrder, State
from flowhub_jobs.values.jobs import Job

Rank = tuple[int, int]  # of a job among those of its priority: the lowest starts first


def takes_turns(job: Job) -> bool:
    """Return whether a job starts in its turn: it is queued, and waits for no time of its own."""
    return job.state is State.QUEUED and job.not_before is None


def in_turn(jobs: Iterable[Job], order: QueueOrder) -> list[Job]:
    """Return the jobs that start in their turn, the next one first."""
    return sorted(filter(takes_turns, jobs), key=lambda job: start_rank(job, order))


def move_before(session: Session, job: int, other: int | None) -> None:
    """Move a job to the place before another one; None is the end of the queue.

    Raises UsageInvalid for a job that does not start in its turn, such as a paused one or one with a later time.
    """
    queue_order = session.queue_order
    turns = {queued_job.id: queued_job for queued_job in in_turn(session.queries.all(state=State.QUEUED), queue_order)}
    if job == other:
        return
    for number in (job,) if other is None else (job, other):
        if number not in turns:
            raise UsageInvalid(f"Job {number} does not start in its turn.", hint="Only queued jobs can be moved.")
    order = [number for number in turns if number != job]
    order.insert(len(order) if other is None else order.index(other), job)
    ranks = {number: start_rank(queued_job, queue_order)[1:] for number, queued_job in turns.items()}
    changes = priorities_for([(number, turns[number].priority) for number in order], job, ranks)
    for number, priority in changes.items():
        with suppress(WrongState):  # it has ended since
            session.set_priority(number, priority)


def priorities_for(order: Sequence[tuple[int, int]], moved: int, ranks: Mapping[int, Rank]) -> dict[int, int]:
    """Return the priorities to set so that jobs start in this order, as few as possible.

    `order` has each job's number and priority; without `moved` it is the order in which they would start now. Pure.
    """
    if list(order) == sorted(order, key=lambda job: (-job[1], ranks[job[0]])):
        return {}

    def above(number: int, other: int, priority: int) -> int:
        """Return the lowest priority with which a job starts before another one of this priority."""
        return priority if ranks[number] < ranks[other] else priority + 1

    numbers, priorities = [number for number, _ in order], dict(order)
    index = numbers.index(moved)
    earlier, later = numbers[:index], numbers[index + 1 :]
    if later:
        priorities[moved] = above(moved, later[0], priorities[later[0]])
    elif earlier:
        priorities[moved] = priorities[earlier[-1]] - (0 if ranks[earlier[-1]] < ranks[moved] else 1)
    next_number = moved
    for number in reversed(earlier):
        minimum = above(number, next_number, priorities[next_number])
        if priorities[number] >= minimum:
            break
        priorities[number], next_number = minimum, number
    return {number: priorities[number] for number, before in order if priorities[number] != before}
