"""A job is moved to another place by priorities: the order is as wished, and few priorities change."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowhub_jobs.operations.queue_order import priorities_for

queues = st.lists(st.integers(-3, 3), min_size=1, max_size=12).map(
    lambda given: sorted(enumerate(given, start=1), key=lambda job: (-job[1], job[0]))
)


@given(queues, st.data())
def test_jobs_start_in_the_order_that_was_asked_for(queue, data):
    moved = data.draw(st.sampled_from([number for number, _ in queue]))
    others = [job for job in queue if job[0] != moved]
    place = data.draw(st.integers(0, len(others)))
    order = [*others[:place], (moved, dict(queue)[moved]), *others[place:]]
    changes = priorities_for(order, moved)
    after = dict(order) | changes
    assert sorted(after, key=lambda number: (-after[number], number)) == [number for number, _ in order]
    if order == queue:
        assert set(changes) <= {moved}
    assert set(changes) <= {moved} | {number for number, _ in others[:place]}, (
        "what stands behind it keeps its priority"
    )


@pytest.mark.parametrize(
    ("order", "moved", "changes"),
    [
        ([(3, 0), (1, 0), (2, 0)], 3, {3: 1}),
        ([(2, 0), (3, 0), (1, 0)], 1, {2: 0, 3: 0, 1: -1}),
        ([(1, 0), (3, 0), (2, 0)], 3, {3: 1, 1: 1}),
        ([(1, 5), (2, 0)], 1, {}),
        ([(1, 0)], 1, {}),
    ],
)
def test_few_priorities_change(order, moved, changes):
    given = dict(order)
    assert priorities_for(order, moved) == {number: one for number, one in changes.items() if given[number] != one}
