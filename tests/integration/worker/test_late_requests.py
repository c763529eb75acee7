"""Tests of a late pause or cancel: a run obeys it until the model is installed, also without a heartbeat."""

import pytest
from support.app import app_of
from support.models import gguf, one_file_model

from flowhub_jobs.store import install
from flowhub_jobs.values.enums import State
from flowhub_jobs.worker import pipeline
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.pipeline import run_job

CONTENT = gguf(300_000, 1)
STATES = {"pause": State.PAUSED, "cancel": State.CANCELLED, "purge": State.CANCELLED}


@pytest.fixture
def app(home, origin):
    missing = one_file_model("missing", origin.url("/none.gguf"), CONTENT, filename="missing.gguf")
    with app_of(home, one_file_model("a", origin.serve("/a.gguf", CONTENT), CONTENT), missing) as app:
        yield app


def request_action(app, job, action):
    if action == "pause":
        app.home.commands.pause(job)
    else:
        app.home.commands.cancel(job, purge=action == "purge")


def run_without_heartbeat(app):
    """Run the next job without a heartbeat, as in a worker that was suspended and has just continued."""
    context = WorkerContext(app.home, 1)
    run_job(context, context.leases.claim())
    context.close()


@pytest.mark.parametrize("action", STATES)
def test_a_request_between_the_last_byte_and_the_installation_is_carried_out(app, origin, monkeypatch, action):
    job = app.enqueue("a")
    original_stage = install.stage

    def stage(*arguments, **options):
        request_action(app, job, action)
        return original_stage(*arguments, **options)

    monkeypatch.setattr(install, "stage", stage)
    run_without_heartbeat(app)
    monkeypatch.undo()
    assert app.job(job).state is STATES[action]
    assert not (app.store / "a.gguf").exists()
    assert bool(app.leftover_partials()) == (action != "purge")
    sent = origin.sent("/a.gguf")
    app.session.requeue(job, "resume" if action == "pause" else "retry")
    app.run_next_job()
    assert app.job(job).state is State.COMPLETED
    assert origin.sent("/a.gguf") - sent == (len(CONTENT) if action == "purge" else 0)


def test_a_request_after_the_installation_finds_the_model_installed(app, monkeypatch):
    job = app.enqueue("a")
    rename_into_place = install.rename_into_place

    def rename_then_cancel(*arguments, **options):
        target = rename_into_place(*arguments, **options)
        request_action(app, job, "cancel")
        return target

    monkeypatch.setattr(install, "rename_into_place", rename_then_cancel)
    run_without_heartbeat(app)
    assert app.job(job).state is State.COMPLETED
    assert (app.store / "a.gguf").read_bytes() == CONTENT


@pytest.mark.parametrize("action", ["cancel", "purge"])
def test_a_run_that_fails_when_it_was_cancelled_leaves_a_cancelled_job(app, monkeypatch, action):
    job = app.enqueue("missing")
    fail_or_defer = pipeline.fail_or_defer

    def cancel_then_fail(*arguments):
        request_action(app, job, action)
        fail_or_defer(*arguments)

    monkeypatch.setattr(pipeline, "fail_or_defer", cancel_then_fail)
    run_without_heartbeat(app)
    assert app.job(job).state is State.CANCELLED
    assert app.job(job).error is None
    assert bool(app.leftover_partials()) == (action == "cancel")
