"""On any line the number of connections settles soon, near the best that can be had, and never above the cap."""

from hypothesis import assume, example, given
from hypothesis import strategies as st
from support.simulated_network import TICK_S, CrowdedHost, Link, mean_rate, simulate, simulate_crowd

from flowhub_jobs.transfer.concurrency import BACK_OFF_S, ConcurrencyPlan, Flow, adjust

SETTLED_S = 10.0  # by then every number up to the cap was tried
FULL, CROWDED_FULL = 0.8, 0.65  # of the best that can be had

RATES = st.floats(1e5, 1e8)
CAPS = st.integers(1, 16)
LINES = st.builds(lambda each, filled: Link(each, each * filled), RATES, st.floats(0.5, 40))
CROWDED = st.builds(
    lambda each, filled, crowd: Link(each, each * filled, crowd), RATES, st.floats(0.5, 40), st.floats(0, 0.05)
)


def always(line):
    return lambda at: line


@given(CROWDED, CAPS)
def test_there_is_one_connection_at_least_and_never_more_than_the_cap(line, cap):
    assert all(1 <= moment.count <= cap for moment in simulate(always(line), cap, 60))


STORIES = st.lists(
    st.tuples(st.floats(0, 5), st.integers(0, 10**9), st.integers(0, 16), st.booleans(), CAPS), max_size=60
)


@given(STORIES)
def test_whatever_comes_whenever_and_however_the_cap_moves_the_number_stays_below_it(story):
    now, at, fetched = ConcurrencyPlan(), 1000.0, 0
    for passed, came, flowing, outrun, cap in story:
        at, fetched = at + passed, fetched + came
        now = adjust(now, Flow(at, fetched, flowing, outrun), cap)
        assert 1 <= now.count <= cap


@given(LINES, CAPS)
def test_once_settled_nearly_all_of_the_line_is_used(line, cap):
    moments = simulate(always(line), cap, SETTLED_S + 30)
    assert mean_rate(moments[round(SETTLED_S / TICK_S) :]) >= FULL * line.best(cap)


@given(CROWDED, CAPS)
def test_where_too_many_harm_each_other_most_of_the_line_is_used_all_the_same(line, cap):
    moments = simulate(always(line), cap, SETTLED_S + 30)
    assert mean_rate(moments[round(SETTLED_S / TICK_S) :]) >= CROWDED_FULL * line.best(cap)


@given(CROWDED, CAPS)
def test_once_settled_the_number_moves_only_for_a_short_try_after_a_rest(line, cap):
    counts = [moment.count for moment in simulate(always(line), cap, SETTLED_S + 4 * BACK_OFF_S)][
        round(SETTLED_S / TICK_S) :
    ]
    usual = max(set(counts), key=counts.count)
    assert counts.count(usual) >= 0.8 * len(counts)


@given(LINES, LINES, CAPS)
@example(Link(21e6, 21e6), Link(1e5, 2e5), 2)
def test_a_line_that_changes_is_measured_again(first, second, cap):
    assume(second.best(cap) > 0)
    change = 20.0
    moments = simulate(lambda at: first if at < change else second, cap, change + 60)
    assert mean_rate(moments[round((change + 30) / TICK_S) :]) >= 0.7 * second.best(cap)


CROWDS = st.builds(
    lambda each, most, crawl: CrowdedHost(each, most, each / crawl), RATES, st.integers(1, 15), st.floats(140, 1000)
)


@given(CROWDS)
def test_a_host_that_crawls_after_too_many_connections_is_asked_with_few_and_gives_its_rate_again(host):
    """Each connection more gains while it crawls, and keeps it crawling."""
    moments = simulate_crowd(host, 16, 300)
    well = 4 if host.most >= 4 else 1  # of the numbers that are tried, the highest that is well
    assert mean_rate(moments[round(150 / TICK_S) :]) >= 0.95 * well * host.each_bps
    assert all(moment.count <= 4 for moment in moments[round(60 / TICK_S) :])
