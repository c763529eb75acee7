"""Outcomes of one action on several jobs or models: each result or error, and the errors as one."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from flowhub_jobs.errors import FlowhubError, SomeFailed

Item = TypeVar("Item", int, str)
Outcome = TypeVar("Outcome")


def apply_to_each(items: Sequence[Item], act: Callable[[Item], Outcome]) -> dict[Item, Outcome | FlowhubError]:
    """Apply `act` to each job or model; return each result, or the error of each that failed."""
    outcomes: dict[Item, Outcome | FlowhubError] = {}
    for item in items:
        try:
            outcomes[item] = act(item)
        except FlowhubError as error:
            outcomes[item] = error
    return outcomes


def error_of(outcomes: Mapping[Item, Outcome | FlowhubError]) -> FlowhubError | None:
    """Return the error, if there was one job or model; SomeFailed if some of several failed; None without an error."""
    errors = [outcome for outcome in outcomes.values() if isinstance(outcome, FlowhubError)]
    if not errors or len(outcomes) == 1:
        return next(iter(errors), None)
    first = errors[0]
    return SomeFailed(f"{len(errors)} of {len(outcomes)} failed. The first error: {first.message}", hint=first.hint)
