"""Tests of the rate limit that the workers of a node share: together they never exceed it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.app import App, app_of
from support.fake_clock import FakeClock
from support.models import gguf, one_file_model

from flowhub_jobs.jobs.controls import SCHEDULE
from flowhub_jobs.jobs.rate_limits import LIMIT, Limits
from flowhub_jobs.jobs.run_values import Claimed
from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.worker.context import WorkerContext
from flowhub_jobs.worker.rate_share import POLL_S, SETTLED_S

RATE = 1_000_000
A = gguf()


@pytest.fixture
def time() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(home: Path, time: FakeClock) -> Iterator[App]:
    models = [one_file_model(f"m{number}", f"https://h.example/m{number}.gguf", A) for number in range(9)]
    with app_of(home, *models, clock=time.clock) as app:
        for number in range(9):
            app.enqueue(f"m{number}")
        app.home.controls.set(LIMIT, {"rate_bps": RATE})
        yield app


@pytest.fixture
def workers(app: App) -> Iterator[list[WorkerContext]]:
    workers = [WorkerContext(app.home, 3) for _ in range(2)]
    yield workers
    for context in workers:
        context.close()


def begin(context: WorkerContext) -> Claimed:
    claimed = context.leases.claim()
    assert claimed is not None
    context.throttle.update(job_began=True)
    return claimed


def rates(workers: list[WorkerContext]) -> list[int | None]:
    """Return the rate of each worker after its next heartbeat."""
    for context in workers:
        context.throttle.update()
    return [context.shared.bucket.rate_bps for context in workers]


def test_a_single_worker_has_the_whole_limit_from_its_first_byte_on(workers):
    begin(workers[0])
    assert rates(workers[:1]) == [RATE]


def test_a_second_worker_gets_its_share_once_the_first_uses_less(workers, time):
    first, second = workers
    begin(first)
    begin(second)
    for _ in range(20):
        shares = rates(workers)
        assert sum(share or 0 for share in shares) <= RATE + 1  # no share is below one byte a second
        time.advance(POLL_S)
    assert rates(workers) == [RATE // 2, RATE // 2]


def test_the_shares_follow_the_running_jobs_and_an_idle_workers_share_is_used_by_the_other(workers, time):
    first, second = workers
    claims = [begin(first) for _ in range(3)]
    begin(second)
    for _ in range(4):
        rates(workers)
        time.advance(SETTLED_S)
    assert rates(workers) == [RATE * 3 // 4, RATE // 4]
    for claimed in claims:
        first.leases.hand_back(claimed.lease)
    time.advance(POLL_S)
    assert rates([second]) == [RATE]


def test_a_new_limit_is_obeyed_at_the_next_check_and_none_after_its_end(workers, time, app):
    begin(workers[0])
    app.home.controls.set(LIMIT, {"rate_bps": 7_000}, until_us=time.us_from_now(60))
    time.advance(POLL_S)
    assert rates(workers[:1]) == [7_000]
    time.advance(60)
    assert rates(workers[:1]) == [None]


def test_the_schedules_rate_outside_of_its_windows_is_obeyed_while_jobs_run(workers, time, app):
    app.home.controls.set(LIMIT, None)
    begin(workers[0])
    assert rates(workers[:1]) == [None]
    opens = time.us_from_now(3600)
    closed = Schedule.parse("00:00-00:01", None, "5K")
    if closed.is_open(opens):
        time.advance(600)
    app.home.controls.set(SCHEDULE, closed.as_json())
    time.advance(1)
    assert rates(workers[:1]) == [5_000]


@pytest.mark.parametrize(("setting", "expected"), [("300K", 300_000), ("5M", RATE)])
def test_a_worker_obeys_its_own_limit_if_that_is_lower(home, monkeypatch, setting, expected):
    monkeypatch.setenv("FLOWHUB_LIMIT_RATE", setting)
    with app_of(home, one_file_model("m", "https://h.example/m.gguf", A)) as app:
        app.enqueue("m")
        app.home.controls.set(LIMIT, {"rate_bps": RATE})
        context = WorkerContext(app.home, 1)
        begin(context)
        assert rates([context]) == [expected]
        context.close()


@pytest.mark.parametrize(
    ("limits", "lowest"),
    [
        (Limits(), None),
        (Limits(limit=5), "limit"),
        (Limits(limit=5, schedule=4), "schedule"),
        (Limits(limit=5, schedule=6, setting=3), "setting"),
    ],
)
def test_the_lowest_of_all_limits_applies(limits, lowest):
    assert limits.lowest == lowest
    assert limits.rate_bps == (getattr(limits, lowest) if lowest else None)
