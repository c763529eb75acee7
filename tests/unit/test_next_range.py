"""Piece sizes and next ranges, by example. The rules for all ranges are in properties/test_ranges.py."""

from flowhub_jobs.pieces.ranges import MIB, PIECE_MAX, PIECE_MIN, Ranges, piece_size
from flowhub_jobs.transfer.range_scheduler import RANGE_MIN, next_range

GIB = 1 << 30


def test_ranges_made_from_ranges_are_the_same():
    assert Ranges([(5, 9), (0, 2), (2, 5)]) == Ranges([(0, 9)])
    assert repr(Ranges([(0, 9)])) == "Ranges([(0, 9)])"
    assert len(Ranges([(0, 2), (4, 5)])) == 2


# Pieces --------------------------------------------------------------------------------------------------------------


def test_a_file_of_unknown_size_has_the_smallest_pieces():
    assert piece_size(None) == piece_size(1) == PIECE_MIN


def test_pieces_grow_with_the_file_up_to_a_limit():
    assert piece_size(8 * GIB) == MIB
    assert piece_size(8 * GIB + 1) == 2 * MIB
    assert piece_size(5000 * GIB) == PIECE_MAX


# The next range ------------------------------------------------------------------------------------------------------


def test_one_connection_asks_for_all_of_a_small_file_at_once():
    assert next_range(Ranges(), Ranges(), 10 * MIB, connections=1, rate_bps=0) == (0, 10 * MIB)


def test_several_connections_share_what_is_left():
    assert next_range(Ranges(), Ranges(), 16 * MIB, connections=4, rate_bps=0) == (0, 2 * MIB)


def test_a_range_is_not_so_small_that_the_request_costs_more_than_the_bytes():
    assert next_range(Ranges(), Ranges(), 2 * MIB, connections=16, rate_bps=0) == (0, RANGE_MIN)


def test_a_range_is_about_four_seconds_of_a_connections_rate():
    assert next_range(Ranges(), Ranges(), 4 * GIB, connections=4, rate_bps=20e6) == (0, 80_000_000)
