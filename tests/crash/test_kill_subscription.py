"""SIGKILL around the outcome of a subscription's check: the next worker queues the new version exactly once."""

import signal

import pytest
import sqlalchemy as sa
from support.app import App, app_of
from support.fork_server import ForkServer
from support.models import gguf, one_file_model
from support.origin import Origin

from flowhub_jobs.database.engine import writing
from flowhub_jobs.database.tables import subscriptions
from flowhub_jobs.operations.subscriptions.follow import follow

ROWS = "flowhub_jobs.jobs.subscriptions.subscription_rows:SubscriptionRows"
V1, V2 = gguf(4096, 1), gguf(5000, 2)
STEPS = [
    f"{ROWS}.record:before",  # its job is inserted, not committed
    f"{ROWS}.record:after",  # written, not committed
    "flowhub_jobs.operations.session:Session._wake:before",  # committed; no worker was woken
    "flowhub_jobs.operations.subscriptions.checker:remove_surplus:before",
]


def serve_version(app: App, origin: Origin, content: bytes) -> None:
    app.set_models(one_file_model("a", origin.serve(f"/{len(content)}/a.gguf", content), content))


@pytest.mark.parametrize("step", STEPS, ids=lambda step: "-".join(step.split(":")[1:]))
def test_after_a_kill_each_version_was_queued_once(home, origin: Origin, fork_server: ForkServer, step: str) -> None:
    with app_of(home) as app:
        serve_version(app, origin, V1)
        follow(app.session, ["a"], None, {}, lambda path: [])
        assert fork_server.drain(app) == 0
        serve_version(app, origin, V2)
        with writing(app.home.engine) as tx:
            tx.execute(sa.update(subscriptions).values(next_at=0))
        assert fork_server.drain(app, failpoints=f"fast_maintenance kill={step}") == -signal.SIGKILL
        assert fork_server.drain(app) == 0
        assert [job.ref for job in app.home.queries.all()] == ["a@q4", "a@q4"]
        assert (app.store / "a.gguf").read_bytes() == V2
