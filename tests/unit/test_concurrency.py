"""The number of connections of a transfer: it grows while that raises the throughput, and falls back otherwise."""

from flowhub_jobs.transfer.concurrency import (
    BACK_OFF_S,
    GAIN,
    LEAP,
    RECENT,
    SETTLE_S,
    WINDOW_S,
    ConcurrencyPlan,
    TransferSample,
    adjust,
)

START = 1000.0


def simulate(rates, connections_max=16):
    """Return the plan after each window; `rates` gives bytes a second for a number of connections and a window."""
    plan, fetched, history = ConcurrencyPlan(), 0.0, []
    for window in range(1, 40):
        fetched += rates(plan.count, window) * WINDOW_S
        plan = adjust(
            plan,
            TransferSample(START + window * WINDOW_S * 1.01, int(fetched), active_connections=plan.count),
            connections_max,
        )
        history.append(plan)
    return history


def counts(rates, connections_max=16):
    return [plan.count for plan in simulate(rates, connections_max)]


def test_where_each_connection_adds_as_much_the_count_rises_to_the_cap():
    assert max(counts(lambda count, _: count * 20e6)) == 16
    assert counts(lambda count, _: count * 20e6)[-1] == 16


def test_no_more_connections_are_tried_than_the_digest_can_keep_up_with():
    """Bytes out of order are read back from the disk for the digest, which makes it slower still."""

    def most_connections(digest_bps):
        plan, most_seen = ConcurrencyPlan(), 0
        for window in range(1, 20):
            flow = TransferSample(
                START + window * WINDOW_S * 1.01, int(window * WINDOW_S * 700e6), plan.count, digest_bps=digest_bps
            )
            plan = adjust(plan, flow, 16)
            most_seen = max(most_seen, plan.count)
        return most_seen

    assert most_connections(700e6 * GAIN[LEAP] * 0.99) == 1
    assert most_connections(700e6 * GAIN[LEAP] * 1.01) == LEAP


def test_one_slow_window_adds_no_connection():
    rates = [700e6] * 5 + [300e6] + [700e6] * 5
    plan, fetched = ConcurrencyPlan(), 0.0
    for window, rate in enumerate(rates, 1):
        fetched += rate * WINDOW_S
        plan = adjust(
            plan, TransferSample(START + window * WINDOW_S * 1.01, int(fetched), plan.count, digest_bps=900e6), 16
        )
        assert plan.count == 1


def test_a_line_that_stays_slow_is_judged_by_its_new_rate():
    """A line that fell to a hundredth of its rate is judged by the new rate at the next try."""
    plan, fetched = ConcurrencyPlan(), 0.0
    for window, rate in enumerate([100e6] * 5 + [1e6] * RECENT, 1):
        fetched += rate * WINDOW_S
        plan = adjust(
            plan, TransferSample(START + window * WINDOW_S * 1.01, int(fetched), plan.count), connections_max=1
        )
    assert plan.best_bps < 1.01e6


def test_a_cap_is_never_passed():
    assert max(counts(lambda count, _: count * 20e6, connections_max=5)) == 5


def test_where_one_connection_fills_the_line_the_count_stays_near_one():
    last = counts(lambda count, _: 100e6)[-1]
    assert last <= 4


def test_where_four_fill_the_line_the_count_falls_back_and_rests():
    history = simulate(lambda count, _: min(count, 4) * 20e6)
    assert max(plan.count for plan in history) == 16, "the second leap"
    backed_off = next(plan for plan in history if plan.backing_off_until)
    assert backed_off.count == 4
    resting = [
        plan.count
        for plan in history
        if plan.backing_off_until and plan.window_start < backed_off.window_start + BACK_OFF_S - WINDOW_S
    ]
    assert set(resting) == {4}


def test_a_leap_that_brings_too_little_is_followed_by_a_step():
    assert counts(lambda count, _: min(count * 20e6, 28e6))[-1] == 2


def test_where_more_connections_bring_less_the_count_falls_back():
    assert counts(lambda count, _: 80e6 if count <= 2 else 40e6)[-1] <= 2


def test_nothing_is_learned_while_nothing_moves():
    assert set(counts(lambda count, _: 0)) == {1}


def test_too_short_a_window_changes_nothing():
    plan = ConcurrencyPlan(window_start=START, is_measuring=True)
    assert adjust(plan, TransferSample(START + WINDOW_S / 2, 10**9, active_connections=1), 16) is plan


def test_new_connections_are_judged_only_when_all_of_them_flow_or_a_second_has_passed():
    trying = ConcurrencyPlan(count=4, baseline=1, best_bps=20e6, window_start=START)
    assert adjust(trying, TransferSample(START + SETTLE_S / 2, 10**7, active_connections=3), 16) is trying
    assert adjust(trying, TransferSample(START + SETTLE_S / 2, 10**7, active_connections=4), 16).is_measuring
    assert adjust(trying, TransferSample(START + SETTLE_S * 1.1, 10**7, active_connections=3), 16).is_measuring


def test_nothing_is_judged_before_the_first_byte_however_long_it_takes():
    waiting = adjust(ConcurrencyPlan(), TransferSample(START, 0, active_connections=0), 16)
    assert adjust(waiting, TransferSample(START + 60, 0, active_connections=0), 16) == waiting


def test_a_line_that_outruns_the_digest_gets_fewer_connections_and_a_rest():
    plan = ConcurrencyPlan(count=8, baseline=8, best_bps=1e9, is_measuring=True, window_start=START)
    reduced = adjust(plan, TransferSample(START + 1, 10**9, active_connections=8, hash_bound=True), 16)
    assert reduced.count == 4
    assert reduced.backing_off_until > START


def test_a_lower_cap_is_obeyed_at_once():
    plan = ConcurrencyPlan(count=16, baseline=16, is_measuring=True, window_start=START)
    assert adjust(plan, TransferSample(START + 0.01, 10, active_connections=16), 3).count == 3
