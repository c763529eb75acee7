"""The moves of a job, why a queued one waits, and what becomes of an orphan."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.jobs.states import LIVE, MOVES, RESCUES_MAX, may_move, rescued_state, waiting_reason
from flowhub_jobs.records import Reason, State

# CONTRACT, Jobs: written out here once more, so that a slip in the code's own table shows.
CONTRACT = """
queued running | running completed | running failed | queued paused | running paused | paused queued
queued cancelled | running cancelled | paused cancelled | failed queued | cancelled queued | running queued
"""


def test_the_moves_are_those_of_the_contract_and_no_others():
    promised = {tuple(map(State, move.split())) for move in CONTRACT.replace("\n", " | ").split("|") if move.strip()}
    assert set(MOVES) == promised
    assert {(old, new) for old in State for new in State if may_move(old, new)} == promised


def test_a_completed_job_never_moves_again():
    assert not any(may_move(State.COMPLETED, new) for new in State)


def test_live_is_every_state_that_a_job_ends_in_no_other_way():
    assert set(LIVE) == set(State) - {State.COMPLETED, State.FAILED, State.CANCELLED}


def test_the_reasons_stand_in_the_order_in_which_they_are_shown():
    shown = ["at", "window", "after", "store_offline", "disk", "network", "host_wait", "backoff", "slots"]
    assert [str(reason) for reason in Reason] == shown


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.SLOTS])
def test_a_wait_that_is_not_over_is_shown_before_taken_slots(reason):
    assert waiting_reason(reason, 101, 100, slots_taken=True) is reason


@pytest.mark.parametrize("not_before", [None, 99, 100])
def test_a_job_whose_time_has_come_waits_for_slots_or_for_nothing(not_before):
    assert waiting_reason("backoff", not_before, 100, slots_taken=True) is Reason.SLOTS
    assert waiting_reason("backoff", not_before, 100, slots_taken=False) is None


def test_a_time_without_a_word_is_the_persons_own():
    assert waiting_reason(None, 101, 100, slots_taken=False) is Reason.AT


@pytest.mark.parametrize(("wish", "state"), [("pause", "paused"), ("cancel", "cancelled"), ("purge", "cancelled")])
@given(rescues=st.integers(0, 50), progressed=st.booleans())
def test_a_wish_is_obeyed_on_rescue_whatever_else_holds(wish, state, rescues, progressed):
    assert rescued_state(wish, rescues, progressed=progressed) == state


def test_the_tenth_rescue_in_a_row_without_progress_ends_the_job():
    assert RESCUES_MAX == 10
    assert rescued_state(None, 8, progressed=False) is State.QUEUED
    assert rescued_state(None, 9, progressed=False) is State.FAILED
    assert rescued_state(None, 9, progressed=True) is State.QUEUED
