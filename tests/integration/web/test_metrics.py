"""`/healthz` and `/metrics`: numbers for monitoring, without a sign-in and without a name."""

import shutil

from support.cli import fail_next_job, run_due_jobs
from support.problems import assert_problem
from support.web import metrics_of

from flowhub_jobs.errors import SourceMissing, Stalled


def test_health_needs_no_sign_in(web):
    response = web.anonymous.get("/healthz")
    assert response.status_code == 200
    assert response.json()["status"] == "ok"


def test_a_home_that_was_removed_is_not_healthy(web, home):
    shutil.rmtree(home)
    assert_problem(web.anonymous.get("/healthz"), 500, "home_unusable")


def test_metrics_count_jobs_bytes_and_errors_and_name_nothing(web, app):
    app.enqueue("a")
    run_due_jobs(app)
    number = app.enqueue("b")
    fail_next_job(app, number, SourceMissing("b.gguf is gone."))
    found = metrics_of(web)
    assert found["flowhub_jobs", "completed"] == 1
    assert found["flowhub_jobs", "failed"] == 1
    assert found["flowhub_jobs", "running"] == 0
    assert found["flowhub_fetched_bytes_total",] == 4096
    assert found["flowhub_errors_total", "source_missing"] == 1
    assert found["flowhub_installed_models",] == 1
    assert found["flowhub_installed_bytes",] == 4096
    assert found["flowhub_workers",] == 0
    assert ("flowhub_heartbeat_age_seconds",) not in found
    text = web.anonymous.get("/metrics").text
    assert "gguf" not in text
    assert str(app.path) not in text


def test_metrics_count_stalls_and_what_the_queue_still_needs(web, app):
    number = app.enqueue("b")
    before = metrics_of(web)
    assert before["flowhub_disk_promised_bytes",] == 8192
    assert before["flowhub_stalls_total",] == 0
    fail_next_job(app, number, Stalled("Nothing came."))
    assert metrics_of(web)["flowhub_stalls_total",] == 1


def test_a_living_worker_has_a_heartbeat(web, app):
    app.start_worker()
    app.until(lambda: app.home.living_workers() == 1, "the worker")
    found = app.until(lambda: metrics_of(web) if metrics_of(web)["flowhub_workers",] else None)
    assert found["flowhub_heartbeat_age_seconds",] >= 0
