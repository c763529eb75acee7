"""A worker keeps references up to date: each change is queued once, whatever clock, hosts and other workers do."""

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


class Night:
    """A home whose clock a test turns, and the checks of its workers."""

    def __init__(self, app: App, clock: FakeClock) -> None:
        self.app, self.clock = app, clock
        self.checks = self.worker("w-1")

    def worker(self, name: str) -> SubscriptionChecks:
        checker = SubscriptionChecker(self.app.home, read_followed_list)
        return SubscriptionChecks(self.app.home, name, checker)

    def follow(self, *refs: str, file: object = None, **options: object) -> None:
        self.app.session = type(self.app.session)(self.app.home)  # it caches the Hub's answers
        follow(self.app.session, refs, None if file is None else str(file), options, read_followed_list)

    def second(self, *, by: SubscriptionChecks | None = None) -> None:
        """Do what maintenance does in a second, and let the round end."""
        checks = by or self.checks
        checks.check_if_due(self.app.home.controls.gates())
        pause = threading.Event()
        while checks.busy:
            pause.wait(0.001)

    def live(self, seconds: float, step: float = 10 * MINUTE) -> None:
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.second()

    def jobs(self) -> list[str]:
        with reading(self.app.home.engine) as tx:
            return list(tx.execute(sa.select(jobs.c.ref).order_by(jobs.c.id)).scalars())

    def updates(self) -> Counter[str]:
        """Return how many newer versions were queued, by reference."""
        query = sa.select(jobs.c.ref).join(events, events.c.job_id == jobs.c.id)
        with reading(self.app.home.engine) as tx:
            return Counter(tx.execute(query.where(events.c.kind == EventKind.UPDATE)).scalars())

    @property
    def one(self):
        [one] = all_subscriptions(self.app.session)
        return one


@contextmanager
def night_of(home, monkeypatch, hub, database, *models) -> Iterator[Night]:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    if database:
        monkeypatch.setenv("FLOWHUB_DATABASE_URL", database)
    clock = FakeClock()
    with app_of(home, *models, clock=clock.clock) as app:
        yield Night(app, clock)


@pytest.fixture
def night(home, monkeypatch, hub):
    hub.add(REPO, FILE, gguf(4096, 0))
    with night_of(home, monkeypatch, hub, None) as night:
        yield night


@pytest.fixture
def on_any_database(home, monkeypatch, hub, any_database):
    hub.add(REPO, FILE, gguf(4096, 0))
    with night_of(home, monkeypatch, hub, any_database) as night:
        yield night


def asked(hub) -> int:
    """Return how many repositories the Hub was asked about."""
    return sum("/revision/" in request.path for request in hub.front.requests())


# Each change once ----------------------------------------------------------------------------------------------------


def test_over_a_month_each_change_is_queued_once_and_notified(on_any_database, hub, origin, tmp_path):
    """A model of the catalog, a quant of the Hub, an owner and a list, some of which change on some days."""
    night, lines = on_any_database, tmp_path / "models.txt"
    hub.add("org/Listed-GGUF", "Listed-Q8_0.gguf", gguf(4096, 1))
    lines.write_text("hf:org/Listed-GGUF:Q8_0\n")

    def offer(seed: int) -> None:
        night.app.set_models(one_file_model("a", origin.serve(f"/{seed}/a.gguf", gguf(4096, seed)), gguf(4096, seed)))

    offer(100)
    night.follow("a", f"hf:{REPO}:Q4_K_M")
    night.follow("hf:org/", include=["New*:Q4_K_M", "Whole*"])
    night.follow(file=lines, every="12h")
    assert sorted(night.jobs()) == ["a@q4", "hf:org/Listed-GGUF:Q8_0", f"hf:{REPO}:Q4_K_M"]
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
        night.live(DAY, step=2 * HOUR)
        run_due_jobs(night.app)
    assert night.updates() == {
        f"hf:{REPO}:Q4_K_M": 2,
        "a@q4": 2,
        "hf:org/New-GGUF:Q4_K_M": 1,
        "hf:org/Whole-GGUF:Q2_K": 1,
        "hf:org/Listed-GGUF:Q8_0": 1,
    }
    assert len(night.jobs()) == 3 + 7
    assert (night.app.store / FILE).read_bytes() == gguf(4096, 17)
    assert all(one.error is None for one in all_subscriptions(night.app.session))


def test_after_a_week_asleep_each_is_checked_once_and_not_all_at_the_same_time(night, hub):
    repos = [f"org/Many{number}-GGUF" for number in range(20)]
    for seed, repo in enumerate(repos):
        hub.add(repo, "Many-Q4_K_M.gguf", gguf(4096, 50 + seed))
    night.follow(*(f"hf:{repo}:Q4_K_M" for repo in repos))
    night.clock.advance(7 * DAY)
    before, counts = asked(hub), []
    for _ in range(100):
        seen = asked(hub)
        night.clock.advance(1.0)
        night.second()
        counts.append(asked(hub) - seen)
    assert asked(hub) - before == len(repos)
    assert max(counts) == 1
    assert all(first + second <= 1 for first, second in itertools.pairwise(counts))
    spread = {one.next_at for one in all_subscriptions(night.app.session)}
    assert max(spread) - min(spread) > 60 * 1_000_000


def test_a_change_whose_job_the_user_cancelled_or_whose_model_was_removed_is_not_queued_again(night, hub):
    night.follow(f"hf:{REPO}:Q4_K_M")
    night.app.session.cancel(1)
    night.live(3 * DAY, step=HOUR)
    assert len(night.jobs()) == 1
    hub.add(REPO, FILE, gguf(4096, 1))
    night.live(2 * DAY, step=HOUR)
    assert len(night.jobs()) == 2


def test_a_new_version_that_fails_leaves_the_old_one(night, hub):
    night.follow(f"hf:{REPO}:Q4_K_M")
    run_due_jobs(night.app)
    hub.add(REPO, FILE, gguf(4096, 1))
    hub.break_cdn(Status(404))
    night.live(2 * DAY, step=HOUR)
    run_due_jobs(night.app)
    assert len(night.jobs()) == 2
    assert (night.app.store / FILE).read_bytes() == gguf(4096, 0)


def test_a_model_that_was_changed_by_hand_is_not_replaced_and_needs_the_user(night, hub):
    night.follow(f"hf:{REPO}:Q4_K_M")
    run_due_jobs(night.app)
    (night.app.store / FILE).write_bytes(b"mine")
    hub.add(REPO, FILE, gguf(4096, 1))
    night.live(2 * DAY, step=HOUR)
    assert (len(night.jobs()), night.one.error["code"], night.one.needs_user) == (1, "name_taken", True)


# Crashes, and two workers --------------------------------------------------------------------------------------------


class Crash(Exception):
    """The process ended here."""


def test_a_crash_between_queueing_and_the_result_queues_nothing_and_the_next_check_queues_once(
    on_any_database, hub, monkeypatch
):
    night = on_any_database
    night.follow(f"hf:{REPO}:Q4_K_M")
    hub.add(REPO, FILE, gguf(4096, 1))
    real = subscription_rows.SubscriptionRows.record

    def crash(self, tx, *arguments):
        real(self, tx, *arguments)
        assert tx.execute(sa.select(sa.func.count()).select_from(jobs)).scalar() == 2
        raise Crash

    night.clock.advance(2 * DAY)
    with monkeypatch.context() as patch:
        patch.setattr(subscription_rows.SubscriptionRows, "record", crash)
        night.second()
    assert len(night.jobs()) == 1
    night.live(DAY, step=HOUR)
    assert night.updates() == {f"hf:{REPO}:Q4_K_M": 1}


def test_two_checks_of_one_change_queue_it_once(on_any_database, hub):
    """Two workers that hold the same turn, as after a long sleep, look at the same time: the first result counts."""
    night = on_any_database
    night.follow(f"hf:{REPO}:Q4_K_M")
    hub.add(REPO, FILE, gguf(4096, 1))
    night.clock.advance(2 * DAY)
    [due] = [night.one]
    stopping = threading.Event()
    checker = SubscriptionChecker(night.app.home, read_followed_list)
    threads = [threading.Thread(target=checker.check, args=(due, stopping)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert night.updates() == {f"hf:{REPO}:Q4_K_M": 1}
    assert night.one.version == due.version + 1


def test_a_worker_that_slept_between_its_look_and_its_outcome_queues_nothing(on_any_database, hub):
    night = on_any_database
    night.follow(f"hf:{REPO}:Q4_K_M")
    hub.add(REPO, FILE, gguf(4096, 1))
    session = Session(night.app.home)
    due, known = night.one, SubscriptionQueries(session.home.database, session.node).items(night.one.id)
    looks = [
        check_source(session, due, known, read_followed_list, pause_s=0.0, stopping=threading.Event()) for _ in range(2)
    ]
    [job] = write_result(session, due, known, looks[0], 0.5)
    session.cancel(job.job)
    assert write_result(session, due, known, looks[1], 0.5) == []
    assert len(night.jobs()) == 2


@pytest.mark.parametrize("hangs", [True, False], ids=["it hangs", "it is gone"])
def test_only_the_worker_that_has_the_turn_checks_and_a_dead_one_has_it_no_longer(on_any_database, hub, hangs):
    night = on_any_database
    night.follow(f"hf:{REPO}:Q4_K_M")
    night.clock.advance(2 * DAY)
    first, second = night.worker("w-a"), night.worker("w-b")
    alive = LockFile(night.app.settings.locks / "w-a.lock")
    assert first._take_turn()
    before = asked(hub)
    night.second(by=second)
    assert asked(hub) == before
    if hangs:
        night.clock.advance(3 * MINUTE)  # it has not renewed its turn
    else:
        alive.release()
        (night.app.settings.locks / "w-a.lock").unlink(missing_ok=True)  # as its rescuer does
    night.second(by=second)
    assert asked(hub) == before + 1


def test_a_worker_that_stops_gives_its_turn_back(night, hub):
    night.follow(f"hf:{REPO}:Q4_K_M")
    night.clock.advance(2 * DAY)
    first, second = night.worker("w-a"), night.worker("w-b")
    alive = LockFile(night.app.settings.locks / "w-a.lock")
    assert first._take_turn()
    first.close()
    before = asked(hub)
    night.second(by=second)
    assert asked(hub) == before + 1
    alive.release()


def test_a_subscription_that_was_removed_during_its_check_queues_nothing(night, hub):
    night.follow(f"hf:{REPO}:Q4_K_M")
    hub.add(REPO, FILE, gguf(4096, 1))
    night.clock.advance(2 * DAY)
    due = night.one
    unfollow(night.app.session, None)
    SubscriptionChecker(night.app.home, read_followed_list).check(due, threading.Event())
    assert len(night.jobs()) == 1


# When it may be checked ----------------------------------------------------------------------------------------------


def test_outside_the_schedules_window_and_offline_nothing_is_checked(night, hub):
    night.follow(f"hf:{REPO}:Q4_K_M")
    before = asked(hub)
    night.clock.set_to("2026-12-05T12:00+00:00")
    night.app.home.controls.set(SCHEDULE, Schedule.parse("23:00-07:00").as_json())
    night.live(HOUR)
    assert asked(hub) == before
    night.clock.set_to("2026-12-06T01:00+00:00")
    night.second()
    assert asked(hub) == before + 1


def test_a_host_that_holds_its_jobs_is_not_asked(night, hub):
    night.follow(f"hf:{REPO}:Q4_K_M")
    night.clock.advance(2 * DAY)
    waits = HostWaits(night.app.home.engine, night.app.home.node, night.app.home.clock)
    waits.hold(origin_of(HUB), "t", ServerBusy("It is busy."), lambda tries: 300.0, 0.0)
    before = asked(hub)
    night.second()
    assert asked(hub) == before
    night.clock.advance(301)
    night.second()
    assert asked(hub) == before + 1


def test_a_busy_hub_is_asked_after_the_time_that_it_names_and_others_of_it_wait_too(night, hub):
    hub.add("org/Other-GGUF", "Other-Q4_K_M.gguf", gguf(4096, 5))
    night.follow(f"hf:{REPO}:Q4_K_M", "hf:org/Other-GGUF:Q4_K_M")
    night.clock.advance(2 * DAY)
    hub.break_front(Status(429, {"Retry-After": "1000"}))
    night.second()
    before = asked(hub)
    night.live(4 * MINUTE, step=1.0)
    assert asked(hub) == before
    failing = [one for one in all_subscriptions(night.app.session) if one.error]
    assert [(one.error["code"], one.failures, one.needs_user) for one in failing] == [("server_busy", 1, False)]
    hub.break_front()
    night.live(HOUR, step=MINUTE)
    assert [one.error for one in all_subscriptions(night.app.session)] == [None, None]


def test_a_repository_that_is_gone_needs_the_user_and_is_checked_as_seldom_as_before(night, hub):
    night.follow(f"hf:{REPO}:Q4_K_M")
    hub.facts.disabled.add(REPO)
    before = asked(hub)
    night.live(7 * DAY, step=HOUR)
    assert 6 <= asked(hub) - before <= 8
    assert (night.one.error["code"], night.one.needs_user, night.one.failures > 5) == ("source_refused", True, True)


def test_a_calendar_that_was_set_ahead_and_back_does_not_stop_the_checks(night, hub):
    night.follow(f"hf:{REPO}:Q4_K_M")
    night.clock.set_calendar(400 * DAY)
    night.second()
    night.clock.set_calendar(-400 * DAY)
    night.clock.advance(10)
    before = asked(hub)
    night.second()
    night.clock.advance(10)
    night.second()
    assert asked(hub) == before + 1


def test_a_slow_source_does_not_keep_maintenance_waiting(night, hub):
    """`check_if_due` returns while the Hub has not answered yet."""
    night.follow(f"hf:{REPO}:Q4_K_M")
    night.clock.advance(2 * DAY)
    entered, may_answer = threading.Event(), threading.Event()
    checker = SubscriptionChecker(night.app.home, read_followed_list)

    class Slow:
        origin_of = staticmethod(checker.origin_of)

        def check(self, subscription, stopping):
            entered.set()
            may_answer.wait(30)
            return checker.check(subscription, stopping)

    checks = SubscriptionChecks(night.app.home, "w-1", Slow())
    checks.check_if_due(night.app.home.controls.gates())
    assert entered.wait(30)
    assert checks.busy
    assert not checks.settled(night.app.home.controls.gates())
    night.clock.advance(40)
    checks.check_if_due(night.app.home.controls.gates())  # which renews the turn
    may_answer.set()
    pause = threading.Event()
    while checks.busy:
        pause.wait(0.001)
    checks.check_if_due(night.app.home.controls.gates())
    assert checks.settled(night.app.home.controls.gates())


def test_a_check_that_ends_in_an_unexpected_error_is_not_repeated_at_once(night):
    night.follow(f"hf:{REPO}:Q4_K_M")
    night.clock.advance(2 * DAY)
    calls = []

    class Broken:
        def origin_of(self, subscription):
            return "https://huggingface.co"

        def check(self, subscription, stopping):
            calls.append(subscription.id)
            raise RuntimeError("a bug")

    checks = SubscriptionChecks(night.app.home, "w-1", Broken())
    for _ in range(60):
        night.clock.advance(1.0)
        night.second(by=checks)
    assert len(calls) == 1


# Owners, lists, old versions -----------------------------------------------------------------------------------------


def test_an_owners_models_that_were_there_are_not_queued_and_new_quants_are(night, hub):
    hub.facts.page_size = 2
    for name in ("A-GGUF", "B-GGUF", "C-safe"):
        hub.add(f"maker/{name}", f"{name}-Q4_K_M.gguf", gguf(4096, ord(name[0])))
    night.follow("hf:maker/", include=["*-GGUF:Q4_*", "*-gguf:q8_0"])
    assert night.jobs() == []
    hub.add("maker/B-GGUF", "B-Q8_0.gguf", gguf(4096, 7))
    hub.add("maker/D-GGUF", "D-Q4_K_M.gguf", gguf(4096, 8))
    hub.add("maker/E-other", "E-Q4_K_M.gguf", gguf(4096, 9))
    night.live(3 * DAY, step=HOUR)
    assert sorted(night.jobs()) == ["hf:maker/B-GGUF:Q8_0", "hf:maker/D-GGUF:Q4_K_M"]
    assert set(night.updates().values()) == {1}


def test_a_list_is_read_again_at_each_check_and_a_line_that_was_removed_and_came_back_is_new(night, hub, tmp_path):
    lines = tmp_path / "models.txt"
    lines.write_text(f"hf:{REPO}:Q4_K_M --priority 7\n")
    night.follow(file=lines)
    run_due_jobs(night.app)
    hub.add(REPO, "Tiny-Q8_0.gguf", gguf(4096, 8))
    lines.write_text(f"hf:{REPO}:Q4_K_M --priority 7\nabsent\nhf:{REPO}:Q8_0\n")
    night.live(2 * DAY, step=HOUR)
    assert night.jobs() == [f"hf:{REPO}:Q4_K_M", f"hf:{REPO}:Q8_0"]
    assert night.one.error["message"].startswith("Line 2: ")
    assert night.one.needs_user
    lines.unlink()
    night.live(2 * DAY, step=HOUR)
    assert "cannot be read" in night.one.error["message"]
    lines.write_text(f"hf:{REPO}:Q8_0\n")
    hub.add(REPO, FILE, gguf(4096, 99))  # no line names it any more
    night.live(2 * DAY, step=HOUR)
    assert (night.one.error, len(night.jobs())) == (None, 2)


def versioned(hub, number: int) -> None:
    """Publish another version under another file name."""
    for key in [key for key in hub.repositories.files if key[0] == REPO]:
        del hub.repositories.files[key]
    hub.add(REPO, f"Tiny-v{number}-Q4_K_M.gguf", gguf(4096, number))


@pytest.mark.parametrize(("keep", "left"), [(None, [1, 2, 3, 4]), (1, [1, 3, 4]), (0, [1, 4])])
def test_old_versions_beyond_keep_are_removed_but_none_that_the_subscription_did_not_install(night, hub, keep, left):
    versioned(hub, 1)
    night.app.enqueue(f"hf:{REPO}:Q4_K_M")  # the user's own: it stays whatever --keep says
    run_due_jobs(night.app)
    night.follow(f"hf:{REPO}:Q4_K_M", keep=keep)
    for number in (2, 3, 4):
        versioned(hub, number)
        night.live(2 * DAY, step=HOUR)
        run_due_jobs(night.app)
    night.live(2 * DAY, step=HOUR)
    names = sorted(path.name for path in night.app.store.iterdir() if not path.name.startswith("."))
    assert names == [f"Tiny-v{number}-Q4_K_M.gguf" for number in left]


@pytest.mark.parametrize("held_by", ["place", "pin"])
def test_an_old_version_that_is_placed_or_pinned_stays_whatever_keep_says(night, hub, tmp_path, held_by):
    versioned(hub, 1)
    night.follow(f"hf:{REPO}:Q4_K_M", keep=0)
    run_due_jobs(night.app)
    versioned(hub, 2)
    night.live(2 * DAY, step=HOUR)
    run_due_jobs(night.app)
    old = night.app.store / "Tiny-v1-Q4_K_M.gguf"
    home = night.app.home
    if held_by == "place":
        home.placements.place(old.name, f"dir:{tmp_path / 'program'}")
    else:
        home.library.pin(home.entries.entry(old.name).claim, night.clock.calendar_us)
    night.live(3 * DAY, step=HOUR)
    assert old.exists()
    if held_by == "place":
        home.placements.remove(home.placement_rows.all())
    else:
        home.library.unpin(home.entries.entry(old.name).claim)
    night.live(3 * DAY, step=HOUR)
    assert not old.exists()


def test_each_new_version_is_placed_in_the_programs_of_the_subscription(night, hub, tmp_path):
    versioned(hub, 1)
    night.follow(f"hf:{REPO}:Q4_K_M", place=[f"dir:{tmp_path / 'program'}"])
    run_due_jobs(night.app)
    versioned(hub, 2)
    night.live(2 * DAY, step=HOUR)
    run_due_jobs(night.app)
    night.app.home.placements.settle(wait=True)  # as maintenance does
    assert (tmp_path / "program" / "Tiny-v2-Q4_K_M.gguf").read_bytes() == gguf(4096, 2)
    with pytest.raises(UsageInvalid):
        night.follow(f"hf:{REPO}:Q4_K_M", place=["nothing"])


def test_an_old_version_stays_while_the_new_one_is_not_installed(night, hub):
    versioned(hub, 1)
    night.follow(f"hf:{REPO}:Q4_K_M", keep=0)
    run_due_jobs(night.app)
    versioned(hub, 2)
    night.live(3 * DAY, step=HOUR)
    assert (night.app.store / "Tiny-v1-Q4_K_M.gguf").exists()


def test_a_followed_repository_that_was_renamed_replaces_the_installed_version(night, hub):
    night.follow(f"hf:{REPO}:Q4_K_M")
    run_due_jobs(night.app)
    hub.add("org/Renamed-GGUF", FILE, gguf(4096, 5))
    hub.facts.renamed[REPO] = "org/Renamed-GGUF"
    night.live(2 * DAY, step=HOUR)
    run_due_jobs(night.app)
    assert night.jobs() == [f"hf:{REPO}:Q4_K_M"] * 2
    assert (night.app.store / FILE).read_bytes() == gguf(4096, 5)


def test_a_damaged_row_is_read_without_its_damaged_values(night):
    night.follow(f"hf:{REPO}:Q4_K_M")
    with night.app.home.engine.begin() as tx:
        tx.execute(sa.text("UPDATE subscriptions SET error = '{', include = '[', place = '7'"))
    assert (night.one.error, night.one.terms.include, night.one.terms.place) == (None, (), ())
    assert json.dumps(night.one.ref)
