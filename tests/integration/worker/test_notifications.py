"""A worker tells its person, in batches and once, by a real command or webhook, whatever becomes of the worker."""

import json
import logging
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy as sa
from support.job_store import JobStore
from support.webhook_server import WebhookServer, webhook_server

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.lazy import Database
from flowhub_jobs.errors import FlowhubError, Gated, ServerBusy, SourceMissing
from flowhub_jobs.home import Home
from flowhub_jobs.jobs import notices_due
from flowhub_jobs.jobs.states import RESCUES_MAX
from flowhub_jobs.jobs.subscriptions.subscription_queries import SubscriptionQueries
from flowhub_jobs.jobs.subscriptions.subscription_rows import SubscriptionRows
from flowhub_jobs.jobs.subscriptions.subscription_values import (
    CheckOutcome,
    NewJob,
    Subscription,
    SubscriptionKind,
    Terms,
)
from flowhub_jobs.settings import load_settings
from flowhub_jobs.store.layout import Store
from flowhub_jobs.values.enums import EventKind, Reason, State
from flowhub_jobs.values.jobs import Note
from flowhub_jobs.values.notify_settings import NOTICES, Notify
from flowhub_jobs.worker.notifications import Notifications
from flowhub_jobs.worker.notify_delivery import Delivery

MINUTE, HOUR = 60.0, 3600.0
GONE = SourceMissing("It is gone.")
NOTICE = b'{"schema": "flowhub/notice/1"}'


@pytest.fixture
def office() -> Iterator[WebhookServer]:
    with webhook_server() as office:
        yield office


class Desk:
    """One worker's notices, and what it told."""

    def __init__(self, rooms: JobStore, folder: Path, office: WebhookServer, on: tuple[str, ...] = NOTICES) -> None:
        settings = replace(load_settings({"FLOWHUB_HOME": str(folder)}), notify=Notify(webhook=office.url(), on=on))
        home = Home(settings, rooms.node, Database.of(rooms.engine), Store(folder / "store"), rooms.time.clock)
        self.notices, self._office = Notifications(home, "w-1"), office

    def look(self) -> list[dict[str, Any]]:
        """Look, see the telling through, and return the events that were told now."""
        before = len(self._office.posts)
        self.notices.deliver_pending()
        self.finish()
        return [event for post in self._office.posts[before:] for event in post["events"]]

    def finish(self) -> None:
        pause = threading.Event()
        while self.notices.delivering:
            pause.wait(0.01)


@pytest.fixture
def session(rooms, tmp_path, office) -> Desk:
    session = Desk(rooms, tmp_path, office)
    assert session.look() == []  # what was before the first look is no news
    return session


def fail(rooms: JobStore, model: str, error: Exception = GONE) -> int:
    [job] = rooms.enqueue(model)
    rooms.owner.fail(rooms.claim().lease, error)
    return job


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in events]


# What is told --------------------------------------------------------------------------------------------------------


def test_the_notice_of_a_failed_job_has_the_cause_and_the_remedy(rooms, session, office):
    rooms.enqueue("waits", priority=-1)
    job = fail(rooms, "tiny")
    [event] = session.look()
    assert event["kind"] == "failed"
    assert (event["job"], event["ref"], event["code"]) == (job, "tiny@q4", "source_missing")
    assert event["message"] == "It is gone."
    assert event["hint"] == "`flowhub show tiny` lists its other variants."
    [post] = office.posts
    assert list(post) == ["schema", "at", "node", "events"]
    assert (post["schema"], post["node"]) == ("flowhub/notice/1", rooms.node)
    assert office.headers[0]["content-type"] == "application/json"


def test_each_event_is_notified_once(rooms, session):
    fail(rooms, "tiny")
    assert kinds(session.look()) == ["failed", "queue_empty"]
    rooms.time.turn(HOUR)
    assert session.look() == []
    assert not session.notices.busy


def test_a_licence_needs_the_person(rooms, session):
    rooms.enqueue("waits", priority=-1)
    job = fail(rooms, "tiny", Gated("Its terms are to be accepted."))
    [event] = session.look()
    assert (event["kind"], event["code"]) == ("needs_you", "gated")
    assert event["job"] == job
    assert "`flowhub enqueue tiny@q4`" in event["hint"]


def test_a_job_that_was_given_up_after_its_rescues_is_notified(rooms, session):
    rooms.enqueue("tiny")
    for _ in range(RESCUES_MAX):
        rooms.claim()
        rooms.rescue("w-1")
    lost, empty = session.look()
    assert (lost["kind"], lost["code"]) == ("failed", "worker_lost")
    assert empty["message"] == "The queue is empty: 1 failed."


def test_a_failure_that_was_retried_at_once_is_notified(rooms, session):
    job = fail(rooms, "tiny")
    rooms.commands.retry(job)
    [event] = session.look()
    assert (event["kind"], event["message"], event["hint"]) == ("failed", "It is gone.", None)


def test_the_empty_queue_is_notified_once_after_the_last_job_ended(rooms, session):
    rooms.enqueue("one", "two")
    rooms.complete(rooms.claim())
    assert session.look() == []
    rooms.complete(rooms.claim())
    [event] = session.look()
    assert (event["kind"], event["job"]) == ("queue_empty", None)
    assert event["message"] == "The queue is empty: 2 completed."
    rooms.time.turn(HOUR)
    assert session.look() == []


def test_a_paused_job_keeps_the_queue_from_being_empty(rooms, session):
    [job] = rooms.enqueue("paused")
    rooms.commands.pause(job)
    rooms.enqueue("other")
    rooms.complete(rooms.claim())
    assert session.look() == []
    rooms.commands.cancel(job)
    assert [event["message"] for event in session.look()] == ["The queue is empty: 1 cancelled, 1 completed."]


@pytest.mark.parametrize("reason", [Reason.DISK, Reason.STORE_OFFLINE])
def test_a_job_that_is_parked_for_an_hour_needs_the_person_once(rooms, session, reason):
    [job] = rooms.enqueue("tiny")
    told = []
    for _ in range(30):  # it looks again and again, and is caught now waiting, now looking
        claimed = rooms.claim()
        told += session.look()
        rooms.owner.wait(
            claimed.lease, rooms.time.in_us(MINUTE), reason, FlowhubError("No room."), faults=0, cost=False
        )
        told += session.look()
        rooms.time.turn(3 * MINUTE)
    [event] = told
    assert (event["kind"], event["job"], event["message"]) == ("needs_you", job, "No room.")


def test_a_job_that_made_progress_is_parked_again(rooms, session):
    [job] = rooms.enqueue("tiny")
    told = []
    for done in (0, 500):
        claimed = rooms.claim()
        rooms.set_row(job, bytes_done=done)
        told += session.look()
        rooms.owner.wait(
            claimed.lease, rooms.time.in_us(1), Reason.DISK, FlowhubError("No room."), faults=0, cost=False
        )
        told += session.look()
        rooms.time.turn(0.75 * HOUR)
    assert told == []


@pytest.mark.parametrize(
    ("on", "told"),
    [
        (("failed",), ["failed", "needs_you"]),
        (("needs_you",), ["failed", "needs_you"]),
        (("queue_empty",), ["queue_empty"]),
    ],
)
def test_only_the_chosen_events_are_notified(rooms, tmp_path, office, on, told):
    session = Desk(rooms, tmp_path, office, on)
    session.look()
    fail(rooms, "one")
    fail(rooms, "two", Gated("Its terms are to be accepted."))
    assert kinds(session.look()) == told


def test_without_a_table_nothing_is_read_or_written(rooms, tmp_path, office):
    session = Desk(rooms, tmp_path, office, on=())
    fail(rooms, "tiny")
    assert session.look() == []
    with rooms.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM controls").scalar() == 0


# How often -----------------------------------------------------------------------------------------------------------


def test_there_is_one_notice_a_minute_and_nothing_is_left_out(rooms, session, office):
    rooms.enqueue("waits", priority=-1)
    first = fail(rooms, "m0")
    assert [event["job"] for event in session.look()] == [first]
    later = []
    for number in range(1, 6):
        later.append(fail(rooms, f"m{number}"))
        rooms.time.turn(10)
        assert session.look() == []
        assert not session.notices.settled()  # a worker that drains stays to tell it
    rooms.time.turn(10)
    assert [event["job"] for event in session.look()] == later
    assert len(office.posts) == 2


def test_while_a_job_runs_that_may_add_to_it_a_notice_waits_for_a_minute(rooms, session):
    rooms.enqueue("runs", priority=1)
    rooms.claim()
    job = fail(rooms, "tiny")
    assert session.look() == []
    rooms.time.turn(MINUTE)
    assert [event["job"] for event in session.look()] == [job]


def test_a_calendar_that_was_set_back_suppresses_no_notice(rooms, session):
    rooms.enqueue("waits", priority=-1)
    fail(rooms, "one")
    session.look()
    rooms.time.set_calendar(-24 * HOUR)
    job = fail(rooms, "two")
    assert [event["job"] for event in session.look()] == [job]


def test_very_many_failures_come_in_several_notices(rooms, session, monkeypatch):
    monkeypatch.setattr(notices_due, "AT_ONCE", 10)
    rooms.enqueue("waits", priority=-1)
    failed = [fail(rooms, f"m{number}") for number in range(15)]
    first = session.look()
    rooms.time.turn(MINUTE)
    second = session.look()
    assert [len(first), len(second)] == [10, 5]
    assert [event["job"] for event in first + second] == failed


# Workers that come and go --------------------------------------------------------------------------------------------


def test_the_next_worker_notifies_what_happened_while_none_ran(rooms, session, tmp_path, office):
    fail(rooms, "tiny")
    assert kinds(Desk(rooms, tmp_path, office).look()) == ["failed", "queue_empty"]


def test_of_two_workers_one_tells(rooms, session, tmp_path, office):
    other = Desk(rooms, tmp_path, office)
    fail(rooms, "tiny")
    office.hold.clear()
    session.notices.deliver_pending()
    other.notices.deliver_pending()
    assert not other.notices.delivering
    office.hold.set()
    session.finish()
    other.look()
    assert len(office.posts) == 1


def test_two_workers_that_look_at_once_tell_once(rooms, session, tmp_path, office):
    desks = [Desk(rooms, tmp_path, office) for _ in range(4)]
    fail(rooms, "tiny")
    start = threading.Barrier(len(desks))
    threads = [
        threading.Thread(target=lambda each=each: (start.wait(), each.notices.deliver_pending())) for each in desks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in desks:
        one.finish()
    assert len(office.posts) == 1


def test_another_worker_delivers_the_notice_of_a_killed_one(rooms, session, tmp_path, office, monkeypatch):
    fail(rooms, "tiny")
    monkeypatch.setattr(session.notices, "_deliver", lambda *_: None)  # killed before it told, its turn not given back
    session.notices.deliver_pending()
    session.finish()
    other = Desk(rooms, tmp_path, office)
    assert other.look() == []
    rooms.time.turn(119)
    assert other.look() == []
    rooms.time.turn(1)
    assert kinds(other.look()) == ["failed", "queue_empty"]


def test_a_worker_that_stops_gives_its_turn_back(rooms, tmp_path, office):
    settings = load_settings({"FLOWHUB_HOME": str(tmp_path)})
    waits = Notify(command=(sys.executable, "-c", "import sys, signal; signal.pause()"), webhook=None)
    home = Home(
        replace(settings, notify=waits), rooms.node, Database.of(rooms.engine), Store(tmp_path), rooms.time.clock
    )
    notices = Notifications(home, "w-1")
    notices.deliver_pending()
    fail(rooms, "tiny")
    notices.deliver_pending()
    assert notices.delivering
    notices.close()
    assert not notices.delivering
    assert kinds(Desk(rooms, tmp_path, office).look()) == ["failed", "queue_empty"]


# The command and the webhook -----------------------------------------------------------------------------------------


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_the_command_reads_the_notice_from_its_stdin_and_knows_no_token(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    there = tmp_path / "told"
    code = f"import sys, os; open({str(there)!r}, 'w').write(sys.stdin.read() + str(os.environ.get('HF_TOKEN')))"
    assert Delivery(Notify(command=python(code))).deliver(NOTICE)
    assert there.read_text() == NOTICE.decode() + "None"
    assert caplog.records == []


def test_a_command_that_reads_nothing_or_fails_is_logged_once(caplog):
    assert Delivery(Notify(command=python("raise SystemExit(3)"))).deliver(NOTICE * 100_000)
    assert caplog.messages == ["The command of [notify] could not be notified: its exit status is 3."]


def test_a_missing_command_is_logged(caplog):
    assert Delivery(Notify(command=("/no/such/program",))).deliver(NOTICE)
    assert "cannot be started (No such file or directory)" in caplog.text


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path, caplog):
    there = tmp_path / "pids"
    code = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); "
        f"fd = os.open({str(there)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND); "
        "os.write(fd, b'%d\\n' % os.getpid()); signal.pause()"
    )
    delivery = Delivery(Notify(command=python(code)), command_s=0.5)
    while not there.exists() or len(there.read_text().split()) < 2:
        there.unlink(missing_ok=True)
        assert delivery.deliver(NOTICE)  # on a busy machine it may have been ended before it forked
        delivery = Delivery(Notify(command=python(code)), command_s=delivery._command_s * 2)
    assert "it was ended after" in caplog.text
    patience = time.monotonic() + 60  # a killed process is gone once it has its turn
    while not all(is_gone(int(pid)) for pid in there.read_text().split()):
        assert time.monotonic() < patience
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet has, too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_webhook_that_fails_is_tried_three_times_then_told_of_once(office, caplog):
    office.answers = [500, 503, 500]
    assert Delivery(Notify(webhook=office.url("secret-path")), pauses_s=(0, 0)).deliver(NOTICE)
    assert len(office.posts) == 3
    [message] = caplog.messages
    assert "it answers 500, 3 times" in message
    assert "secret-path" not in caplog.text


def test_a_webhook_that_recovers_is_not_logged(office, caplog):
    office.answers = [500]
    assert Delivery(Notify(webhook=office.url()), pauses_s=(0, 0)).deliver(NOTICE)
    assert len(office.posts) == 2
    assert caplog.records == []


def test_a_webhooks_redirect_is_not_followed(office, caplog):
    office.answers, office.location = [307] * 3, office.url("elsewhere")
    assert Delivery(Notify(webhook=office.url()), pauses_s=(0, 0)).deliver(NOTICE)
    assert set(office.paths) == {"/hook"}
    assert "it answers 307" in caplog.text


def test_a_missing_webhook_does_not_keep_the_command_from_its_notice(tmp_path, office, caplog):
    url = office.url()
    office.close()
    there = tmp_path / "told"
    notify = Notify(command=python(f"open({str(there)!r}, 'w').close()"), webhook=url)
    assert Delivery(notify, pauses_s=(0, 0)).deliver(NOTICE)
    assert there.exists()
    assert "cannot be reached (ConnectError), 3 times" in caplog.text


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flowhub")


def test_the_notice_is_one_json_object(rooms, session, office):
    fail(rooms, "tiny")
    session.look()
    assert json.loads(json.dumps(office.posts[0])) == office.posts[0]
    assert all(
        list(event) == ["kind", "at", "job", "ref", "code", "message", "hint"] for event in office.posts[0]["events"]
    )


def test_a_worker_with_nothing_to_tell_is_not_kept(rooms, session):
    [job] = rooms.enqueue("tiny")
    session.look()
    assert rooms.state(job) is State.QUEUED
    assert session.notices.settled()


def test_a_worker_that_drains_stays_until_the_last_notice_is_delivered(rooms, session, office):
    fail(rooms, "tiny")
    assert not session.notices.settled()
    session.finish()
    assert session.notices.settled()
    assert kinds(office.posts[0]["events"]) == ["failed", "queue_empty"]


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)  # whose plan it reads
def test_a_look_costs_the_same_however_many_jobs_there_were(rooms, session):
    """The planner begins with the events, which are few, and not with all jobs."""
    seen: list[tuple[str, object]] = []
    sa.event.listen(
        rooms.engine, "before_cursor_execute", lambda c, cursor, text, given, *_: seen.append((text, given))
    )
    fail(rooms, "tiny")
    seen.clear()
    session.look()
    asked = [(text, given) for text, given in seen if "FROM events" in text and text.startswith("SELECT")]
    with rooms.engine.connect() as connection:
        plans = [
            [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", given)]
            for text, given in asked
        ]
    assert len(plans) >= 3
    assert not [step for plan in plans for step in plan if step.startswith("SCAN events")]
    assert not [step for plan in plans for step in plan if "events USING INDEX ix_events_job" in step]


def test_a_wait_that_hardly_passes_without_the_user_is_notified_at_once(rooms, session):
    """A captive portal shows its own certificate to every job: the host is tried again, and the user can sign in."""
    [job] = rooms.enqueue("tiny")
    lease = rooms.claim().lease
    rooms.owner.record_event(lease, Note(EventKind.NEEDS_YOU, "h.example shows a certificate that is not trusted."))
    rooms.owner.wait(lease, rooms.time.in_us(MINUTE), Reason.HOST_WAIT, FlowhubError("It waits."), faults=1, cost=False)
    [event] = session.look()
    assert (event["kind"], event["job"]) == ("needs_you", job)
    assert event["message"] == "h.example shows a certificate that is not trusted."
    assert f"`flowhub status {job}`" in event["hint"]


def test_a_model_that_could_not_be_placed_is_notified(rooms, session):
    [job] = rooms.enqueue("tiny")
    note = Note(EventKind.PLACEMENT_FAILED, "Not placed in hf-cache: a.gguf is there already.", "name_taken")
    lease = rooms.claim().lease
    rooms.owner.record_event(lease, note)
    rooms.owner.hand_back(lease)
    [event] = session.look()
    assert (event["kind"], event["job"], event["code"]) == ("needs_you", job, "name_taken")
    assert "flowhub place" in event["hint"]


# Subscriptions -------------------------------------------------------------------------------------------------------


def followed(rooms: JobStore, ref: str = "hf:o/r:Q4_K_M") -> Subscription:
    rows = SubscriptionRows(rooms.engine, rooms.node, rooms.time.clock)
    rows.add(SubscriptionKind.REFERENCE, ref, Terms(), rooms.time.in_us(HOUR))
    return subscription(rooms, ref)


def subscription(rooms: JobStore, ref: str = "hf:o/r:Q4_K_M") -> Subscription:
    return next(one for one in SubscriptionQueries(rooms.database, rooms.node).all() if one.ref == ref)


def checked(rooms: JobStore, error: FlowhubError | None = None, job: int | None = None) -> None:
    """Write the outcome of a check: an error, or a newer version with its job."""
    rows, before = SubscriptionRows(rooms.engine, rooms.node, rooms.time.clock), subscription(rooms)
    made = [NewJob(job, "It has a newer version.")] if job else []
    with writing(rooms.engine) as tx:
        rows.record(tx, before, {}, CheckOutcome(error=error), made, rooms.time.in_us(HOUR))


def test_a_newer_version_that_a_subscription_queued_is_announced_once(rooms, session):
    followed(rooms)
    [job] = rooms.enqueue("tiny")
    checked(rooms, job=job)
    [event] = session.look()
    assert (event["kind"], event["job"], event["ref"]) == ("update", job, "tiny@q4")
    rooms.time.turn(HOUR)
    assert session.look() == []


def test_a_subscription_that_needs_the_user_is_announced_once_and_again_for_another_reason(rooms, session):
    followed(rooms)
    checked(rooms, ServerBusy("It is busy."))
    assert session.look() == []
    checked(rooms, Gated("It is gated."))
    [event] = session.look()
    assert (event["kind"], event["code"], event["ref"]) == ("needs_you", "gated", "hf:o/r:Q4_K_M")
    assert event["job"] is None
    for _ in range(3):
        rooms.time.turn(24 * HOUR)
        checked(rooms, Gated("It is gated."))
        assert session.look() == []
    checked(rooms, SourceMissing("It is gone."))
    assert kinds(session.look()) == ["needs_you"]
    checked(rooms)
    rooms.time.turn(HOUR)
    assert session.look() == []
    checked(rooms, SourceMissing("It is gone."))
    assert kinds(session.look()) == ["needs_you"]
