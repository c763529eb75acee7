"""The states of a job, who moves it, and why a queued one waits. Pure.

queued ──claim──► running ──complete──► completed
  ▲ ▲               │ ├──fail──► failed ──────┐
  │ └──hand back,───┘ ├──pause──► paused ─┐   │ retry
  │    wait, rescue   └──cancel─► cancelled ──┤
  └───────────────── resume ──────────────┴───┘
"""

from flowhub_jobs.records import Reason, Stage, State

LIVE = (State.QUEUED, State.RUNNING, State.PAUSED)

# Who moves a job: its owner (by the lease's token), the person (no owner, or a wish), or whoever rescues it.
MOVES: dict[tuple[State, State], str] = {
    (State.QUEUED, State.RUNNING): "owner",
    (State.RUNNING, State.COMPLETED): "owner",
    (State.RUNNING, State.FAILED): "owner, rescuer",
    (State.RUNNING, State.QUEUED): "owner, rescuer",
    (State.RUNNING, State.PAUSED): "owner, rescuer",
    (State.RUNNING, State.CANCELLED): "owner, rescuer",
    (State.QUEUED, State.PAUSED): "person",
    (State.QUEUED, State.CANCELLED): "person",
    (State.PAUSED, State.QUEUED): "person",
    (State.PAUSED, State.CANCELLED): "person",
    (State.FAILED, State.QUEUED): "person",
    (State.CANCELLED, State.QUEUED): "person",
}

# How many stages are finished when a run reaches this one.
STAGE_NUMBER = {stage: number for number, stage in enumerate(Stage)}
RESCUES_MAX = 10


def may_move(old: State, new: State) -> bool:
    return (old, new) in MOVES


def waiting_reason(wait_reason: str | None, not_before: int | None, now: int, *, slots_taken: bool) -> Reason | None:
    """Return why a queued job does not start now, or None if nothing but a free worker's glance is missing.

    `not_before` and `now` are microseconds. The row holds one wait at a time; slots come last.
    """
    if not_before is not None and not_before > now:
        return Reason(wait_reason) if wait_reason else Reason.AT
    return Reason.SLOTS if slots_taken else None


def rescued_state(wish: str | None, rescues: int, *, progressed: bool) -> State:
    """Return what becomes of a job whose owner is gone: what the person wished, else once more, else failed."""
    if wish is not None:
        return State.PAUSED if wish == "pause" else State.CANCELLED
    return State.FAILED if not progressed and rescues + 1 >= RESCUES_MAX else State.QUEUED
