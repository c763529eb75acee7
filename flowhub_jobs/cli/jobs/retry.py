"""retry: queues failed and cancelled jobs again."""

from collections.abc import Sequence
from typing import Annotated

import typer

from flowhub_jobs.cli.jobs.steering import steer
from flowhub_jobs.cli.options import AsJson, Group, JobArguments
from flowhub_jobs.errors import UsageInvalid
from flowhub_jobs.operations.actions import ELIGIBLE
from flowhub_jobs.operations.session import Session
from flowhub_jobs.values.enums import State

AllFailed = Annotated[bool, typer.Option("--all", help="All failed jobs.")]


def retry(
    jobs: JobArguments = None,
    every: AllFailed = False,
    group: Group = None,
    cancelled: Annotated[bool, typer.Option("--cancelled", help="With --all or --group: cancelled jobs too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Queue failed or cancelled jobs again.

    A job keeps its number and continues its partial download.
    """
    if cancelled and not (every or group is not None):
        raise UsageInvalid("--cancelled needs --all or --group.", hint="`flowhub retry --all --cancelled`.")
    states = (*ELIGIBLE["retry"], State.CANCELLED) if cancelled else ELIGIBLE["retry"]
    steer("retry", jobs, every, group, states, lambda session, job: session.requeue(job, "retry"), _retryable)


def _retryable(session: Session, states: Sequence[State], group: str | None) -> list[int]:
    """Of ended jobs for the same files only one can be queued again."""
    return session.queries.retryable(states, group)
