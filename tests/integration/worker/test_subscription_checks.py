"""Tests of subscription checks: a worker queues each change once, whatever clocks, hosts and other workers do."""

import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from support.answer_faults import Status
from support.app import App, app_of
from support.cli import run_due_jobs
from support.fake_clock import FakeClock
from support.models import gguf, one_file_model

from flowhub_jobs.cli.jobs.followed_list_file import read_followed_list
from flowhub_jobs.database.engine import reading
from flowhub_jobs.database.tables import events, jobs
from flowhub_jobs.errors import ServerBusy, UsageInvalid
from flowhub_jobs.fs.locks import LockFile
from flowhub_jobs.jobs.controls import SCHEDULE
from flowhub_jobs.jobs.host_waits import HostWaits
from flowhub_jobs.jobs.schedule import Schedule
from flowhub_jobs.jobs.subscriptions import subscription_rows
from flowhub_jobs.jobs.subscriptions.subscription_queries import SubscriptionQueries
from flowhub_jobs.net.urls import HUB
from flowhub_jobs.net.urls import origin as origin_of
from flowhub_jobs.operations.session import Session
from flowhub_jobs.operations.subscriptions.checker import SubscriptionChecker, check_source, write_result
from flowhub_jobs.operations.subscriptions.follow import all_subscriptions, follow, unfollow
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.worker.subscription_checks import SubscriptionChecks

REPO = "org/Tiny-GGUF"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
FILE = "Tiny-Q4_K_M.gguf"


class Harness:
    """An app with a fake clock, and the subscription checks of its workers."""

    def __init__(self, app: App, clock: FakeClock) -> None:
        self.app, self.clock = app, clock
        self.checks = self.worker("w-1")

    def worker(self, name: str) -> SubscriptionChecks:
        checker = SubscriptionChecker(self.app.home, read_followed_list)
        return SubscriptionChecks(self.app.home, name, checker)

    def follow(self, *refs: str, file: object = None, **options: object) -> None:
        self.app.session = type(self.app.session)(self.app.home)  # a session caches the Hub's answers
        follow(self.app.session, refs, None if file is None else str(file), options, read_followed_list)

    def run_maintenance(self, *, by: SubscriptionChecks | None = None) -> None:
        """Do what a worker's maintenance does each second, and wait for the checks that it starts."""
        checks = by or self.checks
        checks.check_if_due(self.app.home.controls.gates())
        pause = threading.Event()
        while checks.busy:
            pause.wait(0.001)

    def advance(self, seconds: float, step: float = 10 * MINUTE) -> None:
        """Let time pass, and run the maintenance after each step."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.run_maintenance()

    def job_refs(self) -> list[str]:
        with reading(self.app.home.engine) as tx:
            return list(tx.execute(sa.select(jobs.c.ref).order_by(jobs.c.id)).scalars())

    def queued_updates(self) -> Counter[str]:
        """Return how many newer versions were queued, by reference."""
        query = sa.select(jobs.c.ref).join(events, events.c.job_id == jobs.c.id)
        with reading(self.app.home.engine) as tx:
            return Counter(tx.execute(query.where(events.c.kind == EventKind.UPDATE)).scalars())

    @property
    def subscription(self):
        [subscription] = all_subscriptions(self.app.session)
        return subscription


@contextmanager
def open_harness(home, monkeypatch, hub, database, *models) -> Iterator[Harness]:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    if database:
        monkeypatch.setenv("FLOWHUB_DATABASE_URL", database)
    clock = FakeClock()
    with app_of(home, *models, clock=clock.clock) as app:
        yield Harness(app, clock)


@pytest.fixture
def harness(home, monkeypatch, hub):
    hub.add(REPO, FILE, gguf(4096, 0))
    with open_harness(home, monkeypatch, hub, None) as harness:
        yield harness


@pytest.fixture
def harness_on_any_database(home, monkeypatch, hub, any_database):
    hub.add(REPO, FILE, gguf(4096, 0))
    with open_harness(home, monkeypatch, hub, any_database) as harness:
        yield harness


def count_requests(hub) -> int:
    """Return how many requests for a repository the Hub has received."""
    return sum("/revision/" in request.path for request in hub.front.requests())


# Each change once ----------------------------------------------------------------------------------------------------


def test_over_a_month_each_change_is_queued_once_and_notified(harness_on_any_database, hub, origin, tmp_path):
    """A model of the catalog, a quant of the Hub, an owner and a list, some of which change on some days."""
    harness, lines = harness_on_any_database, tmp_path / "models.txt"
    hub.add("org/Listed-GGUF", "Listed-Q8_0.gguf", gguf(4096, 1))
    lines.write_text("hf:org/Listed-GGUF:Q8_0\n")

    def offer(seed: int) -> None:
        harness.app.set_models(one_file_model("a", origin.serve(f"/{seed}/a.gguf", gguf(4096, seed)), gguf(4096, seed)))

    offer(100)
    harness.follow("a", f"hf:{REPO}:Q4_K_M")
    harness.follow("hf:org/", include=["New*:Q4_K_M", "Whole*"])
    harness.follow(file=lines, every="12h")
    assert sorted(harness.job_refs()) == ["a@q4", "hf:org/Listed-GGUF:Q8_0", f"hf:{REPO}:Q4_K_M"]
    changes = {
        3: lambda: hub.add(REPO, FILE, gguf(4096, 3)),
        9: lambda: (offer(109), hub.add("org/New-GGUF", "New-Q4_K_M.gguf", gguf(4096, 9))),
        10: lambda: hub.add("org/New-GGUF", "New-Q8_0.gguf", gguf(4096, 10)),  # no glob covers it
        17: lambda: (hub.add(REPO, FILE, gguf(4096, 17)), hub.add("org/Whole-GGUF", "Whole-Q2_K.gguf", gguf(4096, 18))),
        24: lambda: hub.add("org/Listed-GGUF", "Listed-Q8_0.gguf", gguf(4096, 24)),
        27: lambda: (offer(127), lines.write_text(f"hf:org/Listed-GGUF:Q8_0\nhf:{REPO}:Q4_K_M\n")),
    }
    for day in range(31):
        changes.get(day, lambda: None)()
        harness.advance(DAY, step=2 * HOUR)
        run_due_jobs(harness.app)
    assert harness.queued_updates() == {
        f"hf:{REPO}:Q4_K_M": 2,
        "a@q4": 2,
        "hf:org/New-GGUF:Q4_K_M": 1,
        "hf:org/Whole-GGUF:Q2_K": 1,
        "hf:org/Listed-GGUF:Q8_0": 1,
    }
    assert len(harness.job_refs()) == 3 + 7
    assert (harness.app.store / FILE).read_bytes() == gguf(4096, 17)
    assert all(subscription.error is None for subscription in all_subscriptions(harness.app.session))


def test_after_a_week_asleep_each_is_checked_once_and_not_all_at_the_same_time(harness, hub):
    repos = [f"org/Many{number}-GGUF" for number in range(20)]
    for seed, repo in enumerate(repos):
        hub.add(repo, "Many-Q4_K_M.gguf", gguf(4096, 50 + seed))
    harness.follow(*(f"hf:{repo}:Q4_K_M" for repo in repos))
    harness.clock.advance(7 * DAY)
    before, counts = count_requests(hub), []
    for _ in range(100):
        before_step = count_requests(hub)
        harness.clock.advance(1.0)
        harness.run_maintenance()
        counts.append(count_requests(hub) - before_step)
    assert count_requests(hub) - before == len(repos)
    assert max(counts) == 1
    assert all(first + second <= 1 for first, second in itertools.pairwise(counts))
    next_checks = [subscription.next_at for subscription in all_subscriptions(harness.app.session)]
    assert max(next_checks) - min(next_checks) > 60 * 1_000_000


def test_a_change_whose_job_the_user_cancelled_or_whose_model_was_removed_is_not_queued_again(harness, hub):
    harness.follow(f"hf:{REPO}:Q4_K_M")
    harness.app.session.cancel(1)
    harness.advance(3 * DAY, step=HOUR)
    assert len(harness.job_refs()) == 1
    hub.add(REPO, FILE, gguf(4096, 1))
    harness.advance(2 * DAY, step=HOUR)
    assert len(harness.job_refs()) == 2


def test_a_new_version_that_fails_leaves_the_old_one(harness, hub):
    harness.follow(f"hf:{REPO}:Q4_K_M")
    run_due_jobs(harness.app)
    hub.add(REPO, FILE, gguf(4096, 1))
    hub.break_cdn(Status(404))
    harness.advance(2 * DAY, step=HOUR)
    run_due_jobs(harness.app)
    assert len(harness.job_refs()) == 2
    assert (harness.app.store / FILE).read_bytes() == gguf(4096, 0)


def test_a_model_that_was_changed_by_hand_is_not_replaced_and_needs_the_user(harness, hub):
    harness.follow(f"hf:{REPO}:Q4_K_M")
    run_due_jobs(harness.app)
    (harness.app.store / FILE).write_bytes(b"of the user")
    hub.add(REPO, FILE, gguf(4096, 1))
    harness.advance(2 * DAY, step=HOUR)
    assert len(harness.job_refs()) == 1
    assert (harness.subscription.error["code"], harness.subscription.needs_user) == ("name_taken", True)


# Crashes, and two workers --------------------------------------------------------------------------------------------


class Crash(Exception):
    """Stands for the end of the process."""


def test_a_crash_between_queueing_and_the_result_queues_nothing_and_the_next_check_queues_once(
    harness_on_any_database, hub, monkeypatch
):
    harness = harness_on_any_database
    harness.follow(f"hf:{REPO}:Q4_K_M")
    hub.add(REPO, FILE, gguf(4096, 1))
    record = subscription_rows.SubscriptionRows.record

    def record_then_crash(self, tx, *arguments):
        record(self, tx, *arguments)
        assert tx.execute(sa.select(sa.func.count()).select_from(jobs)).scalar() == 2
        raise Crash

    harness.clock.advance(2 * DAY)
    with monkeypatch.context() as patch:
        patch.setattr(subscription_rows.SubscriptionRows, "record", record_then_crash)
        harness.run_maintenance()
    assert len(harness.job_refs()) == 1
    harness.advance(DAY, step=HOUR)
    assert harness.queued_updates() == {f"hf:{REPO}:Q4_K_M": 1}


def test_two_checks_of_one_change_queue_it_once(harness_on_any_database, hub):
    """Workers that hold the same turn, as after a long sleep, check at the same time: the first result counts."""
    harness = harness_on_any_database
    harness.follow(f"hf:{REPO}:Q4_K_M")
    hub.add(REPO, FILE, gguf(4096, 1))
    harness.clock.advance(2 * DAY)
    due = harness.subscription
    stopping = threading.Event()
    checker = SubscriptionChecker(harness.app.home, read_followed_list)
    threads = [threading.Thread(target=checker.check, args=(due, stopping)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert harness.queued_updates() == {f"hf:{REPO}:Q4_K_M": 1}
    assert harness.subscription.version == due.version + 1


def test_a_worker_that_slept_between_its_check_and_the_result_queues_nothing(harness_on_any_database, hub):
    harness = harness_on_any_database
    harness.follow(f"hf:{REPO}:Q4_K_M")
    hub.add(REPO, FILE, gguf(4096, 1))
    session = Session(harness.app.home)
    due = harness.subscription
    known = SubscriptionQueries(session.home.database, session.node).items(due.id)
    results = [
        check_source(session, due, known, read_followed_list, pause_s=0.0, stopping=threading.Event()) for _ in range(2)
    ]
    [job] = write_result(session, due, known, results[0], 0.5)
    session.cancel(job.job)
    assert write_result(session, due, known, results[1], 0.5) == []
    assert len(harness.job_refs()) == 2


@pytest.mark.parametrize("hangs", [True, False], ids=["it hangs", "it is dead"])
def test_only_the_worker_that_has_the_turn_checks_and_a_dead_one_loses_it(harness_on_any_database, hub, hangs):
    harness = harness_on_any_database
    harness.follow(f"hf:{REPO}:Q4_K_M")
    harness.clock.advance(2 * DAY)
    first, second = harness.worker("w-a"), harness.worker("w-b")
    lock = LockFile(harness.app.settings.locks / "w-a.lock")
    assert first._take_turn()
    before = count_requests(hub)
    harness.run_maintenance(by=second)
    assert count_requests(hub) == before
    if hangs:
        harness.clock.advance(3 * MINUTE)  # it has not renewed its turn
    else:
        lock.release()
        (harness.app.settings.locks / "w-a.lock").unlink(missing_ok=True)  # as its rescuer does
    harness.run_maintenance(by=second)
    assert count_requests(hub) == before + 1


def test_a_worker_that_stops_gives_its_turn_back(harness, hub):
    harness.follow(f"hf:{REPO}:Q4_K_M")
    harness.clock.advance(2 * DAY)
    first, second = harness.worker("w-a"), harness.worker("w-b")
    lock = LockFile(harness.app.settings.locks / "w-a.lock")
    assert first._take_turn()
    first.close()
    before = count_requests(hub)
    harness.run_maintenance(by=second)
    assert count_requests(hub) == before + 1
    lock.release()


def test_a_subscription_that_was_removed_during_its_check_queues_nothing(harness, hub):
    harness.follow(f"hf:{REPO}:Q4_K_M")
    hub.add(REPO, FILE, gguf(4096, 1))
    harness.clock.advance(2 * DAY)
    due = harness.subscription
    unfollow(harness.app.session, None)
    SubscriptionChecker(harness.app.home, read_followed_list).check(due, threading.Event())
    assert len(harness.job_refs()) == 1


# Times of checks -----------------------------------------------------------------------------------------------------


def test_outside_the_schedules_window_and_offline_nothing_is_checked(harness, hub):
    harness.follow(f"hf:{REPO}:Q4_K_M")
    before = count_requests(hub)
    harness.clock.set_to("2026-12-05T12:00+00:00")
    harness.app.home.controls.set(SCHEDULE, Schedule.parse("23:00-07:00").as_json())
    harness.advance(HOUR)
    assert count_requests(hub) == before
    harness.clock.set_to("2026-12-06T01:00+00:00")
    harness.run_maintenance()
    assert count_requests(hub) == before + 1


def test_a_host_that_holds_its_jobs_is_not_asked(harness, hub):
    harness.follow(f"hf:{REPO}:Q4_K_M")
    harness.clock.advance(2 * DAY)
    waits = HostWaits(harness.app.home.engine, harness.app.home.node, harness.app.home.clock)
    waits.hold(origin_of(HUB), "t", ServerBusy("It is busy."), lambda tries: 300.0, 0.0)
    before = count_requests(hub)
    harness.run_maintenance()
    assert count_requests(hub) == before
    harness.clock.advance(301)
    harness.run_maintenance()
    assert count_requests(hub) == before + 1


def test_a_busy_hub_is_asked_after_its_retry_after_and_its_other_subscriptions_wait_too(harness, hub):
    hub.add("org/Other-GGUF", "Other-Q4_K_M.gguf", gguf(4096, 5))
    harness.follow(f"hf:{REPO}:Q4_K_M", "hf:org/Other-GGUF:Q4_K_M")
    harness.clock.advance(2 * DAY)
    hub.break_front(Status(429, {"Retry-After": "1000"}))
    harness.run_maintenance()
    before = count_requests(hub)
    harness.advance(4 * MINUTE, step=1.0)
    assert count_requests(hub) == before
    [failing] = [each for each in all_subscriptions(harness.app.session) if each.error]
    assert (failing.error["code"], failing.failures, failing.needs_user) == ("server_busy", 1, False)
    hub.break_front()
    harness.advance(HOUR, step=MINUTE)
    assert [subscription.error for subscription in all_subscriptions(harness.app.session)] == [None, None]


def test_a_disabled_repository_needs_the_user_and_is_checked_as_seldom_as_before(harness, hub):
    harness.follow(f"hf:{REPO}:Q4_K_M")
    hub.facts.disabled.add(REPO)
    before = count_requests(hub)
    harness.advance(7 * DAY, step=HOUR)
    assert 6 <= count_requests(hub) - before <= 8
    subscription = harness.subscription
    assert (subscription.error["code"], subscription.needs_user) == ("source_refused", True)
    assert subscription.failures > 5


def test_a_calendar_that_was_set_ahead_and_back_does_not_stop_the_checks(harness, hub):
    harness.follow(f"hf:{REPO}:Q4_K_M")
    harness.clock.shift_calendar(400 * DAY)
    harness.run_maintenance()
    harness.clock.shift_calendar(-400 * DAY)
    harness.clock.advance(10)
    before = count_requests(hub)
    harness.run_maintenance()
    harness.clock.advance(10)
    harness.run_maintenance()
    assert count_requests(hub) == before + 1


def test_a_slow_source_does_not_keep_maintenance_waiting(harness, hub):
    """`check_if_due` returns while the Hub has not answered yet."""
    harness.follow(f"hf:{REPO}:Q4_K_M")
    harness.clock.advance(2 * DAY)
    entered, may_answer = threading.Event(), threading.Event()
    checker = SubscriptionChecker(harness.app.home, read_followed_list)

    class SlowChecker:
        origin_of = staticmethod(checker.origin_of)

        def check(self, subscription, stopping):
            entered.set()
            may_answer.wait(30)
            return checker.check(subscription, stopping)

    checks = SubscriptionChecks(harness.app.home, "w-1", SlowChecker())
    checks.check_if_due(harness.app.home.controls.gates())
    assert entered.wait(30)
    assert checks.busy
    assert not checks.is_idle(harness.app.home.controls.gates())
    harness.clock.advance(40)
    checks.check_if_due(harness.app.home.controls.gates())  # it renews the turn
    may_answer.set()
    pause = threading.Event()
    while checks.busy:
        pause.wait(0.001)
    checks.check_if_due(harness.app.home.controls.gates())
    assert checks.is_idle(harness.app.home.controls.gates())


def test_a_check_that_ends_in_an_unexpected_error_is_not_repeated_at_once(harness):
    harness.follow(f"hf:{REPO}:Q4_K_M")
    harness.clock.advance(2 * DAY)
    calls = []

    class BrokenChecker:
        def origin_of(self, subscription):
            return "https://huggingface.co"

        def check(self, subscription, stopping):
            calls.append(subscription.id)
            raise RuntimeError("a bug")

    checks = SubscriptionChecks(harness.app.home, "w-1", BrokenChecker())
    for _ in range(60):
        harness.clock.advance(1.0)
        harness.run_maintenance(by=checks)
    assert len(calls) == 1


# Owners, lists, old versions -----------------------------------------------------------------------------------------


def test_an_owners_existing_models_are_not_queued_and_new_quants_are(harness, hub):
    hub.facts.page_size = 2
    for name in ("A-GGUF", "B-GGUF", "C-safe"):
        hub.add(f"maker/{name}", f"{name}-Q4_K_M.gguf", gguf(4096, ord(name[0])))
    harness.follow("hf:maker/", include=["*-GGUF:Q4_*", "*-gguf:q8_0"])
    assert harness.job_refs() == []
    hub.add("maker/B-GGUF", "B-Q8_0.gguf", gguf(4096, 7))
    hub.add("maker/D-GGUF", "D-Q4_K_M.gguf", gguf(4096, 8))
    hub.add("maker/E-other", "E-Q4_K_M.gguf", gguf(4096, 9))
    harness.advance(3 * DAY, step=HOUR)
    assert sorted(harness.job_refs()) == ["hf:maker/B-GGUF:Q8_0", "hf:maker/D-GGUF:Q4_K_M"]
    assert set(harness.queued_updates().values()) == {1}


def test_a_list_is_read_again_at_each_check_and_a_line_that_was_removed_and_came_back_is_new(harness, hub, tmp_path):
    lines = tmp_path / "models.txt"
    lines.write_text(f"hf:{REPO}:Q4_K_M --priority 7\n")
    harness.follow(file=lines)
    run_due_jobs(harness.app)
    hub.add(REPO, "Tiny-Q8_0.gguf", gguf(4096, 8))
    lines.write_text(f"hf:{REPO}:Q4_K_M --priority 7\nabsent\nhf:{REPO}:Q8_0\n")
    harness.advance(2 * DAY, step=HOUR)
    assert harness.job_refs() == [f"hf:{REPO}:Q4_K_M", f"hf:{REPO}:Q8_0"]
    assert harness.subscription.error["message"].startswith("Line 2: ")
    assert harness.subscription.needs_user
    lines.unlink()
    harness.advance(2 * DAY, step=HOUR)
    assert "cannot be read" in harness.subscription.error["message"]
    lines.write_text(f"hf:{REPO}:Q8_0\n")
    hub.add(REPO, FILE, gguf(4096, 99))  # no line names it now
    harness.advance(2 * DAY, step=HOUR)
    assert (harness.subscription.error, len(harness.job_refs())) == (None, 2)


def publish_version(hub, number: int) -> None:
    """Publish another version under another file name."""
    for key in [key for key in hub.repositories.files if key[0] == REPO]:
        del hub.repositories.files[key]
    hub.add(REPO, f"Tiny-v{number}-Q4_K_M.gguf", gguf(4096, number))


@pytest.mark.parametrize(("keep", "remaining"), [(None, [1, 2, 3, 4]), (1, [1, 3, 4]), (0, [1, 4])])
def test_old_versions_beyond_keep_are_removed_but_none_that_the_subscription_did_not_install(
    harness, hub, keep, remaining
):
    publish_version(hub, 1)
    harness.app.enqueue(f"hf:{REPO}:Q4_K_M")  # a job of the user: its version stays whatever --keep says
    run_due_jobs(harness.app)
    harness.follow(f"hf:{REPO}:Q4_K_M", keep=keep)
    for number in (2, 3, 4):
        publish_version(hub, number)
        harness.advance(2 * DAY, step=HOUR)
        run_due_jobs(harness.app)
    harness.advance(2 * DAY, step=HOUR)
    names = sorted(path.name for path in harness.app.store.iterdir() if not path.name.startswith("."))
    assert names == [f"Tiny-v{number}-Q4_K_M.gguf" for number in remaining]


@pytest.mark.parametrize("held_by", ["place", "pin"])
def test_an_old_version_that_is_placed_or_pinned_stays_whatever_keep_says(harness, hub, tmp_path, held_by):
    publish_version(hub, 1)
    harness.follow(f"hf:{REPO}:Q4_K_M", keep=0)
    run_due_jobs(harness.app)
    publish_version(hub, 2)
    harness.advance(2 * DAY, step=HOUR)
    run_due_jobs(harness.app)
    old = harness.app.store / "Tiny-v1-Q4_K_M.gguf"
    home = harness.app.home
    if held_by == "place":
        home.placements.place(old.name, f"dir:{tmp_path / 'program'}")
    else:
        home.library.pin(home.entries.entry(old.name).claim, harness.clock.calendar_us)
    harness.advance(3 * DAY, step=HOUR)
    assert old.exists()
    if held_by == "place":
        home.placements.remove(home.placement_rows.all())
    else:
        home.library.unpin(home.entries.entry(old.name).claim)
    harness.advance(3 * DAY, step=HOUR)
    assert not old.exists()


def test_each_new_version_is_placed_in_the_programs_of_the_subscription(harness, hub, tmp_path):
    publish_version(hub, 1)
    harness.follow(f"hf:{REPO}:Q4_K_M", place=[f"dir:{tmp_path / 'program'}"])
    run_due_jobs(harness.app)
    publish_version(hub, 2)
    harness.advance(2 * DAY, step=HOUR)
    run_due_jobs(harness.app)
    harness.app.home.placements.place_pending(wait=True)  # as maintenance does
    assert (tmp_path / "program" / "Tiny-v2-Q4_K_M.gguf").read_bytes() == gguf(4096, 2)
    with pytest.raises(UsageInvalid):
        harness.follow(f"hf:{REPO}:Q4_K_M", place=["nothing"])


def test_an_old_version_stays_while_the_new_one_is_not_installed(harness, hub):
    publish_version(hub, 1)
    harness.follow(f"hf:{REPO}:Q4_K_M", keep=0)
    run_due_jobs(harness.app)
    publish_version(hub, 2)
    harness.advance(3 * DAY, step=HOUR)
    assert (harness.app.store / "Tiny-v1-Q4_K_M.gguf").exists()


def test_a_followed_repository_that_was_renamed_replaces_the_installed_version(harness, hub):
    harness.follow(f"hf:{REPO}:Q4_K_M")
    run_due_jobs(harness.app)
    hub.add("org/Renamed-GGUF", FILE, gguf(4096, 5))
    hub.facts.renamed[REPO] = "org/Renamed-GGUF"
    harness.advance(2 * DAY, step=HOUR)
    run_due_jobs(harness.app)
    assert harness.job_refs() == [f"hf:{REPO}:Q4_K_M"] * 2
    assert (harness.app.store / FILE).read_bytes() == gguf(4096, 5)


def test_a_damaged_row_is_read_without_its_damaged_values(harness):
    harness.follow(f"hf:{REPO}:Q4_K_M")
    with harness.app.home.engine.begin() as tx:
        tx.execute(sa.text("UPDATE subscriptions SET error = '{', include = '[', place = '7'"))
    subscription = harness.subscription
    assert (subscription.error, subscription.terms.include, subscription.terms.place) == (None, (), ())
    assert json.dumps(subscription.ref)
