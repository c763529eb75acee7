"""Tests of the queue of wake-ups in PostgreSQL: wake-ups by node, notified changes, garbage, lost connections."""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from support.pooler import TransactionPooler

from flowhub_jobs.database.engine import open_database
from flowhub_jobs.database.postgresql import connector
from flowhub_jobs.jobs.rate_limits import LIMIT
from flowhub_jobs.values.enums import State
from flowhub_jobs.values.jobs import ANY_NODE
from flowhub_jobs.worker.huey_consumer import WorkerConsumer
from flowhub_jobs.worker.wakeup_queue_postgresql import PostgresWakeupQueue, WakeupSignal


@pytest.fixture
def engine(postgres_url: str, tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_database(postgres_url, lock_folder=tmp_path)
    yield engine
    engine.dispose()


@pytest.fixture
def database(postgres_url: str) -> str:
    return postgres_url.rpartition("/")[2]


class Counter:
    """Counts its calls: one for each wake-up or change that a consumer receives."""

    def __init__(self) -> None:
        self.count, self._changed = 0, threading.Condition()

    def __call__(self) -> None:
        with self._changed:
            self.count += 1
            self._changed.notify_all()

    def wait_for(self, count: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.count >= count, 60)


@contextlib.contextmanager
def run_consumer(queue: PostgresWakeupQueue, slots: int = 1) -> Iterator[None]:
    consumer = WorkerConsumer(queue.huey, slots, queue.stop_waiting)
    consumer.start()
    try:
        yield
    finally:
        consumer.stop()
        queue.close()


def dequeue_all(queue: PostgresWakeupQueue) -> int:
    """Dequeue all messages, as a consumer that polls does; return how many there were."""
    count = 0
    while queue.huey.dequeue() is not None:
        count += 1
    return count


def test_a_message_is_json(engine, postgres, database):
    PostgresWakeupQueue(engine, "a").wake()
    [(data,)] = postgres.sql("SELECT data FROM wakeup_task", database=database)
    assert set(json.loads(data)) == {"id", "task"}


def test_no_node_takes_the_wake_up_of_another(engine):
    first, second = PostgresWakeupQueue(engine, "a"), PostgresWakeupQueue(engine, "b")
    first.wake(3)
    assert (first.waiting(), second.waiting()) == (3, 0)
    assert dequeue_all(second) == 0
    assert dequeue_all(first) == 3


def test_a_wake_up_of_any_node_is_taken_once_by_one_of_them(engine):
    first, second = PostgresWakeupQueue(engine, "a"), PostgresWakeupQueue(engine, "b")
    first.wake(node=ANY_NODE)
    assert (dequeue_all(second), dequeue_all(first)) == (1, 0)


def test_the_listener_wakes_a_slot_for_its_node_and_for_any(engine, postgres_url):
    received = Counter()
    queue = PostgresWakeupQueue(engine, "a", received, connector(postgres_url))
    with run_consumer(queue):
        PostgresWakeupQueue(engine, "b").wake(node=ANY_NODE)
        assert received.wait_for(1)
        PostgresWakeupQueue(engine, "a").wake(2)
        assert received.wait_for(3)


def listening_queue(node: str, url: str, engine: sa.Engine) -> tuple[Counter, PostgresWakeupQueue]:
    """Return a queue that listens already, and the counter of the changes that it received."""
    received = Counter()
    queue = PostgresWakeupQueue(engine, node, listen_with=connector(url), on_change=received)
    assert received.wait_for(1)  # connecting counts as one: a change may have been missed before
    return received, queue


def until_listening(queue: PostgresWakeupQueue) -> None:
    deadline = time.monotonic() + 60
    while not queue.hears_changes():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_new_control_and_a_requested_action_notify_their_node_alone(engine, postgres_url, job_store_on_postgresql):
    job_store = job_store_on_postgresql
    own_changes, queue = listening_queue(job_store.node, postgres_url, engine)
    other_changes, other_queue = listening_queue("n-other", postgres_url, engine)
    assert queue.hears_changes()
    job = job_store.job_in(State.RUNNING)
    job_store.controls.set(LIMIT, {"rate_bps": 1000})
    assert own_changes.wait_for(2)
    job_store.commands.pause(job)
    assert own_changes.wait_for(3)
    job_store.controls.set(LIMIT, None)
    assert own_changes.wait_for(4)
    assert other_changes.count == 1
    queue.close()
    other_queue.close()


def test_a_queue_whose_connection_was_lost_receives_nothing_until_it_listens_again(
    engine, postgres_url, postgres, database
):
    received, queue = listening_queue("a", postgres_url, engine)
    while queue.hears_changes():
        postgres.terminate_all(database)
    until_listening(queue)
    assert received.wait_for(2)
    queue.close()


def test_through_a_pooler_no_change_is_received(engine, postgres_url):
    with TransactionPooler(postgres_url) as pooler:
        _, queue = listening_queue("a", pooler.url, engine)
        assert not queue.hears_changes()
        queue.close()


def test_without_a_listener_the_consumer_polls(engine):
    received = Counter()
    queue = PostgresWakeupQueue(engine, "a", received)
    with run_consumer(queue):
        PostgresWakeupQueue(engine, "a").wake()
        assert received.wait_for(1)


def test_a_lost_listener_listens_again(engine, postgres_url, postgres, database):
    received = Counter()
    queue = PostgresWakeupQueue(engine, "a", received, connector(postgres_url))
    with run_consumer(queue):
        queue.wake()
        assert received.wait_for(1)
        assert postgres.terminate_all(database) > 0
        queue.wake()
        queue.wake()
        assert received.wait_for(2)


@pytest.mark.parametrize("garbage", [b"", b"{", b"\x80\x04K\x01.", b"null", b'{"id": "1", "task": "no.such"}'])
def test_a_consumer_survives_garbage(engine, postgres_url, garbage):
    received = Counter()
    queue = PostgresWakeupQueue(engine, "a", received, connector(postgres_url))
    queue.huey.storage.enqueue(garbage)
    queue.wake()
    with run_consumer(queue):
        assert received.wait_for(1)


def test_a_slot_waits_while_the_database_is_unreachable_and_the_queue_raises_no_error(
    engine, postgres_url, monkeypatch
):
    queue = PostgresWakeupQueue(engine, "a", listen_with=connector(postgres_url))
    engine.dispose()

    def refuse() -> psycopg.Connection:
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(engine.pool, "_creator", lambda *_: refuse(), raising=False)
    monkeypatch.setattr("flowhub_jobs.worker.wakeup_queue_postgresql.RETRY_S", 0.01)
    assert queue.huey.dequeue() is None
    queue.wake()  # no error is raised: maintenance wakes the worker for due jobs
    with pytest.raises(sa.exc.OperationalError):
        queue.waiting()
    queue.close()


def test_a_signal_keeps_no_more_than_there_are_slots():
    signal = WakeupSignal(2)
    for _ in range(5):
        signal.notify()
    signal.wait(0)
    signal.wait(0)
    assert signal._pending == 0


def test_no_thread_waits_once_the_worker_stops():
    signal = WakeupSignal(1)
    waiter = threading.Thread(target=signal.wait, args=(600,))
    waiter.start()
    signal.stop()
    waiter.join(60)
    assert not waiter.is_alive()


def test_a_node_name_of_64_letters_has_a_channel(engine, postgres_url):
    received = Counter()
    queue = PostgresWakeupQueue(engine, "n" * 64, received, connector(postgres_url))
    with run_consumer(queue):
        queue.wake()
        assert received.wait_for(1)
