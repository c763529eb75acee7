"""What a node remembers of mirrors: those that sent wrong bytes, and the bytes of each job by origin."""

from flowhub_jobs.jobs.refused_mirrors import REFUSED_US, RefusedMirrors
from flowhub_jobs.jobs.run_values import Progress
from flowhub_jobs.values.enums import DigestState, Stage
from flowhub_jobs.values.jobs import OriginBytes

M, N = "http://m.example", "http://n.example"


def table_of(rooms, node=None):
    return RefusedMirrors(rooms.engine, node or rooms.node, rooms.time.clock)


def test_a_mirror_is_refused_for_a_day_by_its_node(rooms):
    table = table_of(rooms)
    assert table.refuse([M, N])
    assert table.refuse([M])
    assert (table.current(), table_of(rooms, "n-other").current()) == ({M, N}, frozenset())
    rooms.time.turn(REFUSED_US / 1e6)
    assert table.current() == frozenset()


def test_a_clock_that_was_set_back_does_not_refuse_a_mirror_for_longer(rooms):
    table_of(rooms).refuse([M])
    rooms.time.set_calendar(-2 * REFUSED_US / 1e6)
    assert table_of(rooms).current() == frozenset()


def test_a_job_keeps_its_bytes_by_origin_for_the_next_attempt(rooms):
    [job] = rooms.enqueue("tiny")
    lease = rooms.claim().lease
    came = ((M, 400), (N, 50))
    rooms.owner.progress(lease, Progress(Stage.DOWNLOAD, 1000, 400, 450, 7, DigestState.RUNNING, sources=came))
    assert rooms.queries.jobs([job])[0].sources == (OriginBytes(M, 400), OriginBytes(N, 50))
    rooms.owner.hand_back(lease)
    assert rooms.claim().sources == dict(came)


def test_a_damaged_count_by_origin_hides_nothing_else_of_the_job(rooms):
    [job] = rooms.enqueue("tiny")
    rooms.set_row(job, sources={M: "many", N: 3})
    assert rooms.queries.jobs([job])[0].sources == (OriginBytes(N, 3),)
    rooms.set_row(job, sources=[1])
    assert rooms.queries.jobs([job])[0].sources == ()
