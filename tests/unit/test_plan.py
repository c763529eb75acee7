"""Ranges are a set of bytes: no list of them, in any order, leaves a gap, an overlap or a byte asked for twice."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.transfer.plan import (
    ASK_MIN,
    MIB,
    PIECE_MAX,
    PIECE_MIN,
    PIECES_AIM,
    Ranges,
    next_range,
    piece_size,
)

TOP = 60
SPANS = st.tuples(st.integers(0, TOP), st.integers(0, TOP))
WORDS = st.lists(st.tuples(st.booleans(), SPANS), max_size=25)
GIB = 1 << 30


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


@given(WORDS, st.integers(0, TOP))
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


def test_ranges_made_from_ranges_are_the_same():
    assert Ranges([(5, 9), (0, 2), (2, 5)]) == Ranges([(0, 9)])
    assert repr(Ranges([(0, 9)])) == "Ranges([(0, 9)])"
    assert len(Ranges([(0, 2), (4, 5)])) == 2


# Pieces --------------------------------------------------------------------------------------------------------------


@given(st.none() | st.integers(0, 1 << 50))
def test_a_piece_is_a_power_of_two_that_keeps_the_pieces_few(size):
    piece = piece_size(size)
    assert PIECE_MIN <= piece <= PIECE_MAX
    assert piece & (piece - 1) == 0
    if size is not None and piece < PIECE_MAX:
        assert size <= piece * PIECES_AIM


def test_a_file_of_unknown_size_has_the_smallest_pieces():
    assert piece_size(None) == piece_size(1) == PIECE_MIN


def test_pieces_grow_with_the_file_up_to_a_limit():
    assert piece_size(8 * GIB) == MIB
    assert piece_size(8 * GIB + 1) == 2 * MIB
    assert piece_size(5000 * GIB) == PIECE_MAX


# What to ask next ----------------------------------------------------------------------------------------------------

SIZES = st.integers(1, 900).map(lambda count: count * MIB // 2 + count)
PLACES = st.lists(st.tuples(st.integers(0, 900), st.integers(0, 900)), max_size=8)


def at_half_mib(spans):
    return Ranges((start * MIB // 2, end * MIB // 2) for start, end in spans)


@given(SIZES, PLACES, PLACES, st.integers(1, 16), st.floats(0, 1e10))
def test_the_next_range_is_missing_and_nobody_else_has_it(size, kept, taken, connections, rate):
    kept, taken = at_half_mib(kept), at_half_mib(taken)
    asked = next_range(kept, taken, size, connections=connections, rate=rate)
    busy = Ranges([*kept, *taken])
    if asked is None:
        assert not list(busy.gaps(0, size))
    else:
        assert 0 <= asked[0] < asked[1] <= size
        assert list(busy.gaps(*asked)) == [asked]


@given(SIZES, st.integers(1, 16), st.floats(0, 1e9))
def test_asking_again_and_again_covers_the_file_once_from_the_front(size, connections, rate):
    taken, asked = Ranges(), []
    while (one := next_range(Ranges(), taken, size, connections=connections, rate=rate)) is not None:
        asked.append(one)
        taken.add(*one)
    assert asked[0][0] == 0
    assert asked[-1][1] == size
    assert all(left[1] == right[0] for left, right in pairwise(asked))


def test_one_connection_asks_for_all_of_a_small_file_at_once():
    assert next_range(Ranges(), Ranges(), 10 * MIB, connections=1, rate=0) == (0, 10 * MIB)


def test_several_connections_share_what_is_left():
    assert next_range(Ranges(), Ranges(), 16 * MIB, connections=4, rate=0) == (0, 2 * MIB)


def test_a_range_is_not_cut_so_small_that_asking_costs_more_than_fetching():
    assert next_range(Ranges(), Ranges(), 2 * MIB, connections=16, rate=0) == (0, ASK_MIN)


def test_a_range_is_about_four_seconds_of_a_connections_rate():
    assert next_range(Ranges(), Ranges(), 4 * GIB, connections=4, rate=20e6) == (0, 80_000_000)
