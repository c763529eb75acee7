"""Report of the last night, read from one opened home."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.attempts_and_events import Attempt, History
from flowhub_jobs.jobs.report_recoveries import KINDS
from flowhub_jobs.jobs.report_values import ActionNeeded, Report, RoomNeeded, blocked_need, make_report, placement_needs
from flowhub_jobs.jobs.subscriptions.subscription_queries import SubscriptionQueries
from flowhub_jobs.operations.library.placed import not_placed, remedy_of_placement, waiting_placements
from flowhub_jobs.times import micros, moment, parse_since
from flowhub_jobs.values.enums import EventKind, Reason, State
from flowhub_jobs.values.jobs import Event, Job

LAST_NIGHT = "last-night"
Happened = tuple[Job, list[Event], list[Attempt]]


def report_begins(text: str, now: datetime) -> datetime:
    """Return the start of the report: T, or `last-night`, which is 18:00 of yesterday, local.

    In the evening the last night is still shown: a page that empties at 18:00 helps no reader.
    """
    if text.strip().lower() != LAST_NIGHT:
        return parse_since(text, now)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return parse_since("18:00", today)  # the last one before


def read_report(home: Home, since: datetime) -> Report:
    """Return the report of the jobs that ended since then, and of all live jobs."""
    begin, now = micros(since), home.clock.now_us()
    until = moment(now)
    assert until is not None
    # First the live ones: a job that ends in between is read twice, not missed.
    by_number = {job.id: job for job in home.queries.all(live=True)}
    by_number |= {job.id: job for job in home.queries.all(since=begin) if job.finished_at and job.finished_at >= since}
    jobs = [by_number[number] for number in sorted(by_number)]
    history = History(home.database)
    attempts = history.attempts(list(by_number), now)
    events = history.events_since(begin, KINDS)
    refused = history.events_since(begin, [EventKind.PLACEMENT_FAILED])
    report = make_report(jobs, attempts, events, workers=home.living_workers(), since=since, until=until)
    further_needs = *placement_needs(jobs, refused), *_waiting_placements(home), *_blocked_subscriptions(home)
    report = replace(report, needs=(*report.needs, *further_needs))
    return replace(report, room=_room_needed(home)) if not home.nodes and _waits_for_room(jobs) else report


def _blocked_subscriptions(home: Home) -> list[ActionNeeded]:
    """Return the subscriptions whose last check found something that only the user can change."""
    subscriptions = SubscriptionQueries(home.database, home.node).all()
    return [blocked_need(item.ref, item.error) for item in subscriptions if item.needs_user and item.error]


def _waiting_placements(home: Home) -> list[ActionNeeded]:
    """Return the placements that could not be made yet: a worker tries them again, but hardly without the user."""
    return [
        ActionNeeded(None, str(error.get("code")), not_placed(row, error), remedy_of_placement(row, error))
        for each in home.each_store()
        for row in waiting_placements(each)
        if (error := row.error)
    ]


def _waits_for_room(jobs: Sequence[Job]) -> bool:
    return any(job.state is State.QUEUED and job.reason is Reason.DISK for job in jobs)


def _room_needed(home: Home) -> RoomNeeded | None:
    """Return the bytes that the queue needs on a store's disk, that where most are missing; None if all are away."""
    needs = [room for each in home.each_store() if (room := _room_needed_in(each)) is not None]
    return max(needs, key=lambda room: room.missing, default=None)


def _room_needed_in(home: Home) -> RoomNeeded | None:
    try:
        room = home.room()
    except FlowhubError:
        return None
    needed = home.bytes_promised()
    return RoomNeeded(str(home.store.root), needed, needed - room.usable)


def read_history(home: Home, numbers: Sequence[int]) -> list[Happened]:
    """Return these jobs with all that happened to them. Raises NotFound for one that is not there."""
    jobs, history = home.queries.jobs(numbers), History(home.database)
    events, attempts = history.events(numbers), history.attempts(numbers, home.clock.now_us())
    return [(job, events[job.id], attempts[job.id]) for job in jobs]
