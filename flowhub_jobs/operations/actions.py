"""Steers jobs: pause, resume, cancel, retry, start, and to the top of the queue."""

from collections.abc import Callable, Sequence

from flowhub_jobs.errors import FlowhubError, UsageInvalid
from flowhub_jobs.operations.session import Desk
from flowhub_jobs.values.enums import State

# The states of jobs that a verb applies to, where no job is named.
ELIGIBLE = {
    "pause": (State.QUEUED, State.RUNNING),
    "resume": (State.PAUSED,),
    "cancel": (State.QUEUED, State.RUNNING, State.PAUSED),
    "retry": (State.FAILED,),
    "start": (State.QUEUED, State.PAUSED),
    "top": (State.QUEUED,),
}


def steer(desk: Desk, verb: str, job: int) -> State:
    """Apply a verb of ELIGIBLE to a job; return its state. A running job obeys within a second.

    Raises WrongState, NotFound, Busy, and UsageInvalid for another verb.
    """
    actions: dict[str, Callable[[int], State]] = {
        "pause": desk.home.ledger.pause,
        "cancel": desk.cancel,
        "top": lambda number: to_the_top(desk, number),
    }
    if verb not in ELIGIBLE:
        raise UsageInvalid(f"{verb[:40]!r} is nothing that can be done to a job.", hint=f"It may be {_either()}.")
    desk.home.take_back_orphans()  # a job whose worker died changes at once
    return actions[verb](job) if verb in actions else desk.again(job, verb)


def steer_all(desk: Desk, verb: str) -> list[int]:
    """Apply a verb to all jobs that it applies to; return their numbers. A job that has just ended is left alone."""
    desk.home.take_back_orphans()
    done = []
    for number in desk.home.reports.in_state(ELIGIBLE[verb]):
        try:
            steer(desk, verb, number)
        except FlowhubError:
            continue
        done.append(number)
    return done


def to_the_top(desk: Desk, job: int) -> State:
    """Give a job a higher priority than that of all other live jobs. Raises WrongState, NotFound."""
    others = [one.priority for one in desk.home.reports.all(live=True) if one.id != job]
    return desk.home.ledger.set_priority(job, top_priority(others))


def top_priority(others: Sequence[int]) -> int:
    """Return the lowest priority that is above all others, and at least 0."""
    return max(0, max((priority + 1 for priority in others), default=0))


def _either() -> str:
    *first, last = ELIGIBLE
    return f"{', '.join(first)} or {last}"
