"""Properties of the tuning of connections: the number settles soon, near the best rate, and never above the limit."""

from hypothesis import assume, example, given
from hypothesis import strategies as st
from support.simulated_network import TICK_S, CrowdedHost, Link, mean_rate, simulate, simulate_crowd

from flowhub_jobs.transfer.concurrency import BACK_OFF_S, ConcurrencyPlan, TransferSample, adjust

SETTLED_S = 10.0  # every number of connections up to the limit has been tried by then
FULL, CONGESTED_FULL = 0.8, 0.65  # shares of the best possible rate

RATES = st.floats(1e5, 1e8)
CAPS = st.integers(1, 16)
LINKS = st.builds(lambda each_bps, factor: Link(each_bps, each_bps * factor), RATES, st.floats(0.5, 40))
CONGESTED = st.builds(
    lambda each_bps, factor, crowding: Link(each_bps, each_bps * factor, crowding),
    RATES,
    st.floats(0.5, 40),
    st.floats(0, 0.05),
)


def unchanging(link):
    return lambda at: link


@given(CONGESTED, CAPS)
def test_there_is_one_connection_at_least_and_never_more_than_the_cap(link, connections_max):
    assert all(1 <= moment.count <= connections_max for moment in simulate(unchanging(link), connections_max, 60))


SAMPLES = st.lists(
    st.tuples(st.floats(0, 5), st.integers(0, 10**9), st.integers(0, 16), st.booleans(), CAPS), max_size=60
)


@given(SAMPLES)
def test_for_any_samples_and_changes_of_the_cap_the_number_stays_within_it(samples):
    plan, at, fetched = ConcurrencyPlan(), 1000.0, 0
    for elapsed_s, received, flowing, hash_bound, connections_max in samples:
        at, fetched = at + elapsed_s, fetched + received
        plan = adjust(plan, TransferSample(at, fetched, flowing, hash_bound), connections_max)
        assert 1 <= plan.count <= connections_max


@given(LINKS, CAPS)
def test_once_settled_nearly_all_of_the_link_is_used(link, connections_max):
    moments = simulate(unchanging(link), connections_max, SETTLED_S + 30)
    assert mean_rate(moments[round(SETTLED_S / TICK_S) :]) >= FULL * link.best(connections_max)


@given(CONGESTED, CAPS)
def test_most_of_a_link_that_too_many_connections_slow_down_is_used_all_the_same(link, connections_max):
    moments = simulate(unchanging(link), connections_max, SETTLED_S + 30)
    assert mean_rate(moments[round(SETTLED_S / TICK_S) :]) >= CONGESTED_FULL * link.best(connections_max)


@given(CONGESTED, CAPS)
def test_once_settled_the_number_changes_only_for_short_trials(link, connections_max):
    counts = [moment.count for moment in simulate(unchanging(link), connections_max, SETTLED_S + 4 * BACK_OFF_S)][
        round(SETTLED_S / TICK_S) :
    ]
    usual = max(set(counts), key=counts.count)
    assert counts.count(usual) >= 0.8 * len(counts)


@given(LINKS, LINKS, CAPS)
@example(Link(21e6, 21e6), Link(1e5, 2e5), 2)
def test_a_link_that_changes_is_measured_again(first, second, connections_max):
    assume(second.best(connections_max) > 0)
    change = 20.0
    moments = simulate(lambda at: first if at < change else second, connections_max, change + 60)
    assert mean_rate(moments[round((change + 30) / TICK_S) :]) >= 0.7 * second.best(connections_max)


CROWDS = st.builds(
    lambda each_bps, most, crawl: CrowdedHost(each_bps, most, each_bps / crawl),
    RATES,
    st.integers(1, 15),
    st.floats(140, 1000),
)


@given(CROWDS)
def test_a_host_that_slows_down_after_too_many_connections_gets_few_and_recovers_its_rate(host):
    """While it crawls, each further connection raises the rate, and keeps it crawling."""
    moments = simulate_crowd(host, 16, 300)
    healthy_count = 4 if host.most >= 4 else 1  # the highest tried number that the host serves at full rate
    assert mean_rate(moments[round(150 / TICK_S) :]) >= 0.95 * healthy_count * host.each_bps
    assert all(moment.count <= 4 for moment in moments[round(60 / TICK_S) :])
