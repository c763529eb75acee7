"""Slow connections: which ones are far slower than the others, and when a host has collapsed; decided from samples."""

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

SAMPLE_EVERY_S = 0.5
LONG_AGO = float("-inf")


def samples(*rates, waiting=1.0):
    return [ConnectionSample(number, rate, waiting) for number, rate in enumerate(rates)]


def slow_after(seconds, *rates, best_alone=0.0, waiting=1.0):
    """Return the connections that are slow after some seconds at these rates, and the one to replace."""
    slow, at = SlowConnections(), 1000.0
    while at <= 1000.0 + seconds:
        slow = find_slow(slow, samples(*rates, waiting=waiting), at, best_alone)
        replaced = choose_replacement(slow.since, at, LONG_AGO)
        at += SAMPLE_EVERY_S
    return set(slow.since), replaced


# One connection ------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=20))
def test_the_middle_rate_is_one_of_the_rates_and_never_below_the_median(rates):
    assert middle_rate(rates) in rates
    assert middle_rate(rates) >= sorted(rates)[(len(rates) - 1) // 2]


def test_one_of_several_is_slow_below_a_quarter_of_the_others():
    assert slow_after(0, 100, 100, 100, 24)[0] == {3}
    assert slow_after(0, 100, 100, 100, 26)[0] == set()


def test_where_most_are_slow_they_are_compared_with_the_few_fast_ones():
    assert slow_after(0, 8, 8, 1, 1, 1, 1)[0] == {2, 3, 4, 5}


def test_a_connection_is_replaced_after_five_seconds_and_not_before():
    assert slow_after(SLOW_S - SAMPLE_EVERY_S, 100, 10)[1] is None
    assert slow_after(SLOW_S, 100, 10)[1] == 1


def test_a_connection_that_recovers_starts_its_time_as_slow_again():
    slow = find_slow(SlowConnections(), samples(100, 10), 1000.0, 0.0)
    slow = find_slow(slow, samples(100, 50), 1003.0, 0.0)
    slow = find_slow(slow, samples(100, 10), 1004.0, 0.0)
    assert slow.since == {1: 1004.0}


def test_the_connection_that_is_slow_for_longest_is_replaced_first_and_one_a_second():
    since = {"new": 999.0, "old": 990.0}
    assert choose_replacement(since, 1000.0, LONG_AGO) == "old"
    assert choose_replacement(since, 1000.0, 1000.0 - REPLACE_EVERY_S / 2) is None
    assert choose_replacement(since, 1000.0, 1000.0 - REPLACE_EVERY_S) == "old"
    assert choose_replacement({}, 1000.0, LONG_AGO) is None


def test_where_all_become_slow_together_none_is_replaced():
    slow = SlowConnections()
    for at in range(1000, 1060):
        rate = 100 if at < 1010 else 10
        slow = find_slow(slow, samples(rate, rate, rate), float(at), 0.0)
        assert choose_replacement(slow.since, at, LONG_AGO) is None


def test_a_fast_connection_between_two_ranges_is_still_compared_with():
    slow = find_slow(SlowConnections(), samples(10, 10, 100, 100), 1000.0, 0.0)
    slow = find_slow(slow, samples(10, 10), 1000.0 + RECENT_S / 2, 0.0)
    assert set(slow.since) == {0, 1}


def test_a_single_connection_is_compared_with_the_best_rate_of_one():
    assert slow_after(SLOW_S, 32, best_alone=100)[1] == 0
    assert slow_after(SLOW_S, 34, best_alone=100)[1] is None
    assert slow_after(SLOW_S, 1)[1] is None


@pytest.mark.parametrize("rates", [(100, 1), (1,)])
def test_a_connection_that_waits_for_the_disk_or_the_digest_is_not_slow(rates):
    assert slow_after(60, *rates, best_alone=100, waiting=0.4) == (set(), None)


@given(st.lists(st.floats(1e5, 3.9e5), min_size=2, max_size=16))
def test_connections_that_differ_by_less_than_four_times_are_not_replaced(rates):
    assert slow_after(60, *rates)[1] is None


# A host --------------------------------------------------------------------------------------------------------------


def throughput_after(seconds, *rates, before=(100,) * 4, waiting=1.0):
    """Return the throughput of a host that gave the rates `before`, then `rates` for some seconds; and the time."""
    throughput, at = HostThroughput(), 1000.0
    for _ in range(5):
        throughput, at = update_throughput(throughput, samples(*before), at), at + SAMPLE_EVERY_S
    end = at + seconds
    while at <= end:
        throughput, at = update_throughput(throughput, samples(*rates, waiting=waiting), at), at + SAMPLE_EVERY_S
    return throughput, at - SAMPLE_EVERY_S


def test_a_host_that_gives_less_than_an_eighth_for_half_a_minute_has_collapsed():
    assert throughput_after(COLLAPSED_S, *(12,) * 4)[0].has_collapsed(throughput_after(COLLAPSED_S, *(12,) * 4)[1])
    for throughput, at in (
        throughput_after(COLLAPSED_S - SAMPLE_EVERY_S, *(12,) * 4),
        throughput_after(60, *(13,) * 4),
    ):
        assert not throughput.has_collapsed(at)


def test_more_connections_without_a_higher_rate_are_a_collapse_too():
    throughput, at = throughput_after(COLLAPSED_S, *(1,) * 16)
    assert throughput.has_collapsed(at)
    assert throughput.few == 4


@pytest.mark.parametrize(("before", "few"), [((100,), 1), ((100,) * 2, 2), ((100,) * 16, 4)])
def test_a_collapsed_host_gets_as_many_connections_as_it_served_well_and_at_most_four(before, few):
    assert throughput_after(60, *(0.1,) * 16, before=before)[0].few == few


def test_one_remaining_connection_of_sixteen_is_compared_with_its_own_share():
    throughput, at = throughput_after(60, 50, before=(100,) * 16)
    assert not throughput.has_collapsed(at)


def test_a_host_that_is_idle_or_waits_for_this_machine_has_not_collapsed():
    for rates, waiting in (((), 1.0), ((1,) * 4, 0.4)):
        throughput, at = throughput_after(60, *rates, waiting=waiting)
        assert not throughput.has_collapsed(at)


def test_a_moment_at_the_old_rate_restarts_the_half_minute():
    throughput, at = throughput_after(COLLAPSED_S - 1, *(1,) * 4)
    throughput = update_throughput(throughput, samples(*(50,) * 4), at)
    throughput = update_throughput(throughput, samples(*(1,) * 4), at + 2)
    assert throughput.is_low
    assert not throughput.has_collapsed(at + 3)
