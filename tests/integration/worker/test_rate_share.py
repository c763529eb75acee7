"""The workers of a node share its limit: never more than it together, and one alone has it all."""

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
from flowhub_jobs.worker.rate_share import LOOK_EVERY_S, SETTLED_S

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
def floors(app: App) -> Iterator[list[WorkerContext]]:
    floors = [WorkerContext(app.home, 3) for _ in range(2)]
    yield floors
    for context in floors:
        context.close()


def begin(context: WorkerContext) -> Claimed:
    claimed = context.leases.claim()
    assert claimed is not None
    context.throttle.update(at_once=True)
    return claimed


def rates(floors: list[WorkerContext]) -> list[int | None]:
    """Return what each worker lets through, as its heart beats once more."""
    for context in floors:
        context.throttle.update()
    return [context.shared.bucket.rate_bps for context in floors]


def test_a_worker_alone_has_it_all_from_its_first_byte_on(floors):
    begin(floors[0])
    assert rates(floors[:1]) == [RATE]


def test_a_second_worker_begins_when_the_first_has_made_room(floors, time):
    one, two = floors
    begin(one)
    begin(two)
    for _ in range(20):
        shares = rates(floors)
        assert sum(share or 0 for share in shares) <= RATE + 1  # a byte a second is the least
        time.advance(LOOK_EVERY_S)
    assert rates(floors) == [RATE // 2, RATE // 2]


def test_each_has_as_much_as_it_runs_jobs_and_what_one_leaves_the_other_takes(floors, time):
    one, two = floors
    first = [begin(one) for _ in range(3)]
    begin(two)
    for _ in range(4):
        rates(floors)
        time.advance(SETTLED_S)
    assert rates(floors) == [RATE * 3 // 4, RATE // 4]
    for claimed in first:
        one.leases.hand_back(claimed.lease)
    time.advance(LOOK_EVERY_S)
    assert rates([two]) == [RATE]


def test_a_new_limit_is_obeyed_at_the_next_look_and_none_when_it_is_over(floors, time, app):
    begin(floors[0])
    app.home.controls.set(LIMIT, {"rate_bps": 7_000}, until=time.in_us(60))
    time.advance(LOOK_EVERY_S)
    assert rates(floors[:1]) == [7_000]
    time.advance(60)
    assert rates(floors[:1]) == [None]


def test_the_schedules_rate_outside_of_its_windows_is_obeyed_while_jobs_run(floors, time, app):
    app.home.controls.set(LIMIT, None)
    begin(floors[0])
    assert rates(floors[:1]) == [None]
    opens = time.in_us(3600)
    never = Schedule.parse("00:00-00:01", None, "5K")
    if never.is_open(opens):
        time.advance(600)
    app.home.controls.set(SCHEDULE, never.as_json())
    time.advance(1)
    assert rates(floors[:1]) == [5_000]


@pytest.mark.parametrize(("own", "mine"), [("300K", 300_000), ("5M", RATE)])
def test_the_workers_own_cap_is_its_own(home, monkeypatch, own, mine):
    monkeypatch.setenv("FLOWHUB_LIMIT_RATE", own)
    with app_of(home, one_file_model("m", "https://h.example/m.gguf", A)) as app:
        app.enqueue("m")
        app.home.controls.set(LIMIT, {"rate_bps": RATE})
        context = WorkerContext(app.home, 1)
        begin(context)
        assert rates([context]) == [mine]
        context.close()


@pytest.mark.parametrize(
    ("limits", "rules"),
    [
        (Limits(), None),
        (Limits(limit=5), "limit"),
        (Limits(limit=5, schedule=4), "schedule"),
        (Limits(limit=5, schedule=6, setting=3), "setting"),
    ],
)
def test_of_all_limits_the_lowest_rules(limits, rules):
    assert limits.rules == rules
    assert limits.rate_bps == (getattr(limits, rules) if rules else None)
