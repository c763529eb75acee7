"""cancel, pause, resume, retry, priority."""

from typing import TYPE_CHECKING, Annotated

import typer

from flowhub_jobs.cli.options import AllLive, AsJson, Group, JobArguments

if TYPE_CHECKING:
    from flowhub_jobs.kinds import State


def cancel(
    jobs: JobArguments = None,
    every: AllLive = False,
    group: Group = None,
    purge: Annotated[bool, typer.Option("--purge", help="Drop what was fetched so far, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Cancel jobs.

    What was fetched so far is kept for `retry`; --purge drops it. Of a failed job, --purge drops that alone.
    """
    _steer("cancel", jobs, every, group, as_json, purge=purge)


def pause(jobs: JobArguments = None, every: AllLive = False, group: Group = None, as_json: AsJson = False) -> None:
    """Pause jobs until `resume`.

    What was fetched so far is kept. A job that is resumed goes on where it stopped.
    """
    _steer("pause", jobs, every, group, as_json)


def resume(jobs: JobArguments = None, every: AllLive = False, group: Group = None, as_json: AsJson = False) -> None:
    """Let paused jobs go on."""
    _steer("resume", jobs, every, group, as_json)


def retry(jobs: JobArguments = None, every: AllLive = False, group: Group = None, as_json: AsJson = False) -> None:
    """Queue failed or cancelled jobs again.

    The same job, for the same files; it goes on with what was kept.
    """
    _steer("retry", jobs, every, group, as_json)


def priority(
    number: Annotated[int, typer.Argument(metavar="N", help="Higher goes first; 0 is what a job has by itself.")],
    jobs: JobArguments = None,
    every: AllLive = False,
    group: Group = None,
    as_json: AsJson = False,
) -> None:
    """Give jobs another priority.

    What runs goes on; what is queued starts in the new order.
    """
    from flowhub_jobs.cli.fetch.terms import checked_priority

    _steer("priority", jobs, every, group, as_json, number=checked_priority(number))


def _steer(
    verb: str,
    typed: list[str] | None,
    every: bool,
    group: str | None,
    as_json: bool,
    *,
    purge: bool = False,
    number: int = 0,
) -> None:
    from flowhub_jobs.cli import say
    from flowhub_jobs.cli.session import chosen_jobs, desk, each, raise_for
    from flowhub_jobs.errors import FlowhubError
    from flowhub_jobs.hub.wire import jobs_page
    from flowhub_jobs.kinds import State

    suits = {
        "cancel": (State.QUEUED, State.RUNNING, State.PAUSED),
        "pause": (State.QUEUED, State.RUNNING),
        "resume": (State.PAUSED,),
        "retry": (State.FAILED, State.CANCELLED),
        "priority": (State.QUEUED, State.RUNNING, State.PAUSED),
    }[verb]
    with desk() as found:
        found.home.take_back_orphans()  # a job whose worker died changes at once
        numbers = chosen_jobs(found, typed, every, group, suits)
        acts = {
            "cancel": lambda job: found.cancel(job, purge=purge),
            "pause": found.home.ledger.pause,
            "resume": lambda job: found.again(job, "resume"),
            "retry": lambda job: found.again(job, "retry"),
            "priority": lambda job: found.home.ledger.set_priority(job, number),
        }
        outcomes = each(numbers, acts[verb])
        done = [number for number, outcome in outcomes.items() if not isinstance(outcome, FlowhubError)]
        if as_json and (done or not numbers):
            say.result_json(jobs_page(found.home.reports.jobs(done)))
        elif not as_json:
            said = f"priority {number}" if verb == "priority" else None
            if not numbers:
                say.hint(f"There is no job to {verb}." if said is None else "There is no job to give a priority to.")
            _tell(verb, {job: outcome for job, outcome in outcomes.items() if isinstance(outcome, State)}, said)
        raise_for(outcomes)


def _tell(verb: str, outcomes: "dict[int, State]", said: str | None) -> None:
    """Say what became of each job: its state, or what is `said` of it."""
    from flowhub_jobs.cli import say

    if verb == "cancel" and "failed" in outcomes.values():  # with --purge, or it would have been refused
        said = "failed; what was kept of it is dropped"
    for number, state in outcomes.items():
        stopping = state == "running" and verb in ("cancel", "pause")
        say.result(
            f"Job {number}: "
            + (f"{verb} asked; its worker obeys within a second." if stopping else f"{said or state}.")
        )
