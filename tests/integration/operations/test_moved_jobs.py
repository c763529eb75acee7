"""Moves of a waiting job to another place, in every order of the queue."""

import itertools

import pytest
from support.app import app_of
from support.models import gguf, one_file_model

from flowhub_jobs.operations.queue_moves import move_before
from flowhub_jobs.operations.queue_view import read_overview
from flowhub_jobs.values.enums import QueueOrder
from flowhub_jobs.worker.context import WorkerContext


@pytest.mark.parametrize("order", QueueOrder)
def test_a_job_that_was_moved_starts_where_it_was_put(home, monkeypatch, order):
    monkeypatch.setenv("FLOWHUB_QUEUE_ORDER", order)
    sizes = [9000, 5000, 7000, 5000, 8000]
    models = [one_file_model(f"m{n}", f"https://h.example/m{n}.gguf", gguf(size, n)) for n, size in enumerate(sizes)]
    with app_of(home, *models) as app:
        for number in range(len(sizes)):
            app.enqueue(f"m{number}")
        expected = [job.id for job in read_overview(app.session).waiting]
        for moved, position in itertools.product(range(1, 6), (0, 2, None)):
            expected.remove(moved)
            other = None if position is None else expected[position]
            move_before(app.session, moved, other)
            expected.insert(len(expected) if other is None else expected.index(other), moved)
            assert [job.id for job in read_overview(app.session).waiting] == expected
        context = WorkerContext(app.home, 5)
        try:
            claims = [context.leases.claim() for _ in sizes]
            assert [claim.lease.job for claim in claims if claim] == expected
        finally:
            context.close()
