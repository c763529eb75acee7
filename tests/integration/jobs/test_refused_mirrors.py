"""The mirrors that sent wrong bytes, as a node remembers them, and the bytes of each job by origin."""

from flowhub_jobs.jobs.refused_mirrors import REFUSED_US, RefusedMirrors
from flowhub_jobs.jobs.run_values import Progress
from flowhub_jobs.values.enums import DigestState, Stage
from flowhub_jobs.values.jobs import OriginBytes

M, N = "http://m.example", "http://n.example"


def table_of(job_store, node=None):
    return RefusedMirrors(job_store.engine, node or job_store.node, job_store.time.clock)


def test_a_mirror_is_refused_for_a_day_by_its_node(job_store):
    table = table_of(job_store)
    assert table.refuse([M, N])
    assert table.refuse([M])
    assert (table.current(), table_of(job_store, "n-other").current()) == ({M, N}, frozenset())
    job_store.time.advance(REFUSED_US / 1e6)
    assert table.current() == frozenset()


def test_a_clock_that_was_set_back_does_not_refuse_a_mirror_for_longer(job_store):
    table_of(job_store).refuse([M])
    job_store.time.shift_calendar(-2 * REFUSED_US / 1e6)
    assert table_of(job_store).current() == frozenset()


def test_a_job_keeps_its_bytes_by_origin_for_the_next_attempt(job_store):
    [job] = job_store.enqueue("tiny")
    lease = job_store.claim().lease
    received = ((M, 400), (N, 50))
    job_store.owner.progress(lease, Progress(Stage.DOWNLOAD, 1000, 400, 450, 7, DigestState.RUNNING, sources=received))
    assert job_store.queries.jobs([job])[0].sources == (OriginBytes(M, 400), OriginBytes(N, 50))
    job_store.owner.hand_back(lease)
    assert job_store.claim().sources == dict(received)


def test_a_damaged_count_by_origin_hides_nothing_else_of_the_job(job_store):
    [job] = job_store.enqueue("tiny")
    job_store.set_row(job, sources={M: "many", N: 3})
    assert job_store.queries.jobs([job])[0].sources == (OriginBytes(N, 3),)
    job_store.set_row(job, sources=[1])
    assert job_store.queries.jobs([job])[0].sources == ()
