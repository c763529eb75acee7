"""Received bytes per minute: the sum of all workers of a node, kept for a week."""

from flowhub_jobs.database.engine import writing
from flowhub_jobs.jobs.wire_bytes import add_received
from flowhub_jobs.jobs.wire_minutes import KEPT, MINUTE_US, add_to_minute, read_minutes

START = 1_000_000


def add(job_store, minute, count, node="n-one"):
    with writing(job_store.engine) as tx:
        add_to_minute(tx, node, minute * MINUTE_US + 17, count)


def test_bytes_of_one_minute_are_added_up_and_nodes_are_kept_apart(job_store):
    for minute, count, node in ((0, 5, "n-one"), (0, 7, "n-one"), (1, 1, "n-one"), (0, 100, "n-two")):
        add(job_store, START + minute, count, node)
    minutes = read_minutes(job_store.database, "n-one", START * MINUTE_US, (START + 9) * MINUTE_US)
    assert minutes == {START: 12, START + 1: 1}
    assert read_minutes(job_store.database, "n-one", (START + 1) * MINUTE_US, (START + 9) * MINUTE_US) == {START + 1: 1}


def test_bytes_that_count_for_the_cap_count_for_their_minute(job_store):
    add_received(job_store.engine, "n-one", job_store.time.clock, 5)
    now = job_store.time.clock.now_us()
    assert read_minutes(job_store.database, "n-one", now, now) == {now // MINUTE_US: 5}


def test_a_new_minute_deletes_those_older_than_a_week(job_store):
    for minute in (0, 1, KEPT + 1):
        add(job_store, START + minute, 1)
    minutes = read_minutes(job_store.database, "n-one", 0, (START + 2 * KEPT) * MINUTE_US)
    assert minutes == {START + 1: 1, START + KEPT + 1: 1}
