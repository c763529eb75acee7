"""The speed history: the bytes of minutes as rates in equal steps."""

import pytest

from flowhub_jobs.operations.speed_history import STEPS_MAX, in_steps


def test_a_short_time_has_a_step_a_minute():
    history = in_steps({10: 600, 12: 1200}, 10, 13)
    assert (history.step_s, history.rates) == (60, (10.0, 0.0, 20.0))
    assert history.begin.timestamp() == 600
    at, rate = history.fastest
    assert (at.timestamp(), rate) == (720, 20.0)


@pytest.mark.parametrize("minutes", [1, 299, 300, 301, 840, 10_080, 100_000])
def test_a_long_time_has_a_bounded_number_of_steps_and_loses_no_byte(minutes):
    history = in_steps(dict.fromkeys(range(minutes), 60), 0, minutes)
    assert 1 <= len(history.rates) <= STEPS_MAX
    assert set(history.rates) == {1.0}
    assert history.span_s >= 60 * minutes


def test_the_last_step_counts_the_minutes_that_it_has():
    assert in_steps({600: 60}, 0, 601).rates[-1] == 1.0


def test_minutes_outside_do_not_count_and_nothing_received_has_no_fastest():
    history = in_steps({5: 60, 20: 60}, 10, 20)
    assert history.fastest is None
    assert set(history.rates) == {0.0}


def test_the_fastest_minute_is_of_minutes_where_the_steps_are_longer():
    history = in_steps({400: 60, 401: 600, 402: 600}, 0, 1200)
    assert history.step_s == 300
    at, rate = history.fastest
    assert (at.timestamp(), rate) == (401 * 60, 10.0)
    assert history.busy_s == 180
