"""Job states: the allowed moves, the reasons of a queued job, and the state after a rescue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.jobs.states import (
    MOVES,
    RESCUES_MAX,
    Gates,
    Hold,
    after_hold,
    in_order,
    may_move,
    own_hold,
    rescued_state,
)
from flowhub_jobs.values.enums import LIVE_STATES, Reason, RequestedAction, State

# A second copy, so that a mistake in the code's own table fails a test.
ALLOWED_MOVES = """
queued running | running completed | running failed | queued paused | running paused | paused queued
queued cancelled | running cancelled | paused cancelled | failed queued | cancelled queued | running queued
"""


def test_the_moves_are_those_of_the_contract_and_no_others():
    allowed = {
        tuple(map(State, move.split())) for move in ALLOWED_MOVES.replace("\n", " | ").split("|") if move.strip()
    }
    assert set(MOVES) == allowed
    assert {(old, new) for old in State for new in State if may_move(old, new)} == allowed


def test_a_completed_job_never_moves_again():
    assert not any(may_move(State.COMPLETED, new) for new in State)


def test_a_live_state_is_one_that_is_not_final():
    assert set(LIVE_STATES) == set(State) - {State.COMPLETED, State.FAILED, State.CANCELLED}


def test_the_reasons_are_in_the_order_in_which_they_are_shown():
    order = ["at", "window", "cap", "after", "store_offline", "disk", "network", "host_wait", "backoff", "slots"]
    assert [str(reason) for reason in Reason] == order


@given(st.permutations(list(Reason)))
def test_holds_are_sorted_by_reason(reasons):
    assert [hold.reason for hold in in_order(Hold(reason) for reason in reasons)] == list(Reason)


def test_of_two_holds_of_one_reason_the_longer_is_shown():
    assert in_order([Hold(Reason.NETWORK, 5), Hold(Reason.NETWORK, 9)])[0].until == 9


@pytest.mark.parametrize("reason", Reason)
def test_a_wait_of_the_row_holds_until_its_time(reason):
    assert own_hold(reason, 101, "why", 100) == [Hold(reason, 101, "why")]
    assert own_hold(reason, 100, "why", 100) == []
    assert own_hold(reason, None, "why", 100) == []


def test_a_time_without_a_reason_was_set_by_the_user():
    assert own_hold(None, 101, None, 100) == [Hold(Reason.AT, 101)]


def test_open_gates_hold_nothing():
    assert Gates().holds(0) == []
    assert not Gates().window_shut(0)


def test_a_gate_holds_until_its_time_and_no_longer():
    gates = Gates(window_opens_us=50, network_down_until_us=60, network_text="why")
    assert gates.holds(49) == [Hold(Reason.WINDOW, 50), Hold(Reason.NETWORK, 60, "why")]
    assert gates.holds(50) == [Hold(Reason.NETWORK, 60, "why")]
    assert gates.holds(60) == []
    assert (gates.window_shut(49), gates.window_shut(50)) == (True, False)


def test_the_earlier_jobs_are_named_in_order_and_further_ones_are_counted():
    assert after_hold([]) == []
    [hold] = after_hold([(9, State.QUEUED), (8, State.RUNNING)])
    assert hold == Hold(Reason.AFTER, None, "Still to end: job 8 (running), job 9 (queued).")
    [hold] = after_hold((job, State.QUEUED) for job in range(1, 100))
    assert (hold.text or "").endswith("job 3 (queued) and 96 more.")


@pytest.mark.parametrize(("action", "state"), [("pause", "paused"), ("cancel", "cancelled"), ("purge", "cancelled")])
@given(rescues=st.integers(0, 50), progressed=st.booleans())
def test_a_request_is_carried_out_on_rescue_whatever_else_holds(action, state, rescues, progressed):
    assert rescued_state(RequestedAction(action), rescues, progressed=progressed) == state


def test_the_tenth_rescue_in_a_row_without_progress_ends_the_job():
    assert RESCUES_MAX == 10
    assert rescued_state(None, 8, progressed=False) is State.QUEUED
    assert rescued_state(None, 9, progressed=False) is State.FAILED
    assert rescued_state(None, 9, progressed=True) is State.QUEUED
