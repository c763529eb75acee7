"""Ranges are a set of bytes: no list of them, in any order, leaves a gap, an overlap or a byte asked for twice."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from support.examples import examples

from flowhub_jobs.pieces.ranges import MIB, PIECE_MAX, PIECE_MIN, PIECES_AIM, Ranges, piece_size
from flowhub_jobs.transfer.range_scheduler import RANGE_MAX, RANGE_MIN, next_range

TOP = 60
PLACES = st.integers(0, TOP)
SPANS = st.tuples(PLACES, PLACES)
WORDS = st.lists(st.tuples(st.booleans(), SPANS), max_size=25)


def said(words):
    """Return the ranges after adding (True) and removing (False), and the same as a plain set of bytes."""
    ranges, plain = Ranges(), set()
    for added, (start, end) in words:
        if added:
            ranges.add(start, end)
            plain |= set(range(start, end))
        else:
            ranges.remove(start, end)
            plain -= set(range(start, end))
    return ranges, plain


@given(WORDS)
def test_ranges_hold_exactly_the_bytes_that_were_added_and_not_removed(words):
    ranges, plain = said(words)
    assert {byte for start, end in ranges for byte in range(start, end)} == plain
    assert ranges.total == len(plain)


@given(WORDS)
def test_ranges_are_sorted_and_neither_touch_nor_overlap(words):
    ranges = list(said(words)[0])
    assert all(start < end for start, end in ranges)
    assert all(left[1] < right[0] for left, right in pairwise(ranges))


@given(WORDS, SPANS)
def test_gaps_are_what_is_missing_and_nothing_else(words, span):
    ranges, plain = said(words)
    gaps = list(ranges.gaps(*span))
    assert [byte for start, end in gaps for byte in range(start, end)] == sorted(set(range(*span)) - plain)
    assert all(start < end for start, end in gaps)


@given(WORDS, PLACES)
def test_reach_is_the_end_of_the_unbroken_run(words, start):
    ranges, plain = said(words)
    end = start
    while end in plain:
        end += 1
    assert ranges.reach(start) == end


@given(WORDS)
def test_a_copy_stays_as_it_is_when_the_first_changes(words):
    ranges, _ = said(words)
    copy, before = ranges.copy(), list(ranges)
    assert copy == ranges
    ranges.add(0, TOP + 1)
    assert list(copy) == before


@given(WORDS, st.randoms(use_true_random=False))
def test_the_same_bytes_added_in_any_order_are_the_same_ranges(words, dice):
    ranges = list(said(words)[0])
    halves = [half for start, end in ranges for half in ((start, (start + end) // 2), ((start + end) // 2, end))]
    dice.shuffle(halves)
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


# What to ask next ----------------------------------------------------------------------------------------------------

SIZES = st.integers(1, 600).flatmap(lambda halves: st.integers(halves * MIB // 2 - 3, halves * MIB // 2 + 3))
SPOTS = st.lists(st.tuples(st.integers(0, 600), st.integers(0, 600)), max_size=8)
CONNECTIONS, RATES = st.integers(1, 16), st.floats(0, 1e10)


def at_half_mib(spans):
    return Ranges((start * MIB // 2, end * MIB // 2) for start, end in spans)


@given(SIZES, SPOTS, SPOTS, CONNECTIONS, RATES)
def test_the_next_range_is_missing_and_no_other_fetcher_has_it(size, kept, taken, connections, rate):
    kept, taken = at_half_mib(kept), at_half_mib(taken)
    asked = next_range(kept, taken, size, connections=connections, rate=rate)
    busy = Ranges([*kept, *taken])
    if asked is None:
        assert not list(busy.gaps(0, size))
    else:
        assert 0 <= asked[0] < asked[1] <= size
        assert list(busy.gaps(*asked)) == [asked]


@given(SIZES, SPOTS, SPOTS, CONNECTIONS, RATES)
def test_the_next_range_is_not_so_short_that_asking_costs_more_nor_so_long_that_it_is_never_done(
    size, kept, taken, connections, rate
):
    kept, taken = at_half_mib(kept), at_half_mib(taken)
    asked = next_range(kept, taken, size, connections=connections, rate=rate)
    if asked is not None:
        [gap] = list(Ranges([*kept, *taken]).gaps(asked[0], size))[:1]
        assert min(RANGE_MIN, gap[1] - gap[0]) <= asked[1] - asked[0] <= RANGE_MAX


@given(SIZES, SPOTS, st.lists(st.tuples(CONNECTIONS, RATES), min_size=1, max_size=5))
def test_asking_again_and_again_covers_what_is_missing_once_from_the_front(size, kept, terms):
    kept, asked = at_half_mib(kept), []
    taken = Ranges()
    while True:
        connections, rate = terms[len(asked) % len(terms)]
        one = next_range(kept, taken, size, connections=connections, rate=rate)
        if one is None:
            break
        asked.append(one)
        taken.add(*one)
    assert asked == sorted(asked)
    assert sum(end - start for start, end in asked) == taken.total
    assert list(taken.gaps(0, size)) == list(Ranges(asked).gaps(0, size))
    assert not list(Ranges([*kept, *asked]).gaps(0, size))


STEPS = st.lists(st.tuples(st.sampled_from(["take", "arrive", "drop"]), st.integers(0, 15), st.floats(0, 1)))


@examples(60)
@given(SIZES, CONNECTIONS, RATES, STEPS)
def test_no_byte_is_taken_twice_or_lost_whatever_arrives_and_drops(size, connections, rate, steps):
    kept, held = Ranges(), []

    def take():
        asked = next_range(kept, Ranges(held), size, connections=connections, rate=rate)
        if asked is not None:
            assert list(Ranges([*kept, *held]).gaps(*asked)) == [asked]
            held.append(asked)
        return asked

    for what, which, part in steps:
        if what == "take":
            take()
        elif held:
            start, end = held.pop(which % len(held))
            at = end if what == "arrive" else start + int((end - start) * part)
            kept.add(start, at)
    while held or take():
        kept.add(*held.pop())
    assert list(kept) == [(0, size)]
