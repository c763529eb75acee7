"""Conditions for a queued job to start: windows, earlier jobs, the network; the order of reasons on the screens."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.fake_clock import micros_of
from support.job_store import JobStore, artifact, store_in_berlin

from flowhub_jobs.errors import FlowhubError, SourceMissing
from flowhub_jobs.jobs.commands import JobCommands
from flowhub_jobs.jobs.controls import JOBS_MAX, NETWORK
from flowhub_jobs.jobs.enqueue_rows import EnqueueRequest, EnqueueTerms
from flowhub_jobs.times import micros
from flowhub_jobs.values.enums import Reason, State
from flowhub_jobs.values.jobs import Job

HOUR = 3600
EVENING = "2026-11-23T20:00+01:00"  # a Monday
OPENS, CLOSES = "2026-11-23T23:00+01:00", "2026-11-24T07:00+01:00"


@pytest.fixture
def job_store(tmp_path: Path, any_database: str | None) -> Iterator[JobStore]:
    """A store in Berlin, on a Monday evening."""
    with store_in_berlin(tmp_path, any_database, EVENING) as job_store:
        yield job_store


def status_of(job_store: JobStore, job: int) -> Job:
    return job_store.queries.jobs([job])[0]


def reason_and_end(job_store: JobStore, job: int) -> tuple[Reason | None, int | None]:
    """Return the reason that the screens show, and until when the job waits."""
    status = status_of(job_store, job)
    return status.reason, micros(status.not_before) if status.not_before else None


def set_offline(job_store: JobStore, seconds: float, text: str = "No host answers.") -> None:
    job_store.controls.set(NETWORK, {"text": text}, until_us=job_store.time.us_from_now(seconds))


# Jobs at a time ------------------------------------------------------------------------------------------------------


def test_no_more_jobs_run_at_a_time_than_the_node_may_under_all_its_workers(job_store):
    jobs = job_store.enqueue("a", "b", "c", "d")
    job_store.controls.set(JOBS_MAX, {"jobs": 2})
    assert job_store.owner.due(job_store.controls.gates()) == 2
    first = job_store.owner.claim(job_store.controls.gates())
    assert job_store.owner.due(job_store.controls.gates()) == 1
    assert job_store.worker("w-2").claim(job_store.controls.gates()).lease.job == jobs[1]
    assert job_store.worker("w-2").claim(job_store.controls.gates()) is None
    assert job_store.owner.due(job_store.controls.gates()) == 0
    assert reason_and_end(job_store, jobs[2])[0] is Reason.SLOTS
    job_store.complete(first)
    assert reason_and_end(job_store, jobs[2]) == (None, None)
    job_store.controls.set(JOBS_MAX, {"jobs": 1})
    assert job_store.claim_through_gates() is None
    job_store.controls.set(JOBS_MAX, None)
    assert [job_store.claim_through_gates() for _ in range(2)] == jobs[2:]


# The window ----------------------------------------------------------------------------------------------------------


def test_nothing_starts_outside_of_the_window_and_everything_inside(job_store):
    job_store.schedule("23:00-07:00")
    [job] = job_store.enqueue("a")
    assert reason_and_end(job_store, job) == (Reason.WINDOW, micros_of(OPENS))
    assert (job_store.owner.due(job_store.controls.gates()), job_store.claim_through_gates()) == (0, None)
    job_store.time.set_to(OPENS)
    assert reason_and_end(job_store, job) == (None, None)
    assert (job_store.owner.due(job_store.controls.gates()), job_store.claim_through_gates()) == (1, job)


def test_a_gate_that_was_read_before_its_opening_opens_on_time(job_store):
    job_store.schedule("23:00-07:00")
    [job] = job_store.enqueue("a")
    gates = job_store.controls.gates()
    assert gates.window_shut(job_store.time.us_from_now(0))
    job_store.time.set_to(OPENS)
    assert not gates.window_shut(job_store.time.us_from_now(0))
    assert job_store.owner.claim(gates).lease.job == job


def test_a_job_that_runs_when_the_window_closes_is_handed_back_at_no_cost_and_continues_in_the_next(job_store):
    job_store.schedule("23:00-07:00")
    [job] = job_store.enqueue("a")
    job_store.time.set_to(CLOSES)
    job_store.time.advance(-60)
    claimed = job_store.claim()
    assert not job_store.controls.gates().window_shut(job_store.time.us_from_now(0))
    job_store.time.advance(60)
    assert job_store.controls.gates().window_shut(job_store.time.us_from_now(0))
    claimed.lease.extend(job_store.time.awake_s + 30)
    job_store.owner.hand_back(claimed.lease, "The schedule's window closed")
    assert (status_of(job_store, job).attempt, reason_and_end(job_store, job)[0]) == (0, Reason.WINDOW)
    assert job_store.queries.events(job)[-1].text == "The schedule's window closed; the job was handed back."
    job_store.time.set_to("2026-11-24T23:00+01:00")
    assert job_store.claim_through_gates() == job


def test_a_schedule_that_is_changed_while_jobs_wait_is_obeyed_at_once(job_store):
    [job] = job_store.enqueue("a")
    job_store.schedule("23:00-07:00")
    assert reason_and_end(job_store, job) == (Reason.WINDOW, micros_of(OPENS))
    job_store.schedule("21:00-07:00")
    assert reason_and_end(job_store, job) == (Reason.WINDOW, micros_of("2026-11-23T21:00+01:00"))
    job_store.schedule("19:00-07:00")
    assert reason_and_end(job_store, job) == (None, None)
    job_store.schedule("19:00-07:00", "tue")
    assert reason_and_end(job_store, job) == (Reason.WINDOW, micros_of("2026-11-24T19:00+01:00"))
    job_store.schedule(None)
    assert job_store.claim_through_gates() == job


def test_outside_of_the_window_jobs_run_at_the_rate_of_the_schedule(job_store):
    job_store.schedule("23:00-07:00", outside="500K")
    [job] = job_store.enqueue("a")
    assert job_store.controls.gates().rate_bps == 500_000
    assert reason_and_end(job_store, job) == (None, None)
    assert job_store.claim_through_gates() == job
    job_store.time.set_to(OPENS)
    assert job_store.controls.gates().rate_bps is None


def test_the_schedule_is_that_of_one_node(job_store, tmp_path):
    job_store.schedule("23:00-07:00")
    other = JobStore(tmp_path, node="n-other")
    assert other.controls.schedule() is None
    other.close()


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-10-24T23:00+02:00", "2026-10-25T02:30+02:00"),  # 02:30 comes twice: it opens at the first
        ("2027-03-27T23:00+01:00", "2027-03-28T03:00+02:00"),  # 02:30 is skipped: it opens after the gap
    ],
)
def test_at_a_daylight_saving_change_the_screens_and_the_claim_agree(job_store, now, opens):
    job_store.schedule("02:30-05:00")
    job_store.time.set_to(now)
    [job] = job_store.enqueue("a")
    assert reason_and_end(job_store, job) == (Reason.WINDOW, micros_of(opens))
    job_store.time.set_to(opens)
    job_store.time.advance(-1)
    assert job_store.claim_through_gates() is None
    job_store.time.advance(1)
    assert job_store.claim_through_gates() == job


# The network ---------------------------------------------------------------------------------------------------------


def test_while_the_network_is_down_nothing_starts_and_the_reason_says_so(job_store):
    [job] = job_store.enqueue("a")
    set_offline(job_store, 60)
    assert reason_and_end(job_store, job) == (Reason.NETWORK, job_store.time.us_from_now(60))
    assert job_store.queries.holds(job)[0].text == "No host answers."
    assert (job_store.owner.due(job_store.controls.gates()), job_store.claim_through_gates()) == (0, None)
    job_store.time.advance(60)
    assert reason_and_end(job_store, job) == (None, None)
    assert job_store.claim_through_gates() == job


def test_a_network_that_is_back_sooner_holds_no_job(job_store):
    [job] = job_store.enqueue("a")
    set_offline(job_store, 60)
    job_store.controls.set(NETWORK, None)
    assert job_store.claim_through_gates() == job


def test_a_closed_window_and_a_network_that_is_down_are_both_shown(job_store):
    job_store.schedule("23:00-07:00")
    [job] = job_store.enqueue("a")
    set_offline(job_store, 60)
    assert [hold.reason for hold in job_store.queries.holds(job)] == [Reason.WINDOW, Reason.NETWORK]
    job_store.schedule("23:00-07:00", outside="1M")
    assert [hold.reason for hold in job_store.queries.holds(job)] == [Reason.NETWORK]


# After other jobs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["complete", "cancel", "fail"])
def test_a_job_starts_once_the_earlier_one_has_ended_in_any_state(job_store, end):
    [first] = job_store.enqueue("a")
    [second] = job_store.enqueue("b", after=(first,), priority=9)
    assert reason_and_end(job_store, second) == (Reason.AFTER, None)
    assert job_store.owner.due() == 1
    claimed = job_store.claim()
    assert claimed.lease.job == first
    assert job_store.claim_through_gates() is None
    if end == "complete":
        job_store.complete(claimed)
    elif end == "fail":
        job_store.owner.fail(claimed.lease, SourceMissing("Gone."))
    else:
        job_store.commands.cancel(first)
        job_store.owner.release_as_requested(claimed.lease)
    assert reason_and_end(job_store, second) == (None, None)
    assert job_store.claim_through_gates() == second


def test_a_job_waits_for_each_of_several_and_they_are_named_with_their_states(job_store):
    a, b, c, d = job_store.enqueue("a", "b", "c", "d")
    [last] = job_store.enqueue("e", after=(d, a, b, c, a))
    job_store.commands.pause(b)
    job_store.claim()
    [hold] = job_store.queries.holds(last)
    assert hold.text == "Still to end: job 1 (running), job 2 (paused), job 3 (queued) and 1 more."
    for job in (a, b, c):
        job_store.commands.cancel(job)
    assert job_store.queries.holds(last)[0].text == "Still to end: job 1 (running), job 4 (queued)."


def test_a_chain_runs_one_by_one_in_its_order_whatever_the_priorities(job_store):
    [a] = job_store.enqueue("a", priority=-1)
    [b] = job_store.enqueue("b", after=(a,), priority=5)
    [c] = job_store.enqueue("c", after=(b,), priority=9)
    completed = []
    while (claimed := job_store.owner.claim()) is not None:
        assert job_store.owner.claim() is None
        completed.append(claimed.lease.job)
        job_store.complete(claimed)
    assert completed == [a, b, c]


def test_a_retry_of_the_earlier_job_makes_the_later_wait_again_if_it_has_not_started(job_store):
    [first] = job_store.enqueue("a")
    [second] = job_store.enqueue("b", after=(first,))
    job_store.commands.cancel(first)
    assert job_store.owner.due() == 1
    job_store.commands.retry(first)
    assert reason_and_end(job_store, second)[0] is Reason.AFTER
    assert job_store.claim().lease.job == first
    assert job_store.owner.claim() is None


def test_a_later_job_that_runs_already_continues_when_the_earlier_is_retried(job_store):
    [first] = job_store.enqueue("a")
    [second] = job_store.enqueue("b", after=(first,))
    job_store.commands.cancel(first)
    claimed = job_store.claim()
    assert claimed.lease.job == second
    job_store.commands.retry(first)
    job_store.complete(claimed)
    assert status_of(job_store, second).state == "completed"


def test_a_job_that_has_ended_already_is_not_waited_for(job_store):
    [first] = job_store.enqueue("a")
    job_store.commands.cancel(first)
    [second] = job_store.enqueue("b", after=(first,))
    assert job_store.claim_through_gates() == second


def test_a_job_that_was_queued_before_keeps_its_terms_so_that_no_job_waits_for_itself(job_store):
    [first] = job_store.enqueue("a")
    assert job_store.enqueue("a", after=(first,)) == [first]
    assert job_store.claim_through_gates() == first


def test_a_job_for_an_installed_model_waits_for_no_other(job_store):
    [first] = job_store.enqueue("a")
    request = EnqueueRequest(artifact("b"), "/store/b", EnqueueTerms(after=(first,)), installed=True)
    [answer] = job_store.commands.enqueue([request])
    assert status_of(job_store, answer.job).state == "completed"


def test_a_job_of_another_node_is_waited_for_too(job_store):
    other_commands = JobCommands(job_store.engine, "n-other", job_store.time.clock)
    [first] = [answer.job for answer in other_commands.enqueue([EnqueueRequest(artifact("a"), "/x")])]
    [second] = job_store.enqueue("b", after=(first,))
    assert reason_and_end(job_store, second)[0] is Reason.AFTER
    assert job_store.queries.still_to_do()
    other_commands.pause(first)
    assert not job_store.queries.still_to_do()
    other_commands.cancel(first)
    assert job_store.claim_through_gates() == second


# The order of the reasons --------------------------------------------------------------------------------------------


def test_of_several_reasons_the_first_is_shown_and_after_its_end_the_next(job_store):
    """Each reason is shown with its own time."""
    job_store.owner.register(1, 1)
    [busy] = job_store.enqueue("busy")
    assert job_store.claim().lease.job == busy
    [earlier] = job_store.enqueue("earlier", not_before=job_store.time.us_from_now(10 * HOUR))
    at = job_store.time.us_from_now(HOUR)
    [job] = job_store.enqueue("job", not_before=at, after=(earlier,))
    job_store.schedule("23:00-07:00")
    set_offline(job_store, 5 * HOUR)
    reasons = [Reason.AT, Reason.WINDOW, Reason.AFTER, Reason.NETWORK, Reason.SLOTS]
    assert [hold.reason for hold in job_store.queries.holds(job)] == reasons
    assert reason_and_end(job_store, job) == (Reason.AT, at)
    job_store.time.advance(HOUR)
    assert reason_and_end(job_store, job) == (Reason.WINDOW, micros_of(OPENS))
    job_store.time.set_to(OPENS)
    assert reason_and_end(job_store, job) == (Reason.AFTER, None)
    job_store.commands.cancel(earlier)
    assert reason_and_end(job_store, job) == (Reason.NETWORK, job_store.time.us_from_now(2 * HOUR))
    job_store.time.advance(2 * HOUR)
    assert reason_and_end(job_store, job) == (Reason.SLOTS, None)
    job_store.owner.unregister()
    assert reason_and_end(job_store, job) == (None, None)


@pytest.mark.parametrize("reason", [Reason.STORE_OFFLINE, Reason.DISK, Reason.HOST_WAIT, Reason.BACKOFF])
def test_a_jobs_own_wait_has_its_place_among_the_reasons_of_the_node(job_store, reason):
    [job] = job_store.enqueue("a")
    until = job_store.time.us_from_now(300)
    job_store.owner.requeue_after(
        job_store.claim().lease, until, reason, FlowhubError("As its run left it."), faults=0, counts_as_attempt=True
    )
    job_store.schedule("23:00-07:00")
    set_offline(job_store, 60)
    order = [hold.reason for hold in job_store.queries.holds(job)]
    assert order == sorted([Reason.WINDOW, Reason.NETWORK, reason], key=list(Reason).index)
    job_store.schedule(None)
    job_store.controls.set(NETWORK, None)
    assert reason_and_end(job_store, job) == (reason, until)


# A job that is started by request ------------------------------------------------------------------------------------


def test_a_started_job_begins_outside_of_the_window_and_no_other_does(job_store):
    job_store.schedule("23:00-07:00")
    _, job = job_store.enqueue("a", "b")
    assert not job_store.queries.still_to_do()
    assert job_store.commands.start(job) == "queued"
    assert reason_and_end(job_store, job) == (None, None)
    assert job_store.queries.still_to_do(), "a worker that drains stays for it"
    gates = job_store.controls.gates()
    assert (job_store.owner.due(gates), job_store.claim_through_gates(), job_store.claim_through_gates()) == (
        1,
        job,
        None,
    )


def test_a_started_job_has_no_time_of_its_own_any_more_and_keeps_its_place_after_a_hand_back(job_store):
    job_store.schedule("23:00-07:00")
    [job] = job_store.enqueue("a", not_before=job_store.time.us_from_now(HOUR))
    job_store.commands.start(job)
    claimed = job_store.owner.claim(job_store.controls.gates())
    assert claimed.start_now, "a worker does not hand it back when the window closes"
    job_store.owner.hand_back(claimed.lease)
    assert job_store.claim_through_gates() == job


def test_a_started_job_waits_for_the_network_and_for_earlier_jobs_all_the_same(job_store):
    [first] = job_store.enqueue("a")
    [second] = job_store.enqueue("b", after=(first,))
    job_store.commands.start(second)
    assert reason_and_end(job_store, second)[0] is Reason.AFTER
    set_offline(job_store, 60)
    job_store.commands.start(first)
    assert (reason_and_end(job_store, first)[0], job_store.claim_through_gates()) == (Reason.NETWORK, None)


def test_a_retry_keeps_to_the_window_again(job_store):
    job = job_store.job_in(State.CANCELLED)
    job_store.set_row(job, start_now=True)
    job_store.schedule("23:00-07:00")
    job_store.commands.retry(job)
    assert reason_and_end(job_store, job)[0] is Reason.WINDOW


# The priority, changed later -----------------------------------------------------------------------------------------


def test_a_priority_that_is_changed_later_is_obeyed_by_the_next_claim(job_store):
    a, b, c = job_store.enqueue("a", "b", "c")
    assert job_store.commands.set_priority(c, 5) == "queued"
    assert job_store.commands.set_priority(a, -5) == "queued"
    assert [job_store.claim().lease.job for _ in range(3)] == [c, b, a]
    assert job_store.queries.events(c)[1].text == "Its priority is 5 now."


# The end of a drain --------------------------------------------------------------------------------------------------


def test_a_drain_does_not_wait_for_a_shut_window_or_for_the_network(job_store):
    [job] = job_store.enqueue("a")
    assert job_store.queries.still_to_do()
    job_store.schedule("23:00-07:00")
    assert not job_store.queries.still_to_do()
    job_store.schedule(None)
    set_offline(job_store, 60)
    assert not job_store.queries.still_to_do()
    job_store.time.advance(60)
    assert job_store.claim_through_gates() == job
    job_store.schedule("23:00-07:00")
    assert job_store.queries.still_to_do(), "a running job is waited for, also while it is being handed back"


def test_a_drain_waits_for_a_job_and_for_those_that_wait_for_it(job_store):
    [first] = job_store.enqueue("a")
    [second] = job_store.enqueue("b", after=(first,))
    assert job_store.queries.still_to_do()
    claimed = job_store.claim()
    assert job_store.queries.still_to_do()
    job_store.complete(claimed)
    assert job_store.queries.still_to_do()
    job_store.complete(job_store.claim())
    assert status_of(job_store, second).state == "completed"
    assert not job_store.queries.still_to_do()


def test_a_drain_does_not_wait_for_jobs_that_wait_for_a_paused_or_held_one(job_store):
    paused, later = job_store.enqueue("a", "b")
    job_store.enqueue("c", after=(paused,))
    job_store.enqueue("d", after=(later,))
    job_store.commands.pause(paused)
    job_store.set_row(later, not_before=job_store.time.us_from_now(HOUR), wait_reason=Reason.AT)
    assert not job_store.queries.still_to_do()
    job_store.time.advance(HOUR)
    assert job_store.queries.still_to_do()
