"""The number of connections grows while the whole gains by it, and steps back when it does not."""

from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.transfer.tuning import REST_S, WINDOW_S, Tuning, tune

START = 1000.0


def run(rates, cap=16):
    """Return the tuning after each window; `rates` gives bytes a second for a number of connections and a window."""
    now, fetched, history = Tuning(), 0.0, []
    for window in range(1, 40):
        fetched += rates(now.count, window) * WINDOW_S
        now = tune(now, START + window * WINDOW_S * 1.01, int(fetched), cap)
        history.append(now)
    return history


def counts(rates, cap=16):
    return [now.count for now in run(rates, cap)]


def test_where_each_connection_adds_as_much_it_goes_up_to_the_cap():
    assert max(counts(lambda count, _: count * 20e6)) == 16
    assert counts(lambda count, _: count * 20e6)[-1] == 16


def test_a_cap_is_never_passed():
    assert max(counts(lambda count, _: count * 20e6, cap=5)) == 5


def test_where_one_connection_has_the_whole_line_it_stays_near_one():
    last = counts(lambda count, _: 100e6)[-1]
    assert last <= 4


def test_where_four_fill_the_line_it_steps_back_from_eight_and_rests():
    history = run(lambda count, _: min(count, 4) * 20e6)
    assert max(now.count for now in history) == 8
    stepped = next(now for now in history if now.resting_until)
    assert stepped.count == 4
    resting = [now.count for now in history if now.resting_until and now.since < stepped.since + REST_S - WINDOW_S]
    assert set(resting) == {4}


def test_where_more_connections_bring_less_it_steps_back():
    assert counts(lambda count, _: 80e6 if count <= 2 else 40e6)[-1] <= 2


def test_nothing_is_learned_while_nothing_moves():
    assert set(counts(lambda count, _: 0)) == {1}


def test_too_short_a_time_tells_nothing():
    now = Tuning(since=START)
    assert tune(now, START + WINDOW_S / 2, 10**9, 16) is now


@given(st.lists(st.floats(0, 1e10), min_size=39, max_size=39), st.integers(1, 16))
def test_whatever_the_rates_there_is_one_connection_at_least_and_the_cap_at_most(rates, cap):
    assert all(1 <= count <= cap for count in counts(lambda _, window: rates[window - 1], cap))
