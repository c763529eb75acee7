"""The harm: each blow does one thing, sees to it that it is made good, and says what it did; None if it cannot."""

import os
from collections.abc import Callable
from pathlib import Path

from chaos_parts.campaign import SUSPENDED_S, Campaign
from support.faults import Fault, Status

from flowhub_jobs.values.enums import State

Blow = Callable[[Campaign], str | None]
PASSING_S = (0.3, 1.2)  # how long an origin or a disk is in a bad way
SAFE_FROM = 1 << 16  # a byte turned before that may make the file another kind of file


# Workers ------------------------------------------------------------------------------------------------------------


def kill(campaign: Campaign) -> str | None:
    if not (living := campaign.hands.living):
        return None
    hand = campaign.chance.choice(living)
    was = "suspended " if hand.suspended else ""
    campaign.hands.kill(hand)
    return f"SIGKILL {was}{hand.token}"


def kill_all(campaign: Campaign) -> str | None:
    living = campaign.hands.living
    for hand in living:
        campaign.hands.kill(hand)
    return f"SIGKILL {' and '.join(hand.token for hand in living)}" if living else None


def suspend(campaign: Campaign) -> str | None:
    if not (awake := campaign.hands.awake):
        return None
    hand, seconds = campaign.chance.choice(awake), campaign.chance.uniform(*SUSPENDED_S)
    hand.suspend()
    campaign.later(seconds, hand.wake)
    return f"SIGSTOP {hand.token} for {seconds:.1f} s"


def stop(campaign: Campaign) -> str | None:
    campaign.hands.learn_names()  # it takes its name with it
    if not (awake := [hand for hand in campaign.hands.awake if hand.name]):
        return None
    hand = campaign.chance.choice(awake)
    hand.tell_to_stop()
    return f"SIGTERM {hand.token}"


# The queue ----------------------------------------------------------------------------------------------------------


def lose_queue(campaign: Campaign) -> str:
    also = campaign.chance.random() < 0.5
    for suffix in ("", "-wal", "-shm") if also else ("",):
        Path(f"{campaign.shop.settings.queue_path}{suffix}").unlink(missing_ok=True)
    return f"queue.db removed{' with its log' if also else ''}"


def spoil_queue(campaign: Campaign) -> str | None:
    if campaign.ground.full:
        return None
    way = campaign.chance.choice(["overwritten", "replaced", "emptied", "cut short"])
    path, junk = campaign.shop.settings.queue_path, os.urandom(20_000)
    if way == "replaced" or not path.exists():
        other = path.with_name("other")
        other.write_bytes(junk)
        other.replace(path)
    elif way == "overwritten":
        with path.open("r+b") as file:
            file.write(junk)
    else:
        os.truncate(path, 0 if way == "emptied" else path.stat().st_size // 2)
    return f"queue.db {way}"


# A person -----------------------------------------------------------------------------------------------------------


def _asks(verb: str, *states: State) -> Blow:
    def blow(campaign: Campaign) -> str | None:
        fit = [] if campaign.ground.full else campaign.live_jobs(*states)
        if not fit:
            return None
        job = campaign.chance.choice(fit)
        return f"{verb} job {job.id} ({job.ref}, {job.state})" if campaign.ask(verb, job.id) else None

    return blow


# The disk -----------------------------------------------------------------------------------------------------------


def fill_disk(campaign: Campaign) -> str | None:
    if campaign.ground.full:
        return None
    leave = campaign.chance.choice([0, 0, 100_000, 3_000_000])
    seconds = campaign.chance.uniform(*PASSING_S)
    campaign.ground.fill(leave)
    campaign.later(seconds, campaign.ground.free)
    return f"the disk is filled but for {leave:,} bytes, for {seconds:.1f} s"


# The origin ---------------------------------------------------------------------------------------------------------


def reset(campaign: Campaign) -> str:
    campaign.line.drop_connections()
    return "every connection is reset"


def _answers(fault: Fault, what: str) -> Blow:
    def blow(campaign: Campaign) -> str:
        seconds = campaign.chance.uniform(*PASSING_S)
        campaign.line.strike(fault)
        campaign.later(seconds, campaign.line.clear_up)
        return f"the origin says {what} for {seconds:.1f} s"

    return blow


def go_down(campaign: Campaign) -> str:
    seconds = campaign.chance.uniform(*PASSING_S)
    campaign.line.go_down()
    campaign.later(seconds, campaign.line.clear_up)
    return f"the origin is down for {seconds:.1f} s"


def turn_byte(campaign: Campaign) -> str | None:
    """Only where a digest tells; and in a file that is being fetched, so that it is likely to come about."""
    fetched = {job.model for job in campaign.live_jobs()}
    fit = [
        (ware, path, item.content.size)
        for ware in campaign.wares
        for path, item in ware.items.items()
        if ware.model in fetched and item.pin and item.content.size > SAFE_FROM
    ]
    if not fit:
        return None
    ware, path, size = campaign.chance.choice(fit)
    at = campaign.chance.randrange(SAFE_FROM, size)
    campaign.line.turn(f"/{ware.model}/{path}", at)
    return f"byte {at:,} of {ware.model}/{path} will come wrong"


BLOWS: dict[str, tuple[int, Blow]] = {
    "kill": (5, kill),
    "kill all": (1, kill_all),
    "suspend": (4, suspend),
    "stop": (3, stop),
    "lose queue": (2, lose_queue),
    "spoil queue": (2, spoil_queue),
    "cancel": (2, _asks("cancel", State.QUEUED, State.RUNNING, State.PAUSED)),
    "retry": (3, _asks("retry", State.CANCELLED, State.FAILED)),
    "pause": (2, _asks("pause", State.QUEUED, State.RUNNING)),
    "resume": (3, _asks("resume", State.PAUSED)),
    "fill disk": (2, fill_disk),
    "reset": (2, reset),
    "503": (1, _answers(Status(503), "503")),
    "429": (1, _answers(Status(429, {"Retry-After": "1"}), "429, wait 1 s,")),
    "down": (1, go_down),
    "turn byte": (2, turn_byte),
}
