"""Properties of Ranges, and of next_range: no order of requests leaves a gap, an overlap or a byte requested twice."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from flowhub_jobs.pieces.ranges import MIB, PIECE_MAX, PIECE_MIN, PIECES_AIM, Ranges, piece_size
from flowhub_jobs.transfer.range_scheduler import RANGE_MAX, RANGE_MIN, next_range

TOP = 60
OFFSETS = st.integers(0, TOP)
SPANS = st.tuples(OFFSETS, OFFSETS)
OPERATIONS = st.lists(st.tuples(st.booleans(), SPANS), max_size=25)


def apply(operations):
    """Return the ranges after adding (True) and removing (False) spans, and the same as a set of byte offsets."""
    ranges, byte_set = Ranges(), set()
    for is_add, (start, end) in operations:
        if is_add:
            ranges.add(start, end)
            byte_set |= set(range(start, end))
        else:
            ranges.remove(start, end)
            byte_set -= set(range(start, end))
    return ranges, byte_set


@given(OPERATIONS)
def test_ranges_hold_exactly_the_bytes_that_were_added_and_not_removed(operations):
    ranges, byte_set = apply(operations)
    assert {byte for start, end in ranges for byte in range(start, end)} == byte_set
    assert ranges.total == len(byte_set)


@given(OPERATIONS)
def test_ranges_are_sorted_and_neither_touch_nor_overlap(operations):
    ranges = list(apply(operations)[0])
    assert all(start < end for start, end in ranges)
    assert all(left[1] < right[0] for left, right in pairwise(ranges))


@given(OPERATIONS, SPANS)
def test_gaps_are_the_missing_bytes_and_no_others(operations, span):
    ranges, byte_set = apply(operations)
    gaps = list(ranges.gaps(*span))
    assert [byte for start, end in gaps for byte in range(start, end)] == sorted(set(range(*span)) - byte_set)
    assert all(start < end for start, end in gaps)


@given(OPERATIONS, OFFSETS)
def test_reach_is_the_end_of_the_unbroken_run(operations, start):
    ranges, byte_set = apply(operations)
    end = start
    while end in byte_set:
        end += 1
    assert ranges.reach(start) == end


@given(OPERATIONS)
def test_a_copy_does_not_change_with_its_original(operations):
    ranges, _ = apply(operations)
    copy, before = ranges.copy(), list(ranges)
    assert copy == ranges
    ranges.add(0, TOP + 1)
    assert list(copy) == before


@given(OPERATIONS, st.randoms(use_true_random=False))
def test_the_same_bytes_added_in_any_order_are_the_same_ranges(operations, random):
    ranges = list(apply(operations)[0])
    halves = [half for start, end in ranges for half in ((start, (start + end) // 2), ((start + end) // 2, end))]
    random.shuffle(halves)
    assert Ranges(halves) == Ranges(ranges)


# Pieces --------------------------------------------------------------------------------------------------------------


@given(st.none() | st.integers(0, 1 << 50))
def test_a_piece_is_the_smallest_power_of_two_that_keeps_the_pieces_few(size):
    piece = piece_size(size)
    assert PIECE_MIN <= piece <= PIECE_MAX
    assert piece & (piece - 1) == 0
    if size is not None and piece < PIECE_MAX:
        assert size <= piece * PIECES_AIM
    if piece > PIECE_MIN:
        assert size > piece // 2 * PIECES_AIM


# The next range to request -------------------------------------------------------------------------------------------

SIZES = st.integers(1, 600).flatmap(lambda halves: st.integers(halves * MIB // 2 - 3, halves * MIB // 2 + 3))
SPANS_IN_HALF_MIB = st.lists(st.tuples(st.integers(0, 600), st.integers(0, 600)), max_size=8)
CONNECTIONS, RATES = st.integers(1, 16), st.floats(0, 1e10)


def at_half_mib(spans):
    return Ranges((start * MIB // 2, end * MIB // 2) for start, end in spans)


@given(SIZES, SPANS_IN_HALF_MIB, SPANS_IN_HALF_MIB, CONNECTIONS, RATES)
def test_the_next_range_is_missing_and_not_in_flight(size, kept, in_flight, connections, rate):
    kept, in_flight = at_half_mib(kept), at_half_mib(in_flight)
    requested = next_range(kept, in_flight, size, connections=connections, rate_bps=rate)
    busy = Ranges([*kept, *in_flight])
    if requested is None:
        assert not list(busy.gaps(0, size))
    else:
        assert 0 <= requested[0] < requested[1] <= size
        assert list(busy.gaps(*requested)) == [requested]


@given(SIZES, SPANS_IN_HALF_MIB, SPANS_IN_HALF_MIB, CONNECTIONS, RATES)
def test_the_next_range_is_neither_too_short_to_be_worth_a_request_nor_longer_than_the_maximum(
    size, kept, in_flight, connections, rate
):
    kept, in_flight = at_half_mib(kept), at_half_mib(in_flight)
    requested = next_range(kept, in_flight, size, connections=connections, rate_bps=rate)
    if requested is not None:
        [gap] = list(Ranges([*kept, *in_flight]).gaps(requested[0], size))[:1]
        assert min(RANGE_MIN, gap[1] - gap[0]) <= requested[1] - requested[0] <= RANGE_MAX


@given(SIZES, SPANS_IN_HALF_MIB, st.lists(st.tuples(CONNECTIONS, RATES), min_size=1, max_size=5))
def test_repeated_requests_cover_the_missing_bytes_once_from_the_front(size, kept, terms):
    kept, requested = at_half_mib(kept), []
    in_flight = Ranges()
    while True:
        connections, rate = terms[len(requested) % len(terms)]
        span = next_range(kept, in_flight, size, connections=connections, rate_bps=rate)
        if span is None:
            break
        requested.append(span)
        in_flight.add(*span)
    assert requested == sorted(requested)
    assert sum(end - start for start, end in requested) == in_flight.total
    assert list(in_flight.gaps(0, size)) == list(Ranges(requested).gaps(0, size))
    assert not list(Ranges([*kept, *requested]).gaps(0, size))


STEPS = st.lists(st.tuples(st.sampled_from(["take", "arrive", "drop"]), st.integers(0, 15), st.floats(0, 1)))


@examples(60)
@given(SIZES, CONNECTIONS, RATES, STEPS)
def test_no_byte_is_requested_twice_or_lost_whatever_arrives_and_drops(size, connections, rate, steps):
    kept, held = Ranges(), []

    def take():
        requested = next_range(kept, Ranges(held), size, connections=connections, rate_bps=rate)
        if requested is not None:
            assert list(Ranges([*kept, *held]).gaps(*requested)) == [requested]
            held.append(requested)
        return requested

    for action, index, share in steps:
        if action == "take":
            take()
        elif held:
            start, end = held.pop(index % len(held))
            at = end if action == "arrive" else start + int((end - start) * share)
            kept.add(start, at)
    while held or take():
        kept.add(*held.pop())
    assert list(kept) == [(0, size)]
