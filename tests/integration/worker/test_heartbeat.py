"""Tests of the heartbeat: it stops a run whose job the user paused, by polling or when the database notifies it."""

import threading

import pytest
from support.app import app_of
from support.models import gguf, one_file_model

from flowhub_jobs.jobs.rate_limits import LIMIT
from flowhub_jobs.transfer.options import Cancelled
from flowhub_jobs.values.enums import StopReason
from flowhub_jobs.worker import heartbeat
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.heartbeat import Heartbeat
from flowhub_jobs.worker.wakeup_queue_choice import worker_wakeups

PATIENCE_S = 30.0


@pytest.fixture
def app(home, monkeypatch, any_database):
    if any_database is not None:
        monkeypatch.setenv("FLOWHUB_DATABASE_URL", any_database)
    with app_of(home, one_file_model("a", "http://127.0.0.1:9/a.gguf", gguf(1000, 1))) as app:
        yield app


@pytest.mark.parametrize("notified", [True, False])
def test_a_pause_stops_the_run(app, monkeypatch, notified):
    # A heartbeat that is notified polls again only after a quarter of an hour.
    monkeypatch.setattr(heartbeat, "POLL_NOTIFIED_S", 900.0)
    job, context = app.enqueue("a"), WorkerContext(app.home, 1)
    wakeups = worker_wakeups(app.home, lambda: None, 1, context.note_change)
    run = context.begin(context.leases.claim())
    if notified and app.home.database.is_shared:
        context.is_notified = wakeups.hears_changes
        assert context.changed.wait(PATIENCE_S)  # the listener is connected
    polled, stopped = threading.Event(), threading.Event()
    requested_actions = context.leases.requested_actions
    monkeypatch.setattr(context.leases, "requested_actions", lambda: (requested_actions(), polled.set())[0])
    run.cancel.on_stop(stopped.set)
    thread = Heartbeat(context)
    thread.start()
    try:
        assert polled.wait(PATIENCE_S)  # a notified heartbeat does not poll again within this test
        app.home.commands.pause(job)
        assert stopped.wait(PATIENCE_S)
        with pytest.raises(Cancelled, match=StopReason.REQUESTED):
            run.cancel.check()
    finally:
        thread.stop()
        wakeups.close()
        context.end(run)
        context.close()


def test_a_new_control_is_read_at_once_when_the_database_notifies_of_it(app):
    context = WorkerContext(app.home, 1)
    assert context.gates.limits(0.0).rate_bps is None
    app.home.controls.set(LIMIT, {"rate_bps": 1000})
    assert context.gates.limits(900.0).rate_bps is None
    context.note_change()
    assert context.gates.limits(900.0).rate_bps == 1000
    context.close()
