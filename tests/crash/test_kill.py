"""Workers killed with SIGKILL: the jobs complete, and few bytes are fetched twice."""

import hashlib
import random
import signal
from pathlib import Path

from support.app import app_of
from support.fork_server import ForkServer
from support.models import gguf_pattern, one_file_model
from support.origin import Origin

from flowhub_jobs.values.enums import DigestState, State

MB = 1_000_000
RATE = 20 * MB


def test_twenty_kills_cost_at_most_a_second_of_bytes_each(home: Path, origin: Origin, fork_server: ForkServer) -> None:
    """200 MB at 20 MB/s over all connections; the origin counts the bytes."""
    size, chance = 200 * MB, random.Random(7)
    model = gguf_pattern(size, 1)
    url = origin.serve("/big.gguf", model)
    origin.limit(total_bps=RATE)
    with app_of(home, one_file_model("big", url, model)) as app:
        job = app.enqueue("big")
        for kill in range(20):
            worker = fork_server.start_worker(app)
            # Moments of the kills by the bytes sent, from before the first byte of a run to a second and a half later.
            enough = origin.sent("/big.gguf") + chance.choice([0, 0.1, 0.3, 0.5, 0.7]) * RATE
            app.until(lambda: len(app.events(job)) > 1 and origin.sent("/big.gguf") >= enough, f"kill {kill}")  # noqa: B023
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        assert app.job(job).state is State.RUNNING  # its owner is dead, and no worker has checked yet
        assert fork_server.drain(app) == 0
        completed = app.job(job)
        assert (completed.state, completed.sha256_state, completed.bytes_done) == (
            State.COMPLETED,
            DigestState.VERIFIED,
            size,
        )
        assert hashlib.sha256((app.store / "big.gguf").read_bytes()).hexdigest() == model.sha256()
        assert app.leftover_partials() == []
        assert origin.sent("/big.gguf") <= size + 20 * RATE
        assert size <= completed.bytes_fetched <= origin.sent("/big.gguf")
        assert completed.attempt == 1  # a rescue does not count the attempt


def test_a_job_is_given_up_only_after_ten_rescues_in_a_row_without_progress(
    home: Path, origin: Origin, fork_server: ForkServer
) -> None:
    content = gguf_pattern(100_000, 1)
    url = origin.serve("/m.gguf", content)
    with app_of(home, one_file_model("m", url, content)) as app:
        job = app.enqueue("m")
        for _ in range(10):
            # The worker dies after the claim and before the first byte, as from a job that kills its worker.
            assert (
                fork_server.drain(app, failpoints="fast_maintenance kill=flowhub_jobs.worker.fetch_step:fetch:before")
                == -signal.SIGKILL
            )
        assert fork_server.drain(app) == 10
        failed = app.job(job)
        assert failed.state is State.FAILED
        assert failed.error is not None
        assert failed.error["code"] == "worker_lost"
        app.home.commands.retry(job)
        assert fork_server.drain(app) == 0
        assert app.job(job).state is State.COMPLETED
