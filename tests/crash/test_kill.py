"""Workers killed with SIGKILL: nobody notices in the morning."""

import hashlib
import random
import signal
from pathlib import Path

import pytest
from support.models import folder_model, gguf_pattern, mlx_folder, one_file_model
from support.origin import Origin
from support.shop import Shop, shop_of

from flowhub_jobs.records import DigestState, State

MB = 1_000_000
RATE = 20 * MB
HARMED = Path(__file__).parent / "harmed_worker.py"


def test_twenty_kills_cost_at_most_a_second_of_bytes_each(home: Path, origin: Origin) -> None:
    """200 MB at 20 MB/s over all connections; counted at the origin."""
    size, chance = 200 * MB, random.Random(7)
    model = gguf_pattern(size, 1)
    url = origin.serve("/big.gguf", model)
    origin.limit(total_bps=RATE)
    with shop_of(home, one_file_model("big", url, model)) as shop:
        job = shop.enqueue("big")
        for kill in range(20):
            worker = shop.worker()
            # Moments by what the origin has sent, from before the first byte of a run to a second and a half of bytes.
            enough = origin.sent("/big.gguf") + chance.choice([0, 0.1, 0.3, 0.5, 0.7]) * RATE
            shop.until(lambda: len(shop.events(job)) > 1 and origin.sent("/big.gguf") >= enough, f"kill {kill}")  # noqa: B023
            worker.send_signal(signal.SIGKILL)
            worker.wait()
        assert shop.job(job).state is State.RUNNING  # its owner is dead, and nobody has looked yet
        assert shop.drain() == 0
        done = shop.job(job)
        assert (done.state, done.sha256_state, done.bytes_done) == (State.COMPLETED, DigestState.VERIFIED, size)
        assert hashlib.sha256((shop.store / "big.gguf").read_bytes()).hexdigest() == model.sha256()
        assert shop.left_over() == []
        assert origin.sent("/big.gguf") <= size + 20 * RATE
        assert size <= done.bytes_fetched <= origin.sent("/big.gguf")
        assert done.attempt == 1  # a rescue gives the attempt back


STEPS = [
    ("flowhub_jobs.worker.pipeline", "stage", "before"),
    ("flowhub_jobs.worker.pipeline", "stage", "after"),
    ("flowhub_jobs.jobs.leases", "Leases.intend", "after"),
    ("flowhub_jobs.worker.pipeline", "place", "before"),
    ("flowhub_jobs.store.install", "rename_new", "after"),
    ("flowhub_jobs.worker.pipeline", "place", "after"),
    ("flowhub_jobs.store.library", "Library.index", "before"),
    ("flowhub_jobs.store.library", "Library.index", "after"),
    ("flowhub_jobs.jobs.leases", "Leases.complete", "after"),
    ("flowhub_jobs.worker.pipeline", "clean_up", "before"),
]


@pytest.mark.parametrize("kind", ["file", "folder"])
@pytest.mark.parametrize(("module", "name", "when"), STEPS, ids=[f"{when}-{name}" for _, name, when in STEPS])
def test_a_kill_at_any_step_of_the_installation_is_finished_by_the_next_worker(
    home: Path, origin: Origin, kind: str, module: str, name: str, when: str
) -> None:
    """Never two, never none: the next start finishes the step, and fetches nothing again."""
    entry, total = _model(origin, kind)
    with shop_of(home, entry) as shop:
        job = shop.enqueue("m")
        died = shop.worker("--drain", script=HARMED, HARM=f"die:{module}:{name}:{when}").wait(timeout=60)
        assert died == -signal.SIGKILL
        assert shop.drain() == 0
        done = shop.job(job)
        assert (done.state, done.sha256_state, done.bytes_total) == (State.COMPLETED, DigestState.VERIFIED, total)
        assert [model.name for model in shop.home.store.models()] == [Path(done.target).name]
        _same_as_the_origin(shop, origin, kind)
        assert shop.left_over() == []
        assert origin.sent() == total


def _model(origin: Origin, kind: str) -> tuple[dict[str, object], int]:
    if kind == "file":
        content = gguf_pattern(300_000, 4)
        return one_file_model("m", origin.serve("/m.gguf", content), content), 300_000
    files = mlx_folder(5)
    urls = {path: (origin.serve(f"/m/{path}", content), content) for path, content in files.items()}
    return folder_model("m", urls), sum(map(len, files.values()))


def _same_as_the_origin(shop: Shop, origin: Origin, kind: str) -> None:
    if kind == "file":
        assert (shop.store / "m.gguf").read_bytes() == gguf_pattern(300_000, 4).read()
    else:
        folder = shop.store / "m-mlx-4bit"
        there = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert there == mlx_folder(5)


def test_a_job_is_given_up_only_after_ten_rescues_in_a_row_without_progress(home: Path, origin: Origin) -> None:
    content = gguf_pattern(100_000, 1)
    url = origin.serve("/m.gguf", content)
    with shop_of(home, one_file_model("m", url, content)) as shop:
        job = shop.enqueue("m")
        for _ in range(10):
            # Dies after the claim and before anything is fetched: a job that kills its worker.
            harm = "die:flowhub_jobs.worker.pipeline:fetch:before"
            assert shop.worker("--drain", script=HARMED, HARM=harm).wait(timeout=60) == -signal.SIGKILL
        assert shop.drain() == 10
        failed = shop.job(job)
        assert failed.state is State.FAILED
        assert failed.error is not None
        assert failed.error["code"] == "worker_lost"
        shop.home.ledger.retry(job)
        assert shop.drain() == 0
        assert shop.job(job).state is State.COMPLETED
