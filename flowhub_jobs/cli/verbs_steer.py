"""cancel, pause, resume, retry."""

from typing import TYPE_CHECKING, Annotated

import typer

from flowhub_jobs.cli.options import AllLive, AsJson, Group, JobArguments

if TYPE_CHECKING:
    from flowhub_jobs.records import State


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


def _steer(
    verb: str, typed: list[str] | None, every: bool, group: str | None, as_json: bool, *, purge: bool = False
) -> None:
    from flowhub_jobs.cli import say
    from flowhub_jobs.cli.session import chosen_jobs, desk, each, raise_for
    from flowhub_jobs.errors import FlowhubError
    from flowhub_jobs.hub.wire import jobs_page
    from flowhub_jobs.records import State

    suits = {
        "cancel": (State.QUEUED, State.RUNNING, State.PAUSED),
        "pause": (State.QUEUED, State.RUNNING),
        "resume": (State.PAUSED,),
        "retry": (State.FAILED, State.CANCELLED),
    }[verb]
    with desk() as found:
        found.home.take_back_orphans()  # a job whose worker died changes at once
        numbers = chosen_jobs(found, typed, every, group, suits)
        acts = {
            "cancel": lambda job: found.cancel(job, purge=purge),
            "pause": found.home.ledger.pause,
            "resume": lambda job: found.again(job, "resume"),
            "retry": lambda job: found.again(job, "retry"),
        }
        outcomes = each(numbers, acts[verb])
        done = [number for number, outcome in outcomes.items() if not isinstance(outcome, FlowhubError)]
        if as_json and (done or not numbers):
            say.result_json(jobs_page(found.home.reports.jobs(done)))
        elif not as_json:
            _tell(verb, {number: outcome for number, outcome in outcomes.items() if isinstance(outcome, State)})
        raise_for(outcomes)


def _tell(verb: str, outcomes: "dict[int, State]") -> None:
    from flowhub_jobs.cli import say

    if not outcomes:
        say.hint(f"There is no job to {verb}.")
    for number, state in outcomes.items():
        stopping = state == "running" and verb in ("cancel", "pause")
        say.result(
            f"Job {number}: " + (f"{verb} asked; its worker obeys within a second." if stopping else f"{state}.")
        )
