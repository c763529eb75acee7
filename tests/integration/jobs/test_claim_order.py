"""The orders of the queue over both databases: the job that a claim takes, and the index that it uses."""

import pytest
import sqlalchemy as sa
from support.job_store import NODE, JobStore

from flowhub_jobs.database.engine import reading
from flowhub_jobs.jobs.disk_demand import needs_in_order, room_needed_before
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.status_order import arrange
from flowhub_jobs.values.enums import QueueOrder

INDEXES = {
    QueueOrder.OLDEST_FIRST: "ix_jobs_claim",
    QueueOrder.SMALLEST_FIRST: "ix_jobs_smallest",
    QueueOrder.NEARLY_DONE: "ix_jobs_nearly_done",
}
# bytes_total, bytes_done
SIZES = {"large": (900, 0), "half": (800, 400), "unknown": (None, 0), "nearly": (850, 840), "small": (10, 0)}


@pytest.fixture
def queued(job_store: JobStore) -> list[int]:
    """Queue a job for each of SIZES, and one with a higher priority; return them."""
    jobs = job_store.enqueue(*SIZES)
    for job, (total, done) in zip(jobs, SIZES.values(), strict=True):
        job_store.set_row(job, bytes_total=total, bytes_done=done)
    [urgent] = job_store.enqueue("urgent", priority=1)
    job_store.set_row(urgent, bytes_total=10_000)
    return [*jobs, urgent]


def claimed_models(job_store: JobStore, order: QueueOrder) -> list[str]:
    """Return the models in the order in which a worker claims them."""
    owner, models = LeaseStore(job_store.engine, job_store.node, "w-1", job_store.time.clock, order), []
    while (claimed := owner.claim(job_store.controls.gates())) is not None:
        models.append(claimed.artifact.model or "")
    return models


@pytest.mark.parametrize(
    ("order", "models"),
    [
        (QueueOrder.OLDEST_FIRST, ["urgent", "large", "half", "unknown", "nearly", "small"]),
        (QueueOrder.SMALLEST_FIRST, ["urgent", "small", "half", "nearly", "large", "unknown"]),
        (QueueOrder.NEARLY_DONE, ["urgent", "nearly", "half", "large", "unknown", "small"]),
    ],
)
def test_jobs_of_one_priority_start_in_the_order_that_was_set(job_store, queued, order, models):
    assert len(queued) == len(models)
    assert claimed_models(job_store, order) == models


@pytest.mark.parametrize("order", QueueOrder)
def test_the_screens_show_the_order_in_which_a_claim_takes_them(job_store, queued, order):
    shown = [job.model for job in arrange(job_store.queries.overview(), (), order).waiting]
    assert shown == claimed_models(job_store, order)


@pytest.mark.parametrize("order", QueueOrder)
def test_room_is_kept_for_the_jobs_that_go_first_in_that_order(job_store, queued, order):
    _, needs = needs_in_order(job_store.engine, job_store.node, order)
    ahead = list(needs)
    for position, job in enumerate(ahead):
        expected = [needs[other] for other in ahead[:position]]
        assert room_needed_before(job_store.engine, job_store.node, job, order)[1] == expected


@pytest.mark.parametrize("order", QueueOrder)
def test_a_claim_walks_the_index_of_its_order_and_sorts_nothing(job_store, order):
    """A claim reads one row, however many jobs are queued."""
    job_store.enqueue(*(f"m{number}" for number in range(300)))
    statements: list[tuple[str, object]] = []

    def record_update(connection, cursor, statement, parameters, context, executemany) -> None:
        if statement.startswith("UPDATE jobs"):
            statements.append((statement, parameters))

    sa.event.listen(job_store.engine, "before_cursor_execute", record_update)
    LeaseStore(job_store.engine, NODE, "w-1", job_store.time.clock, order).claim(job_store.controls.gates())
    sa.event.remove(job_store.engine, "before_cursor_execute", record_update)
    statement, parameters = statements[0]
    explain = "EXPLAIN QUERY PLAN" if job_store.engine.dialect.name == "sqlite" else "EXPLAIN"
    with reading(job_store.engine) as tx:
        if explain == "EXPLAIN":
            # By default PostgreSQL scans a table this small.
            tx.exec_driver_sql("SET LOCAL enable_seqscan = off")
            tx.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
            tx.exec_driver_sql("SET LOCAL enable_sort = off")
        plan = "; ".join(str(row[-1]) for row in tx.exec_driver_sql(f"{explain} {statement}", parameters))
    assert INDEXES[order] in plan
    assert "TEMP B-TREE" not in plan
    assert "Sort" not in plan
