"""The code that cancel, pause, resume, retry, start and priority share: choice of jobs, action, outcome of each job."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from flowhub_jobs.cli import output
from flowhub_jobs.cli.session import chosen_jobs, hint_no_worker, open_session, raise_outcome_errors
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.operations.act_on_each import apply_to_each
from flowhub_jobs.operations.schemas.jobs import jobs_json
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.wait_reasons import in_short
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import Job

Outcomes = Mapping[int, State | FlowhubError]
JobQuery = Callable[[Session, Sequence[State], str | None], list[int]]


def jobs_in_state(session: Session, states: Sequence[State], group: str | None) -> list[int]:
    return session.queries.in_state(states, group)


def steer(
    verb: str,
    typed: list[str] | None,
    every: bool,
    group: str | None,
    states: Sequence[State],
    act: Callable[[Session, int], State],
    query: JobQuery = jobs_in_state,
) -> None:
    """Apply a verb to the typed jobs, else to those (of a group) that `query` finds in `states`."""
    with open_session() as session:
        session.rescue_orphans()  # a job whose worker died changes at once
        eligible = partial(query, session, states)
        numbers = chosen_jobs(typed, every, group, eligible)
        outcomes = apply_to_each(numbers, lambda job: act(session, job))
        done = [number for number, outcome in outcomes.items() if not isinstance(outcome, FlowhubError)]
        if output.chosen.json and (done or not numbers):
            output.result_json(jobs_json(session.queries.jobs(done)))
        elif not output.chosen.json:
            _print_states(session, verb, done)
            if not numbers:
                output.hint(_nothing_to_do(verb, states))
        raise_outcome_errors(outcomes)


def _nothing_to_do(verb: str, states: Sequence[State]) -> str:
    sentence = "No job to change." if verb == "priority" else f"No job to {verb}."
    return f"{sentence} (`flowhub {verb}` applies to {_joined_states(states)} jobs.)"


def _joined_states(states: Sequence[State]) -> str:
    *first, last = sorted(states, key=list(State).index)
    return f"{', '.join(first)} or {last}" if first else str(last)


def _print_states(session: Session, verb: str, done: Sequence[int]) -> None:
    """Print the new state of each job, and a hint if a worker is needed and none runs."""
    now = datetime.now(UTC)
    jobs = session.queries.jobs(done)
    for job in jobs:
        output.result(f"Job {job.id}: {_new_state_text(verb, job, now)}")
    if verb in ("resume", "retry", "start") and jobs:
        hint_no_worker(session)


def _new_state_text(verb: str, job: Job, now: datetime) -> str:
    """Return a job's state after the verb, in a few words."""
    if verb == "priority":
        return f"priority {job.priority}."
    if job.state is State.RUNNING and verb in ("cancel", "pause"):  # its worker obeys within a second
        return "cancelling…" if verb == "cancel" else "pausing…"
    if job.state is State.FAILED:  # `cancel --purge`, or it would have been refused
        return "failed; its partial download was deleted."
    waits = in_short(job, now) if job.state is State.QUEUED else ""
    starts = "starts now" if verb == "start" and job.state is State.QUEUED and not waits else ""
    return ", ".join(part for part in (str(job.state), waits or starts) if part) + "."
