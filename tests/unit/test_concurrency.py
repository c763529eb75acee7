"""The number of connections grows while the whole gains by it, and steps back when it does not."""

from flowhub_jobs.transfer.concurrency import (
    BACK_OFF_S,
    GAIN,
    LEAP,
    RECENT,
    SETTLE_S,
    WINDOW_S,
    ConcurrencyPlan,
    Flow,
    adjust,
)

START = 1000.0


def run(rates, cap=16):
    """Return the tuning after each window; `rates` gives bytes a second for a number of connections and a window."""
    now, fetched, history = ConcurrencyPlan(), 0.0, []
    for window in range(1, 40):
        fetched += rates(now.count, window) * WINDOW_S
        now = adjust(now, Flow(START + window * WINDOW_S * 1.01, int(fetched), flowing=now.count), cap)
        history.append(now)
    return history


def counts(rates, cap=16):
    return [now.count for now in run(rates, cap)]


def test_where_each_connection_adds_as_much_it_goes_up_to_the_cap():
    assert max(counts(lambda count, _: count * 20e6)) == 16
    assert counts(lambda count, _: count * 20e6)[-1] == 16


def test_no_more_are_tried_than_the_digest_could_follow():
    """What comes out of order it reads from the disk, and then it is slower still."""

    def tried(digest_bps):
        now, most = ConcurrencyPlan(), 0
        for window in range(1, 20):
            flow = Flow(
                START + window * WINDOW_S * 1.01, int(window * WINDOW_S * 700e6), now.count, digest_bps=digest_bps
            )
            now = adjust(now, flow, 16)
            most = max(most, now.count)
        return most

    assert tried(700e6 * GAIN[LEAP] * 0.99) == 1
    assert tried(700e6 * GAIN[LEAP] * 1.01) == LEAP


def test_one_bad_moment_is_not_the_line():
    rates = [700e6] * 5 + [300e6] + [700e6] * 5
    now, fetched = ConcurrencyPlan(), 0.0
    for window, rate in enumerate(rates, 1):
        fetched += rate * WINDOW_S
        now = adjust(now, Flow(START + window * WINDOW_S * 1.01, int(fetched), now.count, digest_bps=900e6), 16)
        assert now.count == 1


def test_a_bad_second_is():
    """A line that fell to a hundredth is judged by what it is now, when the next try comes."""
    now, fetched = ConcurrencyPlan(), 0.0
    for window, rate in enumerate([100e6] * 5 + [1e6] * RECENT, 1):
        fetched += rate * WINDOW_S
        now = adjust(now, Flow(START + window * WINDOW_S * 1.01, int(fetched), now.count), cap=1)
    assert now.best < 1.01e6


def test_a_cap_is_never_passed():
    assert max(counts(lambda count, _: count * 20e6, cap=5)) == 5


def test_where_one_connection_has_the_whole_line_it_stays_near_one():
    last = counts(lambda count, _: 100e6)[-1]
    assert last <= 4


def test_where_four_fill_the_line_it_steps_back_and_rests():
    history = run(lambda count, _: min(count, 4) * 20e6)
    assert max(now.count for now in history) == 16, "the second leap"
    stepped = next(now for now in history if now.backing_off_until)
    assert stepped.count == 4
    resting = [
        now.count for now in history if now.backing_off_until and now.since < stepped.since + BACK_OFF_S - WINDOW_S
    ]
    assert set(resting) == {4}


def test_a_leap_that_brings_too_little_is_followed_by_a_step():
    assert counts(lambda count, _: min(count * 20e6, 28e6))[-1] == 2


def test_where_more_connections_bring_less_it_steps_back():
    assert counts(lambda count, _: 80e6 if count <= 2 else 40e6)[-1] <= 2


def test_nothing_is_learned_while_nothing_moves():
    assert set(counts(lambda count, _: 0)) == {1}


def test_too_short_a_time_tells_nothing():
    now = ConcurrencyPlan(since=START, settled=True)
    assert adjust(now, Flow(START + WINDOW_S / 2, 10**9, flowing=1), 16) is now


def test_new_connections_are_judged_only_when_all_of_them_flow_or_a_second_has_passed():
    trying = ConcurrencyPlan(count=4, baseline=1, best=20e6, since=START)
    assert adjust(trying, Flow(START + SETTLE_S / 2, 10**7, flowing=3), 16) is trying
    assert adjust(trying, Flow(START + SETTLE_S / 2, 10**7, flowing=4), 16).settled
    assert adjust(trying, Flow(START + SETTLE_S * 1.1, 10**7, flowing=3), 16).settled


def test_before_the_first_byte_nothing_is_judged_however_long_it_takes():
    waiting = adjust(ConcurrencyPlan(), Flow(START, 0, flowing=0), 16)
    assert adjust(waiting, Flow(START + 60, 0, flowing=0), 16) == waiting


def test_a_line_that_outruns_the_digest_gets_fewer_connections_and_a_rest():
    many = ConcurrencyPlan(count=8, baseline=8, best=1e9, settled=True, since=START)
    fewer = adjust(many, Flow(START + 1, 10**9, flowing=8, hash_bound=True), 16)
    assert fewer.count == 4
    assert fewer.backing_off_until > START


def test_a_lower_cap_is_obeyed_at_once():
    many = ConcurrencyPlan(count=16, baseline=16, settled=True, since=START)
    assert adjust(many, Flow(START + 0.01, 10, flowing=16), 3).count == 3
