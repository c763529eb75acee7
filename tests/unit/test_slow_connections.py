"""Which connection is far slower than its siblings, and when a host has collapsed: decided from what was seen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.transfer.slow_connection_rules import (
    COLLAPSED_S,
    RECENT_S,
    REPLACE_EVERY_S,
    SLOW_S,
    ConnectionSample,
    HostThroughput,
    SlowConnections,
    choose_replacement,
    find_slow,
    middle_rate,
    update_throughput,
)

LOOK_S = 0.5
LONG_AGO = float("-inf")


def sightings(*rates, waiting=1.0):
    return [ConnectionSample(number, rate, waiting) for number, rate in enumerate(rates)]


def slow_after(seconds, *rates, best_alone=0.0, waiting=1.0):
    """Return the connections that are slow after so long at these rates, and the one that is replaced."""
    ones, at = SlowConnections(), 1000.0
    while at <= 1000.0 + seconds:
        ones = find_slow(ones, sightings(*rates, waiting=waiting), at, best_alone)
        replaced = choose_replacement(ones.since, at, LONG_AGO)
        at += LOOK_S
    return set(ones.since), replaced


# One connection ------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_the_middle_rate_is_one_of_the_rates_and_never_below_the_median(rates):
    assert middle_rate(rates) in rates
    assert middle_rate(rates) >= sorted(rates)[(len(rates) - 1) // 2]


def test_one_of_several_is_slow_below_a_quarter_of_the_others():
    assert slow_after(0, 100, 100, 100, 24)[0] == {3}
    assert slow_after(0, 100, 100, 100, 26)[0] == set()


def test_where_most_are_slow_they_are_held_to_the_few_that_are_fast():
    assert slow_after(0, 8, 8, 1, 1, 1, 1)[0] == {2, 3, 4, 5}


def test_a_connection_is_replaced_after_five_seconds_and_not_before():
    assert slow_after(SLOW_S - LOOK_S, 100, 10)[1] is None
    assert slow_after(SLOW_S, 100, 10)[1] == 1


def test_a_connection_that_was_slow_for_a_while_begins_to_count_again():
    ones = find_slow(SlowConnections(), sightings(100, 10), 1000.0, 0.0)
    ones = find_slow(ones, sightings(100, 50), 1003.0, 0.0)
    ones = find_slow(ones, sightings(100, 10), 1004.0, 0.0)
    assert ones.since == {1: 1004.0}


def test_of_several_slow_ones_the_one_that_is_so_for_longest_is_replaced_one_a_second():
    since = {"new": 999.0, "old": 990.0}
    assert choose_replacement(since, 1000.0, LONG_AGO) == "old"
    assert choose_replacement(since, 1000.0, 1000.0 - REPLACE_EVERY_S / 2) is None
    assert choose_replacement(since, 1000.0, 1000.0 - REPLACE_EVERY_S) == "old"
    assert choose_replacement({}, 1000.0, LONG_AGO) is None


def test_where_all_become_slow_together_none_is_replaced():
    ones = SlowConnections()
    for at in range(1000, 1060):
        rate = 100 if at < 1010 else 10
        ones = find_slow(ones, sightings(rate, rate, rate), float(at), 0.0)
        assert choose_replacement(ones.since, at, LONG_AGO) is None


def test_a_fast_one_that_is_between_two_ranges_is_still_what_the_others_are_held_to():
    ones = find_slow(SlowConnections(), sightings(10, 10, 100, 100), 1000.0, 0.0)
    ones = find_slow(ones, sightings(10, 10), 1000.0 + RECENT_S / 2, 0.0)
    assert set(ones.since) == {0, 1}


def test_a_single_connection_is_held_to_the_best_that_one_had():
    assert slow_after(SLOW_S, 32, best_alone=100)[1] == 0
    assert slow_after(SLOW_S, 34, best_alone=100)[1] is None
    assert slow_after(SLOW_S, 1)[1] is None


@pytest.mark.parametrize("rates", [(100, 1), (1,)])
def test_a_connection_that_waits_for_the_disk_or_the_digest_is_not_slow(rates):
    assert slow_after(60, *rates, best_alone=100, waiting=0.4) == (set(), None)


@given(st.lists(st.floats(1e5, 3.9e5), min_size=2, max_size=16))
def test_connections_that_differ_by_less_than_four_times_are_left_alone(rates):
    assert slow_after(60, *rates)[1] is None


# A host --------------------------------------------------------------------------------------------------------------


def pace_after(seconds, *rates, before=(100,) * 4, waiting=1.0):
    """Return the pace of a host that gave one thing for a while and another for so long."""
    pace, at = HostThroughput(), 1000.0
    for _ in range(5):
        pace, at = update_throughput(pace, sightings(*before), at), at + LOOK_S
    end = at + seconds
    while at <= end:
        pace, at = update_throughput(pace, sightings(*rates, waiting=waiting), at), at + LOOK_S
    return pace, at - LOOK_S


def test_a_host_has_collapsed_that_gives_less_than_an_eighth_for_half_a_minute():
    assert pace_after(COLLAPSED_S, *(12,) * 4)[0].has_collapsed(pace_after(COLLAPSED_S, *(12,) * 4)[1])
    for pace, at in (pace_after(COLLAPSED_S - LOOK_S, *(12,) * 4), pace_after(60, *(13,) * 4)):
        assert not pace.has_collapsed(at)


def test_more_connections_that_bring_no_more_are_a_collapse_too():
    pace, at = pace_after(COLLAPSED_S, *(1,) * 16)
    assert pace.has_collapsed(at)
    assert pace.few == 4


@pytest.mark.parametrize(("before", "few"), [((100,), 1), ((100,) * 2, 2), ((100,) * 16, 4)])
def test_it_is_asked_with_no_more_connections_than_were_well_and_never_more_than_four(before, few):
    assert pace_after(60, *(0.1,) * 16, before=before)[0].few == few


def test_one_connection_of_sixteen_needs_to_bring_its_part_alone():
    pace, at = pace_after(60, 50, before=(100,) * 16)
    assert not pace.has_collapsed(at)


def test_a_host_that_is_waited_for_or_waits_for_us_has_not_collapsed():
    for rates, waiting in (((), 1.0), ((1,) * 4, 0.4)):
        pace, at = pace_after(60, *rates, waiting=waiting)
        assert not pace.has_collapsed(at)


def test_a_moment_at_the_old_rate_begins_the_half_minute_again():
    pace, at = pace_after(COLLAPSED_S - 1, *(1,) * 4)
    pace = update_throughput(pace, sightings(*(50,) * 4), at)
    pace = update_throughput(pace, sightings(*(1,) * 4), at + 2)
    assert pace.is_low
    assert not pace.has_collapsed(at + 3)
