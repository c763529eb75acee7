"""When a queued job may start: windows, earlier jobs, the network; one order of reasons; the screens say the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_clock import micros_of
from support.job_store import JobStore, artifact, store_in_berlin

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.jobs.commands import JobCommands
from flowhub_jobs.jobs.controls import JOBS_MAX, NETWORK
from flowhub_jobs.jobs.enqueue_rows import EnqueueTerms, Request
from flowhub_jobs.times import micros
from flowhub_jobs.values.enums import Reason, State
from flowhub_jobs.values.jobs import Job

HOUR = 3600
EVENING = "2026-11-23T20:00+01:00"  # a Monday
OPENS, CLOSES = "2026-11-23T23:00+01:00", "2026-11-24T07:00+01:00"


@pytest.fixture
def rooms(tmp_path: Path, any_database: str | None) -> Iterator[JobStore]:
    """A store in Berlin, on a Monday evening."""
    with store_in_berlin(tmp_path, any_database, EVENING) as rooms:
        yield rooms


def seen(rooms: JobStore, job: int) -> Job:
    return rooms.queries.jobs([job])[0]


def why(rooms: JobStore, job: int) -> tuple[Reason | None, int | None]:
    """Return the reason that the screens show, and until when."""
    found = seen(rooms, job)
    return found.reason, micros(found.not_before) if found.not_before else None


def offline(rooms: JobStore, seconds: float, text: str = "No host answers.") -> None:
    rooms.controls.set(NETWORK, {"text": text}, until=rooms.time.in_us(seconds))


# Jobs at a time ------------------------------------------------------------------------------------------------------


def test_no_more_jobs_run_at_a_time_than_the_node_may_under_all_its_workers(rooms):
    jobs = rooms.enqueue("a", "b", "c", "d")
    rooms.controls.set(JOBS_MAX, {"jobs": 2})
    assert rooms.owner.due(rooms.controls.gates()) == 2
    first = rooms.owner.claim(rooms.controls.gates())
    assert rooms.owner.due(rooms.controls.gates()) == 1
    assert rooms.worker("w-2").claim(rooms.controls.gates()).lease.job == jobs[1]
    assert rooms.worker("w-2").claim(rooms.controls.gates()) is None
    assert rooms.owner.due(rooms.controls.gates()) == 0
    assert why(rooms, jobs[2])[0] is Reason.SLOTS
    rooms.complete(first)
    assert why(rooms, jobs[2]) == (None, None)
    rooms.controls.set(JOBS_MAX, {"jobs": 1})
    assert rooms.claim_obeying() is None
    rooms.controls.set(JOBS_MAX, None)
    assert [rooms.claim_obeying() for _ in range(2)] == jobs[2:]


# The window ----------------------------------------------------------------------------------------------------------


def test_nothing_starts_outside_of_the_window_and_everything_inside(rooms):
    rooms.schedule("23:00-07:00")
    [job] = rooms.enqueue("a")
    assert why(rooms, job) == (Reason.WINDOW, micros_of(OPENS))
    assert (rooms.owner.due(rooms.controls.gates()), rooms.claim_obeying()) == (0, None)
    rooms.time.turn_to(OPENS)
    assert why(rooms, job) == (None, None)
    assert (rooms.owner.due(rooms.controls.gates()), rooms.claim_obeying()) == (1, job)


def test_a_gate_that_was_read_a_moment_ago_opens_on_time_all_the_same(rooms):
    rooms.schedule("23:00-07:00")
    [job] = rooms.enqueue("a")
    gates = rooms.controls.gates()
    assert gates.window_shut(rooms.time.in_us(0))
    rooms.time.turn_to(OPENS)
    assert not gates.window_shut(rooms.time.in_us(0))
    assert rooms.owner.claim(gates).lease.job == job


def test_a_job_that_runs_when_the_window_closes_is_handed_back_at_no_cost_and_continues_in_the_next(rooms):
    rooms.schedule("23:00-07:00")
    [job] = rooms.enqueue("a")
    rooms.time.turn_to(CLOSES)
    rooms.time.turn(-60)
    claimed = rooms.claim()
    assert not rooms.controls.gates().window_shut(rooms.time.in_us(0))
    rooms.time.turn(60)
    assert rooms.controls.gates().window_shut(rooms.time.in_us(0))
    claimed.lease.extend(rooms.time.awake_s + 30)
    rooms.owner.hand_back(claimed.lease, "The schedule's window closed")
    assert (seen(rooms, job).attempt, why(rooms, job)[0]) == (0, Reason.WINDOW)
    assert rooms.queries.events(job)[-1].text == "The schedule's window closed; the job was handed back."
    rooms.time.turn_to("2026-11-24T23:00+01:00")
    assert rooms.claim_obeying() == job


def test_a_schedule_that_is_changed_while_jobs_wait_is_obeyed_at_once(rooms):
    [job] = rooms.enqueue("a")
    rooms.schedule("23:00-07:00")
    assert why(rooms, job) == (Reason.WINDOW, micros_of(OPENS))
    rooms.schedule("21:00-07:00")
    assert why(rooms, job) == (Reason.WINDOW, micros_of("2026-11-23T21:00+01:00"))
    rooms.schedule("19:00-07:00")
    assert why(rooms, job) == (None, None)
    rooms.schedule("19:00-07:00", "tue")
    assert why(rooms, job) == (Reason.WINDOW, micros_of("2026-11-24T19:00+01:00"))
    rooms.schedule(None)
    assert rooms.claim_obeying() == job


def test_outside_at_a_rate_jobs_run_and_the_gates_say_how_fast(rooms):
    rooms.schedule("23:00-07:00", outside="500K")
    [job] = rooms.enqueue("a")
    assert rooms.controls.gates().rate_bps == 500_000
    assert why(rooms, job) == (None, None)
    assert rooms.claim_obeying() == job
    rooms.time.turn_to(OPENS)
    assert rooms.controls.gates().rate_bps is None


def test_the_schedule_is_that_of_one_node(rooms, tmp_path):
    rooms.schedule("23:00-07:00")
    other = JobStore(tmp_path, node="n-other")
    assert other.controls.schedule() is None
    other.close()


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-10-24T23:00+02:00", "2026-10-25T02:30+02:00"),  # the hour that comes twice: its first
        ("2027-03-27T23:00+01:00", "2027-03-28T03:00+02:00"),  # the hour that is skipped: behind it
    ],
)
def test_over_a_change_of_the_clock_the_screens_and_the_claim_agree(rooms, now, opens):
    rooms.schedule("02:30-05:00")
    rooms.time.turn_to(now)
    [job] = rooms.enqueue("a")
    assert why(rooms, job) == (Reason.WINDOW, micros_of(opens))
    rooms.time.turn_to(opens)
    rooms.time.turn(-1)
    assert rooms.claim_obeying() is None
    rooms.time.turn(1)
    assert rooms.claim_obeying() == job


# The network ---------------------------------------------------------------------------------------------------------


def test_while_the_network_is_down_nothing_starts_and_the_reason_says_so(rooms):
    [job] = rooms.enqueue("a")
    offline(rooms, 60)
    assert why(rooms, job) == (Reason.NETWORK, rooms.time.in_us(60))
    assert rooms.queries.holds(job)[0].text == "No host answers."
    assert (rooms.owner.due(rooms.controls.gates()), rooms.claim_obeying()) == (0, None)
    rooms.time.turn(60)
    assert why(rooms, job) == (None, None)
    assert rooms.claim_obeying() == job


def test_a_network_that_is_back_sooner_holds_no_job(rooms):
    [job] = rooms.enqueue("a")
    offline(rooms, 60)
    rooms.controls.set(NETWORK, None)
    assert rooms.claim_obeying() == job


def test_a_closed_window_and_a_network_that_is_down_are_both_shown(rooms):
    rooms.schedule("23:00-07:00")
    [job] = rooms.enqueue("a")
    offline(rooms, 60)
    assert [hold.reason for hold in rooms.queries.holds(job)] == [Reason.WINDOW, Reason.NETWORK]
    rooms.schedule("23:00-07:00", outside="1M")
    assert [hold.reason for hold in rooms.queries.holds(job)] == [Reason.NETWORK]


# After other jobs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["complete", "cancel", "fail"])
def test_a_job_starts_once_the_earlier_one_has_ended_however_that_was(rooms, end):
    from flowhub_jobs.errors import SourceMissing

    [first] = rooms.enqueue("a")
    [then] = rooms.enqueue("b", after=(first,), priority=9)
    assert why(rooms, then) == (Reason.AFTER, None)
    assert rooms.owner.due() == 1
    claimed = rooms.claim()
    assert claimed.lease.job == first
    assert rooms.claim_obeying() is None
    if end == "complete":
        rooms.complete(claimed)
    elif end == "fail":
        rooms.owner.fail(claimed.lease, SourceMissing("Gone."))
    else:
        rooms.commands.cancel(first)
        rooms.owner.release_as_requested(claimed.lease)
    assert why(rooms, then) == (None, None)
    assert rooms.claim_obeying() == then


def test_a_job_waits_for_each_of_several_and_they_are_named_with_their_states(rooms):
    a, b, c, d = rooms.enqueue("a", "b", "c", "d")
    [then] = rooms.enqueue("e", after=(d, a, b, c, a))
    rooms.commands.pause(b)
    rooms.claim()
    [hold] = rooms.queries.holds(then)
    assert hold.text == "Still to end: job 1 (running), job 2 (paused), job 3 (queued) and 1 more."
    for job in (a, b, c):
        rooms.commands.cancel(job)
    assert rooms.queries.holds(then)[0].text == "Still to end: job 1 (running), job 4 (queued)."


def test_a_chain_runs_one_by_one_in_its_order_whatever_the_priorities(rooms):
    [a] = rooms.enqueue("a", priority=-1)
    [b] = rooms.enqueue("b", after=(a,), priority=5)
    [c] = rooms.enqueue("c", after=(b,), priority=9)
    done = []
    while (claimed := rooms.owner.claim()) is not None:
        assert rooms.owner.claim() is None
        done.append(claimed.lease.job)
        rooms.complete(claimed)
    assert done == [a, b, c]


def test_a_retry_of_the_earlier_job_makes_the_later_wait_again_if_it_has_not_started(rooms):
    [first] = rooms.enqueue("a")
    [then] = rooms.enqueue("b", after=(first,))
    rooms.commands.cancel(first)
    assert rooms.owner.due() == 1
    rooms.commands.retry(first)
    assert why(rooms, then)[0] is Reason.AFTER
    assert rooms.claim().lease.job == first
    assert rooms.owner.claim() is None


def test_a_later_job_that_runs_already_continues_when_the_earlier_is_retried(rooms):
    [first] = rooms.enqueue("a")
    [then] = rooms.enqueue("b", after=(first,))
    rooms.commands.cancel(first)
    claimed = rooms.claim()
    assert claimed.lease.job == then
    rooms.commands.retry(first)
    rooms.complete(claimed)
    assert seen(rooms, then).state == "completed"


def test_a_job_that_has_ended_already_is_not_waited_for(rooms):
    [first] = rooms.enqueue("a")
    rooms.commands.cancel(first)
    [then] = rooms.enqueue("b", after=(first,))
    assert rooms.claim_obeying() == then


def test_an_answer_that_was_queued_before_keeps_its_own_terms_so_that_nothing_waits_for_itself(rooms):
    [first] = rooms.enqueue("a")
    assert rooms.enqueue("a", after=(first,)) == [first]
    assert rooms.claim_obeying() == first


def test_a_job_for_an_installed_model_waits_for_no_other(rooms):
    [first] = rooms.enqueue("a")
    request = Request(artifact("b"), "/store/b", EnqueueTerms(after=(first,)), installed=True)
    [answer] = rooms.commands.enqueue([request])
    assert seen(rooms, answer.job).state == "completed"


def test_a_job_of_another_node_is_waited_for_too(rooms):
    theirs = JobCommands(rooms.engine, "n-other", rooms.time.clock)
    [first] = [answer.job for answer in theirs.enqueue([Request(artifact("a"), "/x")])]
    [then] = rooms.enqueue("b", after=(first,))
    assert why(rooms, then)[0] is Reason.AFTER
    assert rooms.queries.still_to_do()
    theirs.pause(first)
    assert not rooms.queries.still_to_do()
    theirs.cancel(first)
    assert rooms.claim_obeying() == then


# The order of the reasons --------------------------------------------------------------------------------------------


def test_of_all_that_holds_the_first_of_the_order_is_shown_and_then_the_next(rooms):
    """Peeled one by one: what is left when the first is over is shown with its own time."""
    rooms.owner.register(1, 1)
    [busy] = rooms.enqueue("busy")
    assert rooms.claim().lease.job == busy
    [earlier] = rooms.enqueue("earlier", not_before=rooms.time.in_us(10 * HOUR))
    at = rooms.time.in_us(HOUR)
    [job] = rooms.enqueue("job", not_before=at, after=(earlier,))
    rooms.schedule("23:00-07:00")
    offline(rooms, 5 * HOUR)
    all_of_it = [Reason.AT, Reason.WINDOW, Reason.AFTER, Reason.NETWORK, Reason.SLOTS]
    assert [hold.reason for hold in rooms.queries.holds(job)] == all_of_it
    assert why(rooms, job) == (Reason.AT, at)
    rooms.time.turn(HOUR)
    assert why(rooms, job) == (Reason.WINDOW, micros_of(OPENS))
    rooms.time.turn_to(OPENS)
    assert why(rooms, job) == (Reason.AFTER, None)
    rooms.commands.cancel(earlier)
    assert why(rooms, job) == (Reason.NETWORK, rooms.time.in_us(2 * HOUR))
    rooms.time.turn(2 * HOUR)
    assert why(rooms, job) == (Reason.SLOTS, None)
    rooms.owner.unregister()
    assert why(rooms, job) == (None, None)


@pytest.mark.parametrize("own", [Reason.STORE_OFFLINE, Reason.DISK, Reason.HOST_WAIT, Reason.BACKOFF])
def test_a_wait_of_its_own_takes_its_place_between_the_nodes(rooms, own):
    [job] = rooms.enqueue("a")
    until = rooms.time.in_us(300)
    rooms.owner.wait(rooms.claim().lease, until, own, FlowhubError("As its run left it."), faults=0, cost=True)
    rooms.schedule("23:00-07:00")
    offline(rooms, 60)
    order = [hold.reason for hold in rooms.queries.holds(job)]
    assert order == sorted([Reason.WINDOW, Reason.NETWORK, own], key=list(Reason).index)
    rooms.schedule(None)
    rooms.controls.set(NETWORK, None)
    assert why(rooms, job) == (own, until)


# A job that is started by request ------------------------------------------------------------------------------------


def test_a_started_job_begins_outside_of_the_window_and_no_other_does(rooms):
    rooms.schedule("23:00-07:00")
    _, job = rooms.enqueue("a", "b")
    assert not rooms.queries.still_to_do()
    assert rooms.commands.start(job) == "queued"
    assert why(rooms, job) == (None, None)
    assert rooms.queries.still_to_do(), "a worker that drains stays for it"
    gates = rooms.controls.gates()
    assert (rooms.owner.due(gates), rooms.claim_obeying(), rooms.claim_obeying()) == (1, job, None)


def test_a_started_job_has_no_time_of_its_own_any_more_and_keeps_its_place_after_a_hand_back(rooms):
    rooms.schedule("23:00-07:00")
    [job] = rooms.enqueue("a", not_before=rooms.time.in_us(HOUR))
    rooms.commands.start(job)
    claimed = rooms.owner.claim(rooms.controls.gates())
    assert claimed.start_now, "a worker does not hand it back when the window closes"
    rooms.owner.hand_back(claimed.lease)
    assert rooms.claim_obeying() == job


def test_a_started_job_waits_for_the_network_and_for_earlier_jobs_all_the_same(rooms):
    [first] = rooms.enqueue("a")
    [then] = rooms.enqueue("b", after=(first,))
    rooms.commands.start(then)
    assert why(rooms, then)[0] is Reason.AFTER
    offline(rooms, 60)
    rooms.commands.start(first)
    assert (why(rooms, first)[0], rooms.claim_obeying()) == (Reason.NETWORK, None)


def test_a_retry_keeps_to_the_window_again(rooms):
    job = rooms.job_in(State.CANCELLED)
    rooms.set_row(job, start_now=True)
    rooms.schedule("23:00-07:00")
    rooms.commands.retry(job)
    assert why(rooms, job)[0] is Reason.WINDOW


# The priority, changed later -----------------------------------------------------------------------------------------


def test_a_priority_that_is_changed_later_is_obeyed_by_the_next_claim(rooms):
    a, b, c = rooms.enqueue("a", "b", "c")
    assert rooms.commands.set_priority(c, 5) == "queued"
    assert rooms.commands.set_priority(a, -5) == "queued"
    assert [rooms.claim().lease.job for _ in range(3)] == [c, b, a]
    assert rooms.queries.events(c)[1].text == "Its priority is 5 now."


# What a drain stays for ----------------------------------------------------------------------------------------------


def test_a_drain_does_not_stay_for_a_shut_window_nor_for_a_network_that_is_down(rooms):
    [job] = rooms.enqueue("a")
    assert rooms.queries.still_to_do()
    rooms.schedule("23:00-07:00")
    assert not rooms.queries.still_to_do()
    rooms.schedule(None)
    offline(rooms, 60)
    assert not rooms.queries.still_to_do()
    rooms.time.turn(60)
    assert rooms.claim_obeying() == job
    rooms.schedule("23:00-07:00")
    assert rooms.queries.still_to_do(), "what runs is waited for, also while it is being handed back"


def test_a_drain_stays_as_long_as_a_job_that_others_wait_for_is_to_do(rooms):
    [first] = rooms.enqueue("a")
    [then] = rooms.enqueue("b", after=(first,))
    assert rooms.queries.still_to_do()
    claimed = rooms.claim()
    assert rooms.queries.still_to_do()
    rooms.complete(claimed)
    assert rooms.queries.still_to_do()
    rooms.complete(rooms.claim())
    assert seen(rooms, then).state == "completed"
    assert not rooms.queries.still_to_do()


def test_a_drain_does_not_stay_for_what_waits_for_a_paused_job_or_one_that_is_held(rooms):
    paused, later = rooms.enqueue("a", "b")
    rooms.enqueue("c", after=(paused,))
    rooms.enqueue("d", after=(later,))
    rooms.commands.pause(paused)
    rooms.set_row(later, not_before=rooms.time.in_us(HOUR), wait_reason=Reason.AT)
    assert not rooms.queries.still_to_do()
    rooms.time.turn(HOUR)
    assert rooms.queries.still_to_do()
