"""cancel, pause, resume, retry, start, priority."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from flowhub_jobs.cli.options import AllLive, AsJson, Group, JobArguments

if TYPE_CHECKING:
    from datetime import datetime

    from flowhub_jobs.errors import FlowhubError
    from flowhub_jobs.operations.session import Session
    from flowhub_jobs.values.enums import State
    from flowhub_jobs.values.jobs import Job

    Outcomes = Mapping[int, State | FlowhubError]

_LIVE = ("queued", "running", "paused")
AllFailed = Annotated[bool, typer.Option("--all", help="All failed jobs.")]


def cancel(
    jobs: JobArguments = None,
    every: AllLive = False,
    group: Group = None,
    purge: Annotated[bool, typer.Option("--purge", help="Delete the partial download too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Cancel jobs.

    The partial download is kept for `retry`; --purge deletes it. For failed jobs, --purge only deletes the partial
    download.
    """
    _steer(
        "cancel",
        jobs,
        every,
        group,
        as_json,
        ("queued", "running", "paused"),
        lambda session, job: session.cancel(job, purge=purge),
    )


def pause(jobs: JobArguments = None, every: AllLive = False, group: Group = None, as_json: AsJson = False) -> None:
    """Pause jobs until `resume`.

    The partial download is kept. A resumed job continues where it stopped.
    """
    _steer(
        "pause",
        jobs,
        every,
        group,
        as_json,
        ("queued", "running"),
        lambda session, job: session.home.commands.pause(job),
    )


def resume(jobs: JobArguments = None, every: AllLive = False, group: Group = None, as_json: AsJson = False) -> None:
    """Resume paused jobs.

    A time set by --at that is still ahead stays.
    """
    _steer("resume", jobs, every, group, as_json, ("paused",), lambda session, job: session.again(job, "resume"))


def retry(
    jobs: JobArguments = None,
    every: AllFailed = False,
    group: Group = None,
    cancelled: Annotated[
        bool, typer.Option("--cancelled", help="With --all or --group: the cancelled jobs too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Queue failed or cancelled jobs again.

    The job keeps its number and its files, and continues with what was kept.
    """
    from flowhub_jobs.errors import UsageInvalid

    if cancelled and not (every or group is not None):
        raise UsageInvalid("--cancelled goes with --all or --group.", hint="`flowhub retry --all --cancelled`.")
    states = ("failed", "cancelled") if cancelled else ("failed",)
    _steer("retry", jobs, every, group, as_json, states, lambda session, job: session.again(job, "retry"))


def start(jobs: JobArguments = None, every: AllLive = False, group: Group = None, as_json: AsJson = False) -> None:
    """Start jobs now, whatever --at or the schedule says.

    A started job still waits for the jobs of --after, for room on the disk and for the network.
    """
    _steer("start", jobs, every, group, as_json, ("queued", "paused"), lambda session, job: session.again(job, "start"))


def priority(
    number: Annotated[int, typer.Argument(metavar="N", help="Higher goes first; the default is 0.")],
    jobs: JobArguments = None,
    every: AllLive = False,
    group: Group = None,
    as_json: AsJson = False,
) -> None:
    """Change the priority of jobs.

    Running jobs continue; queued jobs start in the new order.
    """
    from flowhub_jobs.cli.jobs.enqueue_options import checked_priority

    wanted = checked_priority(number)
    states = ("queued", "running", "paused")
    states = ("queued", "running", "paused")
    _steer(
        "priority",
        jobs,
        every,
        group,
        as_json,
        states,
        lambda session, job: session.home.commands.set_priority(job, wanted),
    )


def _steer(
    verb: str,
    typed: list[str] | None,
    every: bool,
    group: str | None,
    as_json: bool,
    states: Sequence[str],
    act: "Callable[[Session, int], State]",
) -> None:
    """Apply a verb to the jobs that are typed, else to all (of a group) in one of `states`."""
    from flowhub_jobs.cli import output
    from flowhub_jobs.cli.session import chosen_jobs, each, open_session, raise_for
    from flowhub_jobs.errors import FlowhubError
    from flowhub_jobs.operations.schemas.jobs import jobs_page
    from flowhub_jobs.values.enums import State

    with open_session() as session:
        session.home.take_back_orphans()  # a job whose worker died changes at once
        numbers = chosen_jobs(session, typed, every, group, [State(state) for state in states])
        outcomes = each(numbers, lambda job: act(session, job))
        done = [number for number, outcome in outcomes.items() if not isinstance(outcome, FlowhubError)]
        if as_json and (done or not numbers):
            output.result_json(jobs_page(session.home.queries.jobs(done)))
        elif not as_json:
            _tell(session, verb, done)
            if not numbers:
                output.hint(_nothing(verb, states))
        raise_for(outcomes)


def _nothing(verb: str, states: Sequence[str]) -> str:
    what = "No job to change." if verb == "priority" else f"No job to {verb}."
    return f"{what} (`flowhub {verb}` applies to {_either(states)} jobs.)"


def _either(words: Sequence[str]) -> str:
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _tell(session: "Session", verb: str, done: Sequence[int]) -> None:
    """Print what became of each job, and that no worker runs where one is needed."""
    from datetime import UTC, datetime

    from flowhub_jobs.cli import output
    from flowhub_jobs.cli.session import tell_no_worker

    now = datetime.now(UTC)
    jobs = session.home.queries.jobs(done)
    for job in jobs:
        output.result(f"Job {job.id}: {_became(verb, job, now)}")
    if verb in ("resume", "retry", "start") and jobs:
        tell_no_worker(session)


def _became(verb: str, job: "Job", now: "datetime") -> str:
    """Return in a few words how a job stands after the verb."""
    from flowhub_jobs.operations.wait_reasons import in_short
    from flowhub_jobs.values.enums import State

    if verb == "priority":
        return f"priority {job.priority}."
    if job.state is State.RUNNING and verb in ("cancel", "pause"):  # its worker obeys within a second
        return "cancelling…" if verb == "cancel" else "pausing…"
    if job.state is State.FAILED:  # `cancel --purge`, or it would have been refused
        return "failed; its partial download was deleted."
    waits = in_short(job, now) if job.state is State.QUEUED else ""
    starts = "starts now" if verb == "start" and job.state is State.QUEUED and not waits else ""
    return ", ".join(part for part in (str(job.state), waits or starts) if part) + "."
