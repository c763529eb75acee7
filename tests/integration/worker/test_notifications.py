"""Tests of a worker's notifications: each event is delivered once, in batches, by a real command or webhook.

That holds when the worker stops, is killed, or runs next to others.
"""

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
from flowhub_jobs.values.jobs import NewEvent
from flowhub_jobs.values.notify_settings import NOTICES, Notify
from flowhub_jobs.worker.notifications import Notifications
from flowhub_jobs.worker.notify_delivery import Delivery

MINUTE, HOUR = 60.0, 3600.0
GONE = SourceMissing("It is gone.")
NOTICE = b'{"schema": "flowhub/notice/1"}'


@pytest.fixture
def webhook() -> Iterator[WebhookServer]:
    with webhook_server() as webhook:
        yield webhook


class Notifier:
    """The notifications of one worker, and the events that its webhook received."""

    def __init__(
        self, job_store: JobStore, folder: Path, webhook: WebhookServer, on: tuple[str, ...] = NOTICES
    ) -> None:
        settings = replace(load_settings({"FLOWHUB_HOME": str(folder)}), notify=Notify(webhook=webhook.url(), on=on))
        home = Home(
            settings, job_store.node, Database.of(job_store.engine), Store(folder / "store"), job_store.time.clock
        )
        self.notifications, self._webhook = Notifications(home, "w-1"), webhook

    def deliver(self) -> list[dict[str, Any]]:
        """Deliver what is pending, wait for the delivery, and return the events that the webhook received."""
        before = len(self._webhook.posts)
        self.notifications.deliver_pending()
        self.wait_until_delivered()
        return [event for post in self._webhook.posts[before:] for event in post["events"]]

    def wait_until_delivered(self) -> None:
        pause = threading.Event()
        while self.notifications.delivering:
            pause.wait(0.01)


@pytest.fixture
def notifier(job_store, tmp_path, webhook) -> Notifier:
    notifier = Notifier(job_store, tmp_path, webhook)
    assert notifier.deliver() == []  # the first call stores where to begin: earlier events are not delivered
    return notifier


def fail(job_store: JobStore, model: str, error: Exception = GONE) -> int:
    [job] = job_store.enqueue(model)
    job_store.owner.fail(job_store.claim().lease, error)
    return job


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in events]


# Events --------------------------------------------------------------------------------------------------------------


def test_the_notice_of_a_failed_job_has_the_cause_and_the_remedy(job_store, notifier, webhook):
    job_store.enqueue("waits", priority=-1)
    job = fail(job_store, "tiny")
    [event] = notifier.deliver()
    assert event["kind"] == "failed"
    assert (event["job"], event["ref"], event["code"]) == (job, "tiny@q4", "source_missing")
    assert event["message"] == "It is gone."
    assert event["hint"] == "`flowhub show tiny` lists its other variants."
    [post] = webhook.posts
    assert list(post) == ["schema", "at", "node", "events"]
    assert (post["schema"], post["node"]) == ("flowhub/notice/1", job_store.node)
    assert webhook.headers[0]["content-type"] == "application/json"


def test_each_event_is_notified_once(job_store, notifier):
    fail(job_store, "tiny")
    assert kinds(notifier.deliver()) == ["failed", "queue_empty"]
    job_store.time.advance(HOUR)
    assert notifier.deliver() == []
    assert not notifier.notifications.busy


def test_a_licence_needs_the_user(job_store, notifier):
    job_store.enqueue("waits", priority=-1)
    job = fail(job_store, "tiny", Gated("Its terms are to be accepted."))
    [event] = notifier.deliver()
    assert (event["kind"], event["code"]) == ("needs_you", "gated")
    assert event["job"] == job
    assert "`flowhub enqueue tiny@q4`" in event["hint"]


def test_a_job_that_was_given_up_after_its_rescues_is_notified(job_store, notifier):
    job_store.enqueue("tiny")
    for _ in range(RESCUES_MAX):
        job_store.claim()
        job_store.rescue("w-1")
    lost, empty = notifier.deliver()
    assert (lost["kind"], lost["code"]) == ("failed", "worker_lost")
    assert empty["message"] == "The queue is empty: 1 failed."


def test_a_failure_that_was_retried_at_once_is_notified(job_store, notifier):
    job = fail(job_store, "tiny")
    job_store.commands.retry(job)
    [event] = notifier.deliver()
    assert (event["kind"], event["message"], event["hint"]) == ("failed", "It is gone.", None)


def test_the_empty_queue_is_notified_once_after_the_last_job_ended(job_store, notifier):
    job_store.enqueue("one", "two")
    job_store.complete(job_store.claim())
    assert notifier.deliver() == []
    job_store.complete(job_store.claim())
    [event] = notifier.deliver()
    assert (event["kind"], event["job"]) == ("queue_empty", None)
    assert event["message"] == "The queue is empty: 2 completed."
    job_store.time.advance(HOUR)
    assert notifier.deliver() == []


def test_a_paused_job_keeps_the_queue_from_being_empty(job_store, notifier):
    [job] = job_store.enqueue("paused")
    job_store.commands.pause(job)
    job_store.enqueue("other")
    job_store.complete(job_store.claim())
    assert notifier.deliver() == []
    job_store.commands.cancel(job)
    assert [event["message"] for event in notifier.deliver()] == ["The queue is empty: 1 cancelled, 1 completed."]


@pytest.mark.parametrize("reason", [Reason.DISK, Reason.STORE_OFFLINE])
def test_a_job_that_is_parked_for_an_hour_needs_the_user_once(job_store, notifier, reason):
    [job] = job_store.enqueue("tiny")
    events = []
    for _ in range(30):  # the worker reads events both while the job runs and while it waits
        claimed = job_store.claim()
        events += notifier.deliver()
        job_store.owner.requeue_after(
            claimed.lease,
            job_store.time.us_from_now(MINUTE),
            reason,
            FlowhubError("No room."),
            faults=0,
            counts_as_attempt=False,
        )
        events += notifier.deliver()
        job_store.time.advance(3 * MINUTE)
    [event] = events
    assert (event["kind"], event["job"], event["message"]) == ("needs_you", job, "No room.")


def test_a_job_that_made_progress_is_parked_again(job_store, notifier):
    [job] = job_store.enqueue("tiny")
    events = []
    for done in (0, 500):
        claimed = job_store.claim()
        job_store.set_row(job, bytes_done=done)
        events += notifier.deliver()
        job_store.owner.requeue_after(
            claimed.lease,
            job_store.time.us_from_now(1),
            Reason.DISK,
            FlowhubError("No room."),
            faults=0,
            counts_as_attempt=False,
        )
        events += notifier.deliver()
        job_store.time.advance(0.75 * HOUR)
    assert events == []


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        (("failed",), ["failed", "needs_you"]),
        (("needs_you",), ["failed", "needs_you"]),
        (("queue_empty",), ["queue_empty"]),
    ],
)
def test_only_the_chosen_events_are_notified(job_store, tmp_path, webhook, on, expected):
    notifier = Notifier(job_store, tmp_path, webhook, on)
    notifier.deliver()
    fail(job_store, "one")
    fail(job_store, "two", Gated("Its terms are to be accepted."))
    assert kinds(notifier.deliver()) == expected


def test_without_a_notify_table_nothing_is_read_or_written(job_store, tmp_path, webhook):
    notifier = Notifier(job_store, tmp_path, webhook, on=())
    fail(job_store, "tiny")
    assert notifier.deliver() == []
    with job_store.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM controls").scalar() == 0


# Batches -------------------------------------------------------------------------------------------------------------


def test_there_is_one_notice_a_minute_and_nothing_is_left_out(job_store, notifier, webhook):
    job_store.enqueue("waits", priority=-1)
    first = fail(job_store, "m0")
    assert [event["job"] for event in notifier.deliver()] == [first]
    later = []
    for number in range(1, 6):
        later.append(fail(job_store, f"m{number}"))
        job_store.time.advance(10)
        assert notifier.deliver() == []
        assert not notifier.notifications.is_idle()  # a worker that drains waits for the delivery
    job_store.time.advance(10)
    assert [event["job"] for event in notifier.deliver()] == later
    assert len(webhook.posts) == 2


def test_a_notice_waits_for_a_minute_while_a_job_runs_that_may_add_to_it(job_store, notifier):
    job_store.enqueue("runs", priority=1)
    job_store.claim()
    job = fail(job_store, "tiny")
    assert notifier.deliver() == []
    job_store.time.advance(MINUTE)
    assert [event["job"] for event in notifier.deliver()] == [job]


def test_a_calendar_that_was_set_back_suppresses_no_notice(job_store, notifier):
    job_store.enqueue("waits", priority=-1)
    fail(job_store, "one")
    notifier.deliver()
    job_store.time.shift_calendar(-24 * HOUR)
    job = fail(job_store, "two")
    assert [event["job"] for event in notifier.deliver()] == [job]


def test_very_many_failures_are_delivered_in_several_notices(job_store, notifier, monkeypatch):
    monkeypatch.setattr(notices_due, "BATCH", 10)
    job_store.enqueue("waits", priority=-1)
    failed = [fail(job_store, f"m{number}") for number in range(15)]
    first = notifier.deliver()
    job_store.time.advance(MINUTE)
    second = notifier.deliver()
    assert [len(first), len(second)] == [10, 5]
    assert [event["job"] for event in first + second] == failed


# Several workers -----------------------------------------------------------------------------------------------------


def test_the_next_worker_notifies_what_happened_while_none_ran(job_store, notifier, tmp_path, webhook):
    fail(job_store, "tiny")
    assert kinds(Notifier(job_store, tmp_path, webhook).deliver()) == ["failed", "queue_empty"]


def test_of_two_workers_only_one_delivers(job_store, notifier, tmp_path, webhook):
    other = Notifier(job_store, tmp_path, webhook)
    fail(job_store, "tiny")
    webhook.hold.clear()
    notifier.notifications.deliver_pending()
    other.notifications.deliver_pending()
    assert not other.notifications.delivering
    webhook.hold.set()
    notifier.wait_until_delivered()
    other.deliver()
    assert len(webhook.posts) == 1


def test_workers_that_deliver_at_the_same_time_deliver_each_event_once(job_store, notifier, tmp_path, webhook):
    notifiers = [Notifier(job_store, tmp_path, webhook) for _ in range(4)]
    fail(job_store, "tiny")
    start = threading.Barrier(len(notifiers))
    threads = [
        threading.Thread(target=lambda each=each: (start.wait(), each.notifications.deliver_pending()))
        for each in notifiers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in notifiers:
        each.wait_until_delivered()
    assert len(webhook.posts) == 1


def test_another_worker_delivers_the_notice_of_a_killed_one(job_store, notifier, tmp_path, webhook, monkeypatch):
    fail(job_store, "tiny")
    # The first worker is killed before the delivery: it keeps its turn.
    monkeypatch.setattr(notifier.notifications, "_deliver", lambda *_: None)
    notifier.notifications.deliver_pending()
    notifier.wait_until_delivered()
    other = Notifier(job_store, tmp_path, webhook)
    assert other.deliver() == []
    job_store.time.advance(119)
    assert other.deliver() == []
    job_store.time.advance(1)
    assert kinds(other.deliver()) == ["failed", "queue_empty"]


def test_a_worker_that_stops_gives_its_turn_back(job_store, tmp_path, webhook):
    settings = load_settings({"FLOWHUB_HOME": str(tmp_path)})
    waiting_command = Notify(command=(sys.executable, "-c", "import sys, signal; signal.pause()"), webhook=None)
    home = Home(
        replace(settings, notify=waiting_command),
        job_store.node,
        Database.of(job_store.engine),
        Store(tmp_path),
        job_store.time.clock,
    )
    notifications = Notifications(home, "w-1")
    notifications.deliver_pending()
    fail(job_store, "tiny")
    notifications.deliver_pending()
    assert notifications.delivering
    notifications.close()
    assert not notifications.delivering
    assert kinds(Notifier(job_store, tmp_path, webhook).deliver()) == ["failed", "queue_empty"]


# The command and the webhook -----------------------------------------------------------------------------------------


def python(code: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code)


def test_the_command_reads_the_notice_from_its_stdin_and_gets_no_token(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HF_TOKEN", "hf_s3cret")
    output = tmp_path / "output"
    code = f"import sys, os; open({str(output)!r}, 'w').write(sys.stdin.read() + str(os.environ.get('HF_TOKEN')))"
    assert Delivery(Notify(command=python(code))).deliver(NOTICE)
    assert output.read_text() == NOTICE.decode() + "None"
    assert caplog.records == []


def test_a_command_that_reads_nothing_or_fails_is_logged_once(caplog):
    assert Delivery(Notify(command=python("raise SystemExit(3)"))).deliver(NOTICE * 100_000)
    assert caplog.messages == ["The command of [notify] could not be notified: its exit status is 3."]


def test_a_missing_command_is_logged(caplog):
    assert Delivery(Notify(command=("/no/such/program",))).deliver(NOTICE)
    assert "cannot be started (No such file or directory)" in caplog.text


def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path, caplog):
    pids = tmp_path / "pids"
    code = (
        "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork(); "
        f"fd = os.open({str(pids)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND); "
        "os.write(fd, b'%d\\n' % os.getpid()); signal.pause()"
    )
    delivery = Delivery(Notify(command=python(code)), command_s=0.5)
    while not pids.exists() or len(pids.read_text().split()) < 2:
        pids.unlink(missing_ok=True)
        assert delivery.deliver(NOTICE)  # on a busy machine it may have been ended before it forked
        delivery = Delivery(Notify(command=python(code)), command_s=delivery._command_s * 2)
    assert "it was ended after" in caplog.text
    deadline = time.monotonic() + 60  # the kernel ends a killed process when it is scheduled next
    while not all(has_ended(int(pid)) for pid in pids.read_text().split()):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_ended(pid: int) -> bool:
    """Return whether a process has ended; a zombie has, too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_webhook_that_fails_is_tried_three_times_then_logged_once(webhook, caplog):
    webhook.answers = [500, 503, 500]
    assert Delivery(Notify(webhook=webhook.url("secret-path")), pauses_s=(0, 0)).deliver(NOTICE)
    assert len(webhook.posts) == 3
    [message] = caplog.messages
    assert "it answers 500, 3 times" in message
    assert "secret-path" not in caplog.text


def test_a_webhook_that_recovers_is_not_logged(webhook, caplog):
    webhook.answers = [500]
    assert Delivery(Notify(webhook=webhook.url()), pauses_s=(0, 0)).deliver(NOTICE)
    assert len(webhook.posts) == 2
    assert caplog.records == []


def test_a_webhooks_redirect_is_not_followed(webhook, caplog):
    webhook.answers, webhook.location = [307] * 3, webhook.url("elsewhere")
    assert Delivery(Notify(webhook=webhook.url()), pauses_s=(0, 0)).deliver(NOTICE)
    assert set(webhook.paths) == {"/hook"}
    assert "it answers 307" in caplog.text


def test_a_missing_webhook_does_not_keep_the_command_from_its_notice(tmp_path, webhook, caplog):
    url = webhook.url()
    webhook.close()
    created = tmp_path / "created"
    notify = Notify(command=python(f"open({str(created)!r}, 'w').close()"), webhook=url)
    assert Delivery(notify, pauses_s=(0, 0)).deliver(NOTICE)
    assert created.exists()
    assert "cannot be reached (ConnectError), 3 times" in caplog.text


@pytest.fixture(autouse=True)
def _capture_warnings(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "flowhub")


def test_the_notice_is_one_json_object(job_store, notifier, webhook):
    fail(job_store, "tiny")
    notifier.deliver()
    assert json.loads(json.dumps(webhook.posts[0])) == webhook.posts[0]
    assert all(
        list(event) == ["kind", "at", "job", "ref", "code", "message", "hint"] for event in webhook.posts[0]["events"]
    )


def test_a_worker_without_pending_notices_does_not_wait(job_store, notifier):
    [job] = job_store.enqueue("tiny")
    notifier.deliver()
    assert job_store.state(job) is State.QUEUED
    assert notifier.notifications.is_idle()


def test_a_worker_that_drains_stays_until_the_last_notice_is_delivered(job_store, notifier, webhook):
    fail(job_store, "tiny")
    assert not notifier.notifications.is_idle()
    notifier.wait_until_delivered()
    assert notifier.notifications.is_idle()
    assert kinds(webhook.posts[0]["events"]) == ["failed", "queue_empty"]


@pytest.mark.parametrize("any_database", ["sqlite"], indirect=True)  # the test reads SQLite's query plan
def test_a_query_for_new_events_costs_the_same_however_many_jobs_there_were(job_store, notifier):
    """The planner begins with the few new events, not with all jobs."""
    statements: list[tuple[str, object]] = []
    sa.event.listen(
        job_store.engine,
        "before_cursor_execute",
        lambda connection, cursor, text, parameters, *_: statements.append((text, parameters)),
    )
    fail(job_store, "tiny")
    statements.clear()
    notifier.deliver()
    queries = [entry for entry in statements if "FROM events" in entry[0] and entry[0].startswith("SELECT")]
    with job_store.engine.connect() as connection:
        plans = [
            [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)]
            for text, parameters in queries
        ]
    assert len(plans) >= 3
    assert not [step for plan in plans for step in plan if step.startswith("SCAN events")]
    assert not [step for plan in plans for step in plan if "events USING INDEX ix_events_job" in step]


def test_a_wait_that_usually_needs_the_user_is_notified_at_once(job_store, notifier):
    """A captive portal shows its own certificate to every job: jobs retry the host, and the user can sign in."""
    [job] = job_store.enqueue("tiny")
    lease = job_store.claim().lease
    job_store.owner.record_event(
        lease, NewEvent(EventKind.NEEDS_YOU, "h.example shows a certificate that is not trusted.")
    )
    job_store.owner.requeue_after(
        lease,
        job_store.time.us_from_now(MINUTE),
        Reason.HOST_WAIT,
        FlowhubError("It waits."),
        faults=1,
        counts_as_attempt=False,
    )
    [event] = notifier.deliver()
    assert (event["kind"], event["job"]) == ("needs_you", job)
    assert event["message"] == "h.example shows a certificate that is not trusted."
    assert f"`flowhub status {job}`" in event["hint"]


def test_a_model_that_could_not_be_placed_is_notified(job_store, notifier):
    [job] = job_store.enqueue("tiny")
    note = NewEvent(EventKind.PLACEMENT_FAILED, "Not placed in hf-cache: a.gguf is there already.", "name_taken")
    lease = job_store.claim().lease
    job_store.owner.record_event(lease, note)
    job_store.owner.hand_back(lease)
    [event] = notifier.deliver()
    assert (event["kind"], event["job"], event["code"]) == ("needs_you", job, "name_taken")
    assert "flowhub place" in event["hint"]


# Subscriptions -------------------------------------------------------------------------------------------------------


def follow(job_store: JobStore, ref: str = "hf:o/r:Q4_K_M") -> Subscription:
    rows = SubscriptionRows(job_store.engine, job_store.node, job_store.time.clock)
    rows.add(SubscriptionKind.REFERENCE, ref, Terms(), job_store.time.us_from_now(HOUR))
    return subscription(job_store, ref)


def subscription(job_store: JobStore, ref: str = "hf:o/r:Q4_K_M") -> Subscription:
    subscriptions = SubscriptionQueries(job_store.database, job_store.node).all()
    return next(each for each in subscriptions if each.ref == ref)


def record_check(job_store: JobStore, error: FlowhubError | None = None, job: int | None = None) -> None:
    """Write the outcome of a check: an error, or a newer version with its job."""
    rows, before = SubscriptionRows(job_store.engine, job_store.node, job_store.time.clock), subscription(job_store)
    new_jobs = [NewJob(job, "It has a newer version.")] if job else []
    with writing(job_store.engine) as tx:
        rows.record(tx, before, {}, CheckOutcome(error=error), new_jobs, job_store.time.us_from_now(HOUR))


def test_a_newer_version_that_a_subscription_queued_is_announced_once(job_store, notifier):
    follow(job_store)
    [job] = job_store.enqueue("tiny")
    record_check(job_store, job=job)
    [event] = notifier.deliver()
    assert (event["kind"], event["job"], event["ref"]) == ("update", job, "tiny@q4")
    job_store.time.advance(HOUR)
    assert notifier.deliver() == []


def test_a_subscription_that_needs_the_user_is_announced_once_and_again_for_another_reason(job_store, notifier):
    follow(job_store)
    record_check(job_store, ServerBusy("It is busy."))
    assert notifier.deliver() == []
    record_check(job_store, Gated("It is gated."))
    [event] = notifier.deliver()
    assert (event["kind"], event["code"], event["ref"]) == ("needs_you", "gated", "hf:o/r:Q4_K_M")
    assert event["job"] is None
    for _ in range(3):
        job_store.time.advance(24 * HOUR)
        record_check(job_store, Gated("It is gated."))
        assert notifier.deliver() == []
    record_check(job_store, SourceMissing("It is gone."))
    assert kinds(notifier.deliver()) == ["needs_you"]
    record_check(job_store)
    job_store.time.advance(HOUR)
    assert notifier.deliver() == []
    record_check(job_store, SourceMissing("It is gone."))
    assert kinds(notifier.deliver()) == ["needs_you"]
