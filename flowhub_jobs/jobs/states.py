"""The states of a job, the actor of each transition, and the reasons why a queued job waits. Pure.

queued ──claim──► running ──complete──► completed
  ▲ ▲               │ ├──fail──► failed ──────┐
  │ └──hand back,───┘ ├──pause──► paused ─┐   │ retry
  │    wait, rescue   └──cancel─► cancelled ──┤
  └───────────────── resume ──────────────┴───┘
"""

from collections.abc import Iterable
from dataclasses import dataclass

from flowhub_jobs.values.enums import Reason, RequestedAction, Stage, State

# The mover: the owner (a run, by its lease's token), the user (a job without an owner), or a rescuer (any worker).
MOVES: dict[tuple[State, State], str] = {
    (State.QUEUED, State.RUNNING): "owner",
    (State.RUNNING, State.COMPLETED): "owner",
    (State.RUNNING, State.FAILED): "owner, rescuer",
    (State.RUNNING, State.QUEUED): "owner, rescuer",
    (State.RUNNING, State.PAUSED): "owner, rescuer",
    (State.RUNNING, State.CANCELLED): "owner, rescuer",
    (State.QUEUED, State.PAUSED): "user",
    (State.QUEUED, State.CANCELLED): "user",
    (State.PAUSED, State.QUEUED): "user",
    (State.PAUSED, State.CANCELLED): "user",
    (State.FAILED, State.QUEUED): "user",
    (State.CANCELLED, State.QUEUED): "user",
}

# How many stages are finished when a run reaches this one.
STAGE_NUMBER = {stage: number for number, stage in enumerate(Stage)}
RESCUES_MAX = 10
EARLIER_NAMED = 3


def may_move(old: State, new: State) -> bool:
    return (old, new) in MOVES


@dataclass(frozen=True, slots=True)
class Hold:
    """One reason that keeps a queued job from starting; `until` is microseconds, None where that is unknown.

    `code` and `host` are those of the error behind it, where there is one.
    """

    reason: Reason
    until: int | None = None
    text: str | None = None
    code: str | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Gates:
    """The gates that hold all jobs of the node (`Controls.gates`). Times are microseconds; None: that gate is open.

    Each gate opens by itself at its time, so that a cached value holds no job for longer.
    """

    window_opens_us: int | None = None
    network_down_until_us: int | None = None
    network_text: str | None = None
    jobs_max: int | None = None  # how many jobs may run at a time on the node
    cap_until_us: int | None = None  # holds only jobs that fetch
    rate_bps: int | None = None  # what the schedule allows all jobs together now, bytes a second; None: all there is

    def window_shut(self, now_us: int) -> bool:
        """Return whether the schedule lets no job run: runs are to be handed back."""
        return self.window_opens_us is not None and now_us < self.window_opens_us

    def cap_reached(self, now_us: int) -> bool:
        """Return whether nothing more may be fetched in this period."""
        return self.cap_until_us is not None and now_us < self.cap_until_us

    def holds(self, now_us: int, *, start_now: bool = False, fetches: bool = False) -> list[Hold]:
        """Return what holds every queued job; for a job begun by `flowhub start` (`start_now`), no window does.

        `fetches`: also what holds a job that fetches.
        """
        window = [] if start_now else [Hold(Reason.WINDOW, self.window_opens_us)]
        cap = [Hold(Reason.CAP, self.cap_until_us)] if fetches else []
        holds = [*window, *cap, Hold(Reason.NETWORK, self.network_down_until_us, self.network_text)]
        return [hold for hold in holds if hold.until is not None and now_us < hold.until]


def in_order(holds: Iterable[Hold]) -> list[Hold]:
    """Return them in the order in which they are shown: the first of `Reason` first; of one reason the longest."""
    order = list(Reason)
    return sorted(holds, key=lambda hold: (order.index(hold.reason), -(hold.until or 0)))


def own_hold(wait_reason: str | None, not_before: int | None, text: str | None, now_us: int) -> list[Hold]:
    """Return the wait of the row itself, while it lasts; without a reason it is the user's start time."""
    if not_before is None or not_before <= now_us:
        return []
    return [Hold(Reason(wait_reason or Reason.AT), not_before, text)]


def after_hold(earlier: Iterable[tuple[int, State]]) -> list[Hold]:
    """Return the wait for earlier jobs, which are named with their states; none where there are none."""
    live = sorted(earlier)
    names = ", ".join(f"job {job} ({state})" for job, state in live[:EARLIER_NAMED])
    rest = f" and {len(live) - EARLIER_NAMED} more" if len(live) > EARLIER_NAMED else ""
    return [Hold(Reason.AFTER, text=f"Still to end: {names}{rest}.")] if live else []


def requested_state(action: RequestedAction) -> State:
    """Return the state of a job once a requested action was carried out."""
    return State.PAUSED if action is RequestedAction.PAUSE else State.CANCELLED


def rescued_state(requested: RequestedAction | None, rescues: int, *, progressed: bool) -> State:
    """Return the state of a job whose worker is gone: the one that the user requested, else queued or failed."""
    if requested is not None:
        return requested_state(requested)
    return State.FAILED if not progressed and rescues + 1 >= RESCUES_MAX else State.QUEUED
