"""Pauses, resumes, cancels, retries and starts jobs, and moves them to the top of the queue."""

from collections.abc import Callable, Sequence

from flowhub_jobs.errors import FlowhubError, UsageInvalid
from flowhub_jobs.operations.session import Session
from flowhub_jobs.values.enums import LIVE_STATES, State

# The states of jobs that a verb applies to, where no job is named.
ELIGIBLE: dict[str, tuple[State, ...]] = {
    "pause": (State.QUEUED, State.RUNNING),
    "resume": (State.PAUSED,),
    "cancel": LIVE_STATES,
    "retry": (State.FAILED,),
    "start": (State.QUEUED, State.PAUSED),
    "top": (State.QUEUED,),
}


def steer(session: Session, verb: str, job: int) -> State:
    """Apply a verb of ELIGIBLE to a job; return its state. A running job obeys within a second.

    Raises WrongState, NotFound, Busy, and UsageInvalid for another verb.
    """
    actions: dict[str, Callable[[int], State]] = {
        "pause": session.pause,
        "cancel": session.cancel,
        "top": lambda number: move_to_top(session, number),
    }
    if verb not in ELIGIBLE:
        raise UsageInvalid(f"{verb[:40]!r} is not an action on jobs.", hint=f"Actions: {', '.join(ELIGIBLE)}.")
    session.rescue_orphans()  # a job whose worker died changes at once
    return actions[verb](job) if verb in actions else session.requeue(job, verb)


def steer_all(session: Session, verb: str) -> list[int]:
    """Apply a verb to all jobs that it applies to; return their numbers. A job that has just ended is left alone."""
    session.rescue_orphans()
    changed = []
    for number in session.queries.in_state(ELIGIBLE[verb]):
        try:
            steer(session, verb, number)
        except FlowhubError:
            continue
        changed.append(number)
    return changed


def move_to_top(session: Session, job: int) -> State:
    """Give a job a higher priority than that of all other live jobs. Raises WrongState, NotFound."""
    others = [other.priority for other in session.queries.all(live=True) if other.id != job]
    return session.home.commands.set_priority(job, top_priority(others))


def top_priority(others: Sequence[int]) -> int:
    """Return the lowest priority that is above all others, and at least 0."""
    return max(0, max((priority + 1 for priority in others), default=0))
