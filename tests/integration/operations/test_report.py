"""The `report` and `logs` commands over a real database."""

import re
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa
from support.app import app_of
from support.cli import cli_app, fail_next_job, lease_store_of, run_due_jobs
from support.faults import FlipByte, Multipart, NoContentRange, Reset, ShiftedRange, Status
from support.models import gguf, one_file_model

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import workers
from flowhub_jobs.errors import ConnectionLost, DiskFull, Gated, SourceMissing
from flowhub_jobs.jobs.attempts_and_events import SEEN_EVERY_US, History
from flowhub_jobs.jobs.run_values import Progress
from flowhub_jobs.operations.report import read_report
from flowhub_jobs.values.enums import DigestState, EventKind, Reason, Stage, State
from flowhub_jobs.values.jobs import NewEvent

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
A = gguf(300_000, 1)


@pytest.fixture
def app(home, monkeypatch, origin):
    models = [one_file_model(f"m{number}", origin.serve(f"m{number}.gguf", A), A) for number in range(4)]
    models.append(one_file_model("bare", origin.serve("bare.gguf", A), A, pin=False))
    with cli_app(home, monkeypatch, *models) as app:
        yield app


# The report ----------------------------------------------------------------------------------------------------------


def test_the_report_as_json_has_every_section_and_key(cli, app):
    completed, failed, queued = app.enqueue("m0", priority=2), app.enqueue("m1", priority=1), app.enqueue("m2")
    app.run_next_job()
    fail_next_job(app, failed, Gated("Its terms are to be accepted."))
    page = cli("report", "--json").json
    assert list(page) == ["schema", "node", "since", "until", "came", "healed", "going", "needs_you", "totals"]
    assert (page["schema"], page["node"]) == ("flowhub/report/1", app.home.node)
    [model] = page["came"]
    assert (model["job"], model["ref"], model["bytes"], model["bytes_fetched"]) == (completed, "m0@q4", len(A), len(A))
    assert model["sha256_state"] == "verified"
    assert model["finished_at"] > page["since"]
    assert model["rate_bps"] > 0
    [live] = page["going"]
    assert (live["job"], live["state"], live["bytes_done"]) == (queued, "queued", 0)
    gated, worker = page["needs_you"]
    assert (gated["job"], gated["code"]) == (failed, "gated")
    assert "`flowhub enqueue m1@q4`" in gated["hint"]
    assert (worker["job"], worker["code"]) == (None, "no_worker")
    totals = page["totals"]
    assert (totals["bytes"], totals["bytes_fetched"], totals["bytes_fetched_twice"]) == (len(A), len(A), 0)
    assert totals["work_s"] > 0


def test_the_report_as_a_screen(cli, app):
    app.enqueue("bare")
    app.run_next_job()
    result = cli("report")
    assert (result.status, result.err) == (0, "")
    assert ": 1 completed." in result.out.splitlines()[0]
    assert "bare@q4" in result.out
    assert "unpinned" in result.out
    assert "nothing was downloaded twice" in result.out


def test_the_report_of_a_time_without_events_exits_with_0(cli, app):
    assert cli("report").out.endswith(": nothing happened.\n")
    page = cli("report", "--json").json
    assert (page["came"], page["totals"]["rate_bps"]) == ([], None)


def test_the_report_has_the_jobs_that_ended_since_then_and_all_live_ones(cli, app):
    app.enqueue("m0")
    app.run_next_job()
    queued = app.enqueue("m1")
    page = cli("report", "--since", datetime.now(UTC).isoformat(), "--json").json
    assert (page["came"], [job["job"] for job in page["going"]]) == ([], [queued])


def test_after_a_cancel_no_job_is_live_and_none_needs_the_user(cli, app):
    app.enqueue("m0")
    run_due_jobs(app)
    app.home.commands.cancel(app.enqueue("m1"))
    page = cli("report", "--json").json
    assert len(page["came"]) == 1
    assert (page["going"], page["needs_you"]) == ([], [])


def test_a_since_that_cannot_be_parsed_exits_with_2(cli, app):
    assert cli("report", "--since", "yesteryear", "--json").status == 2


RECOVERIES = {
    "wrong range: moved": (ShiftedRange(), "wrong_range"),
    "wrong range: unnamed": (NoContentRange(), "wrong_range"),
    "wrong range: several parts": (Multipart(), "wrong_range"),
    "busy host": (Status(503), "host_busy"),
    "faulty host": (Status(500), "host_busy"),
    "connection": (Reset(after=1000), "retry"),
    "file": (FlipByte(at=200_000), "file_again"),
}


@pytest.mark.parametrize(("fault", "kind"), RECOVERIES.values(), ids=RECOVERIES)
def test_a_recovery_is_counted_by_the_code_of_its_error(home, monkeypatch, origin, fault, kind):
    monkeypatch.setenv("FLOWHUB_BACKOFF_BASE_S", "0.01")
    entry = one_file_model("m", origin.serve("m.gguf", A, faults=[fault.once()]), A)
    with app_of(home, entry) as app:
        job = app.enqueue("m")
        app.run_next_job()
        report = read_report(app.home, LONG_AGO)
    assert [(recovery.kind, recovery.count, recovery.jobs) for recovery in report.recoveries] == [(kind, 1, (job,))]


def test_a_rescue_is_reported_and_a_wait_for_room_needs_the_user(cli, app):
    first, second = app.enqueue("m0"), app.enqueue("m1")
    leases = lease_store_of(app)
    leases.claim()
    leases.register(1, 1)
    lock = app.home.settings.locks / "w-by-hand.lock"
    lock.write_text("")  # not locked: its worker is gone
    assert app.home.take_back_orphans() == [first]
    app.home.commands.set_priority(second, 5)
    soon = app.home.clock.now_us() + 60_000_000
    leases.requeue_after(
        leases.claim().lease, soon, Reason.DISK, DiskFull("No room on the disk."), faults=0, counts_as_attempt=False
    )
    page = cli("report", "--json").json
    assert page["healed"] == [{"kind": "rescue", "count": 1, "jobs": [first]}]
    assert [(need["job"], need["code"]) for need in page["needs_you"]] == [(second, "disk_full"), (None, "no_worker")]
    assert "`flowhub rm`" in page["needs_you"][0]["hint"]


# History -------------------------------------------------------------------------------------------------------------


def test_the_work_of_a_worker_that_died_ends_when_it_was_last_seen(job_store):
    """A machine that lost power is missed only when it runs again, which may be hours later."""
    [job] = job_store.enqueue("tiny")
    job_store.owner.register(1, 3)
    job_store.claim()
    job_store.time.advance(10)
    job_store.owner.renew({})
    with writing(job_store.engine) as tx:  # by PostgreSQL's clock, which the test cannot advance
        tx.execute(sa.update(workers).values(seen_at=job_store.time.calendar_us))
    job_store.time.advance(7 * 3600)
    job_store.rescue("w-1")
    [attempt] = History(job_store.database).attempts([job], job_store.time.calendar_us)[job]
    worked_s = (attempt.worked_until - attempt.started_at).total_seconds()
    assert worked_s == 10 + SEEN_EVERY_US / 1e6
    assert (attempt.finished_at - attempt.started_at).total_seconds() == 7 * 3600 + 10


def test_an_attempt_that_runs_has_worked_until_now(job_store):
    [job] = job_store.enqueue("tiny")
    job_store.claim()
    job_store.time.advance(30)
    [attempt] = History(job_store.database).attempts([job], job_store.time.calendar_us)[job]
    assert (attempt.worked_until - attempt.started_at).total_seconds() == 30
    assert (attempt.finished_at, attempt.outcome) == (None, None)


# Logs ----------------------------------------------------------------------------------------------------------------


def job_with_history(app) -> int:
    """Bring a job through a wait, a failure and a retry."""
    job, leases = app.enqueue("m0"), lease_store_of(app)
    lease = leases.claim().lease
    leases.progress(lease, Progress(Stage.DOWNLOAD, 1000, 10, 10, None, DigestState.RUNNING, ()))
    leases.record_event(lease, NewEvent(EventKind.FAULT, "The line\nfell."))
    leases.requeue_after(lease, 1, Reason.BACKOFF, ConnectionLost("The line fell."), faults=1, counts_as_attempt=True)
    leases.fail(leases.claim().lease, SourceMissing("It is gone."))
    app.home.commands.retry(job)
    return job


def test_logs_have_each_event_and_attempt_on_a_line_oldest_first(cli, app):
    job = job_with_history(app)
    result = cli("logs", job)
    assert result.err == ""
    lines = result.out.splitlines()
    times, texts = [line[:19] for line in lines], [re.sub(r"after \d+ s,", "after N s,", line[21:]) for line in lines]
    assert times == sorted(times)
    for time in times:
        datetime.strptime(time, "%Y-%m-%d %H:%M:%S").astimezone()
    assert texts == [
        "queued       Queued.",
        "attempt 1    waits after N s, worker w-by-hand",
        "fault        The line fell.",
        "waits        The line fell.",
        "attempt 2    failed after N s, worker w-by-hand",
        "failed       It is gone.",
        "retried      Queued again by `retry`.",
    ]


def test_logs_as_json_hold_events_and_attempts(cli, app):
    job = job_with_history(app)
    page = cli("logs", job, "--json").json
    assert page["schema"] == "flowhub/logs/1"
    [logs] = page["jobs"]
    assert (logs["id"], logs["ref"], logs["state"]) == (job, "m0@q4", "queued")
    kinds = ["queued", "claimed", "fault", "waits", "claimed", "failed", "retried"]
    assert [event["kind"] for event in logs["events"]] == kinds
    assert [list(event) for event in logs["events"]] == [["at", "kind", "text", "code"]] * len(kinds)
    first, second = logs["attempts"]
    assert list(first) == ["attempt", "worker", "started_at", "finished_at", "outcome"]
    assert (first["outcome"], second["outcome"], second["attempt"]) == ("waits", "failed", 2)


def test_logs_of_several_jobs_come_one_after_the_other(cli, app):
    for number in range(3):
        app.enqueue(f"m{number}")
    heads = [line for line in cli("logs", "3", "1-2").out.splitlines() if line.startswith("Job ")]
    assert heads == ["Job 3: m2@q4", "Job 1: m0@q4", "Job 2: m1@q4"]


def test_logs_of_an_attempt_that_runs_say_so(cli, app):
    job = app.enqueue("m0")
    lease_store_of(app).claim()
    assert re.search(r"attempt 1    at work for \d+ s, worker w-by-hand\n$", cli("logs", job).out)


@pytest.mark.parametrize(("arguments", "status"), [(["9"], 3), (["1-9"], 3), (["x"], 2), ([], 2)])
def test_logs_of_a_job_that_does_not_exist_are_an_error(cli, app, arguments, status):
    app.enqueue("m0")
    assert cli("logs", *arguments).status == status
    assert cli("logs", *arguments, "--json").error["hint"]


def test_logs_of_a_job_whose_events_were_dropped_say_why_there_are_none(cli, app):
    job = app.enqueue("m0")
    app.home.commands.cancel(job)
    with app.home.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM events")
    assert "keep_events_days" in cli("logs", job).out


def test_a_wait_for_a_full_disk_stays_in_the_history_of_a_completed_job(job_store):
    [job] = job_store.enqueue("tiny")
    full = DiskFull("The disk that holds /store has 1 GB free.")
    job_store.owner.requeue_after(
        job_store.claim().lease, job_store.time.us_from_now(1), Reason.DISK, full, faults=0, counts_as_attempt=False
    )
    job_store.time.advance(2)
    job_store.complete(job_store.claim())
    assert job_store.state(job) is State.COMPLETED
    events = History(job_store.database).events_since(0, ["waits"])
    assert [event.text for event in events[job]] == [full.message]
