"""Moves of a job within the queue, by priorities: the order is the requested one, and few priorities change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.operations.queue_moves import priorities_for

jobs = st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 3)), min_size=1, max_size=12)  # priority, rank


@given(jobs, st.data())
def test_jobs_start_in_the_requested_order(listed, data):
    ranks = {number: (rank, number) for number, (_, rank) in enumerate(listed, start=1)}
    now = sorted(((n, listed[n - 1][0]) for n in ranks), key=lambda job: (-job[1], ranks[job[0]]))
    moved = data.draw(st.sampled_from(sorted(ranks)))
    others = [job for job in now if job[0] != moved]
    place = data.draw(st.integers(0, len(others)))
    order = [*others[:place], (moved, listed[moved - 1][0]), *others[place:]]
    changes = priorities_for(order, moved, ranks)
    after = dict(order) | changes
    assert sorted(after, key=lambda number: (-after[number], ranks[number])) == [number for number, _ in order]
    assert order != now or changes == {}
    assert set(changes) <= {moved} | {number for number, _ in others[:place]}, "later jobs keep their priority"


@pytest.mark.parametrize(
    ("order", "moved", "changes"),
    [
        ([(3, 0), (1, 0), (2, 0)], 3, {3: 1}),
        ([(2, 0), (3, 0), (1, 0)], 1, {1: -1}),
        ([(1, 0), (3, 0), (2, 0)], 3, {3: 1, 1: 1}),
        ([(1, 5), (2, 0)], 1, {}),
        ([(1, 0)], 1, {}),
    ],
)
def test_few_priorities_change(order, moved, changes):
    assert priorities_for(order, moved, {number: (0, number) for number, _ in order}) == changes
