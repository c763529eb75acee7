"""A wish that comes late in a run is obeyed until the model gets its name; nobody need have looked for it before."""

import pytest
from support.app import app_of
from support.models import gguf, one_file_model

from flowhub_jobs.store import install
from flowhub_jobs.values.enums import State
from flowhub_jobs.worker import pipeline
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.pipeline import run_job

CONTENT = gguf(300_000, 1)
LATE = {"pause": State.PAUSED, "cancel": State.CANCELLED, "purge": State.CANCELLED}


@pytest.fixture
def app(home, origin):
    missing = one_file_model("missing", origin.url("/none.gguf"), CONTENT, filename="missing.gguf")
    with app_of(home, one_file_model("a", origin.serve("/a.gguf", CONTENT), CONTENT), missing) as app:
        yield app


def wish(app, job, word):
    if word == "pause":
        app.home.commands.pause(job)
    else:
        app.home.commands.cancel(job, purge=word == "purge")


def run_without_heartbeat(app):
    """Run the next job as a worker does whose heartbeat had no turn: it was suspended, and woke just now."""
    context = WorkerContext(app.home, 1)
    run_job(context, context.leases.claim())
    context.close()


@pytest.mark.parametrize("word", LATE)
def test_a_request_between_the_last_byte_and_the_installation_is_carried_out(app, origin, monkeypatch, word):
    job = app.enqueue("a")
    real = install.stage

    def stage(*given, **named):
        wish(app, job, word)
        return real(*given, **named)

    monkeypatch.setattr(install, "stage", stage)
    run_without_heartbeat(app)
    monkeypatch.undo()
    assert app.job(job).state is LATE[word]
    assert not (app.store / "a.gguf").exists()
    assert bool(app.leftover_partials()) == (word != "purge")
    sent = origin.sent("/a.gguf")
    app.session.again(job, "resume" if word == "pause" else "retry")
    app.run_next_job()
    assert app.job(job).state is State.COMPLETED
    assert origin.sent("/a.gguf") - sent == (len(CONTENT) if word == "purge" else 0)


def test_a_request_after_the_installation_finds_the_model_installed(app, monkeypatch):
    job = app.enqueue("a")
    real = install.rename_into_place

    def place(*given, **named):
        placed = real(*given, **named)
        wish(app, job, "cancel")
        return placed

    monkeypatch.setattr(install, "rename_into_place", place)
    run_without_heartbeat(app)
    assert app.job(job).state is State.COMPLETED
    assert (app.store / "a.gguf").read_bytes() == CONTENT


@pytest.mark.parametrize("word", ["cancel", "purge"])
def test_a_run_that_fails_when_it_was_cancelled_leaves_a_cancelled_job(app, monkeypatch, word):
    job = app.enqueue("missing")
    real = pipeline.fail_or_defer

    def end_badly(*given):
        wish(app, job, word)
        real(*given)

    monkeypatch.setattr(pipeline, "fail_or_defer", end_badly)
    run_without_heartbeat(app)
    assert app.job(job).state is State.CANCELLED
    assert app.job(job).error is None
    assert bool(app.leftover_partials()) == (word == "cancel")
