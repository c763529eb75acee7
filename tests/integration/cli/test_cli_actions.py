"""The `cancel`, `pause`, `resume`, `retry` and `start` commands: one job, ranges, all jobs, a group; refused jobs."""

import json

import pytest
from support.cli import cli_app, fail_next_job, lease_store_of
from support.models import gguf, one_file_model

from flowhub_jobs.errors import SourceMissing
from flowhub_jobs.fs.locks import LockFile
from flowhub_jobs.jobs.run_values import Progress
from flowhub_jobs.values.enums import DigestState, Stage, State

A = gguf(4096, 1)


@pytest.fixture
def app(home, monkeypatch):
    models = [one_file_model(f"m{number}", f"https://h.example/m{number}.gguf", A) for number in range(9)]
    with cli_app(home, monkeypatch, *models) as app:
        yield app


def enqueue_jobs(app, count, **terms):
    return [app.enqueue(f"m{index}", **terms) for index in range(count)]


def states(cli):
    return [job["state"] for job in cli("status", "--all", "--json").jobs]


def test_pause_and_resume_one_by_number(cli, app):
    enqueue_jobs(app, 2)
    assert [job["state"] for job in cli("pause", 2, "--json").jobs] == ["paused"]
    assert states(cli) == ["queued", "paused"]
    assert cli("resume", 2).out == "Job 2: queued.\n"


def test_cancel_and_retry_keep_the_id_and_the_time(cli, app):
    enqueue_jobs(app, 1, not_before=32_503_680_000_000_000)
    assert cli("cancel", 1, "--json").jobs[0]["state"] == "cancelled"
    [job] = cli("retry", 1, "--json").jobs
    assert (job["id"], job["state"], job["finished_at"], job["reason"]) == (1, "queued", None, "at")
    assert job["not_before"] == "3000-01-01T00:00:00.000000Z"


def test_ranges_and_all(cli, app):
    enqueue_jobs(app, 6)
    assert [job["id"] for job in cli("cancel", "2-3", "5", "--json").jobs] == [2, 3, 5]
    assert [job["id"] for job in cli("pause", "--all", "--json").jobs] == [1, 4, 6]
    assert [job["id"] for job in cli("resume", "--all", "--json").jobs] == [1, 4, 6]
    assert [job["id"] for job in cli("retry", "--all", "--cancelled", "--json").jobs] == [2, 3, 5]


def test_only_the_jobs_of_the_group_are_cancelled(cli, app):
    enqueue_jobs(app, 2, group="night")
    other = app.enqueue("m5", group="day")
    assert len(cli("cancel", "--group", "night", "--json").jobs) == 2
    assert app.job(other).state is State.QUEUED


def test_retry_all_retries_failed_jobs_and_cancelled_ones_only_with_the_option(cli, app):
    enqueue_jobs(app, 3, group="g")
    fail_next_job(app, 1, SourceMissing("It is gone."))
    cli("cancel", 2)
    assert [job["id"] for job in cli("retry", "--all", "--json").jobs] == [1]
    fail_next_job(app, 1, SourceMissing("It is gone."))
    assert [job["id"] for job in cli("retry", "--group", "g", "--json").jobs] == [1]
    assert [job["id"] for job in cli("retry", "--group", "g", "--cancelled", "--json").jobs] == [2]
    assert cli("retry", 2, "--cancelled", "--json").error["code"] == "usage"


def test_retry_all_queues_one_job_for_the_same_files(cli, app):
    enqueue_jobs(app, 1)
    cli("cancel", 1)
    assert app.enqueue("m0") == 2
    cli("cancel", 2)
    assert [job["id"] for job in cli("retry", "--all", "--cancelled", "--json").jobs] == [2]
    assert cli("retry", "--all", "--cancelled", "--json").jobs == []
    assert cli("retry", 1, "--json").error["code"] == "busy"


def test_start_drops_the_time_that_was_set(cli, app):
    enqueue_jobs(app, 2, not_before=32_503_680_000_000_000)
    [job] = cli("start", 1, "--json").jobs
    assert (job["state"], job["reason"], job["not_before"]) == ("queued", None, None)
    assert cli("start", "--all").out == "Job 1: queued, starts now.\nJob 2: queued, starts now.\n"


def test_start_resumes_a_paused_job_and_says_what_still_holds_it(cli, app):
    enqueue_jobs(app, 1)
    cli("enqueue", "m1", "--after", "1")
    cli("pause", 2)
    result = cli("start", "1-2")
    assert result.out == "Job 1: queued, starts now.\nJob 2: queued, waits for other jobs.\n"
    assert result.err == "No worker is running; start one with `flowhub worker`.\n"


def test_resume_keeps_a_time_that_is_still_ahead(cli, app):
    enqueue_jobs(app, 1, not_before=32_503_680_000_000_000)
    cli("pause", 1)
    [job] = cli("resume", 1, "--json").jobs
    assert (job["state"], job["reason"], job["not_before"]) == ("queued", "at", "3000-01-01T00:00:00.000000Z")


def test_no_job_to_pause_is_no_error(cli, app):
    result = cli("pause", "--all")
    assert (result.status, result.out, result.err) == (
        0,
        "",
        "No job to pause. (`flowhub pause` applies to queued or running jobs.)\n",
    )
    assert cli("resume", "--all", "--json").jobs == []


def test_a_repeated_command_succeeds(cli, app):
    enqueue_jobs(app, 1)
    for verb in ("pause", "pause", "resume", "resume", "cancel", "cancel"):
        assert cli(verb, 1, "--json").status == 0


@pytest.mark.parametrize(
    ("verb", "before", "hint"),
    [
        ("start", "cancel", "retry"),
        ("resume", "cancel", "retry"),
        ("pause", "cancel", "retry"),
        ("cancel", "fail", "retry"),
    ],
)
def test_a_command_that_the_state_does_not_allow_is_1_and_the_hint_names_another(cli, app, verb, before, hint):
    enqueue_jobs(app, 1)
    fail_next_job(app, 1, SourceMissing("It is gone.")) if before == "fail" else cli(before, 1)
    result = cli(verb, 1, "--json")
    assert (result.status, result.out, result.error["code"]) == (1, "", "wrong_state")
    assert hint in result.error["hint"]


def test_a_refused_job_does_not_stop_the_others(cli, app):
    enqueue_jobs(app, 3)
    cli("cancel", 2)
    result = cli("pause", "1-3", "--json")
    assert (result.status, result.error["code"]) == (10, "some_failed")
    assert [job["id"] for job in json.loads(result.out)["jobs"]] == [1, 3]
    assert states(cli) == ["paused", "cancelled", "paused"]


def test_a_missing_job_is_3(cli, app):
    enqueue_jobs(app, 1)
    for verb in ("cancel", "pause", "resume", "retry", "start"):
        result = cli(verb, 7, "--json")
        assert (result.status, result.out, result.error["code"]) == (3, "", "not_found")


@pytest.mark.parametrize("arguments", [[], ["1", "--all"], ["1", "--group", "g"], ["one"], ["0"], ["4-2"]])
def test_a_command_without_a_clear_choice_of_jobs_is_a_usage_error(cli, app, arguments):
    for verb in ("cancel", "pause", "resume", "retry", "start"):
        assert cli(verb, *arguments, "--json").status == 2
        assert "flowhub: " in cli(verb, *arguments).error_text


def test_retry_while_another_job_has_the_same_files_is_busy(cli, app):
    enqueue_jobs(app, 1)
    cli("cancel", 1)
    app.enqueue("m0")
    result = cli("retry", 1, "--json")
    assert (result.status, result.error["code"]) == (9, "busy")
    assert "flowhub status 2" in result.error["hint"]


def test_a_failed_job_that_is_retried_has_no_error_any_more(cli, app):
    enqueue_jobs(app, 1)
    fail_next_job(app, 1, SourceMissing("It is gone."))
    [job] = cli("retry", 1, "--json").jobs
    assert (job["state"], job["error"], job["attempt"]) == ("queued", None, 1)


def test_a_running_job_gets_a_request_and_the_output_says_so(cli, app):
    """The owner is alive: this test holds the lock that a worker of this machine would hold."""
    enqueue_jobs(app, 1)
    lock = LockFile(app.settings.locks / "w-by-hand.lock")
    try:
        leases = lease_store_of(app)
        leases.progress(leases.claim().lease, Progress(Stage.DOWNLOAD, 4096, 0, 0, None, DigestState.RUNNING))
        assert cli("pause", 1).out == "Job 1: pausing…\n"
        assert cli("cancel", 1, "--json").jobs[0]["state"] == "running"
        assert list(leases.requested_actions().values()) == ["cancel"]
    finally:
        lock.release()


def test_a_job_whose_worker_died_changes_at_once(cli, app):
    enqueue_jobs(app, 1)
    (app.settings.locks / "w-by-hand.lock").touch()  # the file remains; the lock ended with the process
    assert lease_store_of(app).claim() is not None
    assert cli("cancel", 1, "--json").jobs[0]["state"] == "cancelled"


def test_purge_removes_the_partial_of_a_failed_job_too(cli, app):
    enqueue_jobs(app, 1)
    fail_next_job(app, 1, SourceMissing("It is gone."))
    partial = app.partial("m0")
    partial.mkdir(parents=True)
    (partial / "0.part").write_bytes(b"kept")
    assert cli("cancel", 1, "--purge", "--json").jobs[0]["state"] == "failed"
    assert app.leftover_partials() == []
