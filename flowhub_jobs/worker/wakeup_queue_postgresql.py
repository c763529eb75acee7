"""The queue of wake-ups in PostgreSQL: Huey's storage over flowhub's pool, and one thread that listens.

Huey's own storage holds a connection for itself and one for each thread that listens. Here every statement takes one
from the pool, and one listener wakes the threads of its process: three connections in all.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import sqlalchemy as sa
from huey import PostgresHuey
from huey.storage import PostgresStorage

from flowhub_jobs.database.notifications import CHANGED, channel_of
from flowhub_jobs.values.jobs import ANY_NODE
from flowhub_jobs.worker.wakeup_queue import JsonSerializer

log = logging.getLogger("flowhub.queue")

TABLE_PREFIX = "wakeup"  # migrations/versions/0004
# A slot looks at the queue at least so often: LISTEN hears nothing behind a pooler that was not recognized.
POLL_S = 20.0
RETRY_S = 1.0
STOP_CHECK_S = 0.5  # the listener checks so often whether it must end


class WakeupSignal:
    """Passes each notification on to one thread that waits, or to the next that will."""

    def __init__(self, pending_max: int) -> None:
        """No more than `pending_max` are kept: a woken slot continues until no job is due."""
        self._pending_max, self._pending, self._stopped = pending_max, 0, False
        self._changed = threading.Condition()

    def notify(self) -> None:
        with self._changed:
            self._pending = min(self._pending + 1, self._pending_max)
            self._changed.notify()

    def wait(self, timeout_s: float) -> None:
        """Return when a notification came, after `stop`, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._pending or self._stopped, timeout_s)
            self._pending = max(0, self._pending - 1)

    def stop(self) -> None:
        """Let no thread wait any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()


class PooledStorage(PostgresStorage):  # type: ignore[misc]  # huey has no types
    """Huey's storage in PostgreSQL. Every statement is a transaction of its own, on a connection of the pool.

    Errors are SQLAlchemy's. A message of the queue of any node is taken like one of the own queue.
    """

    def __init__(self, name: str, engine: sa.Engine, signal: WakeupSignal | None) -> None:
        """Without `signal` Huey's consumer polls."""
        super().__init__(name, table_prefix=TABLE_PREFIX, create_tables=False, blocking=signal is not None)
        self._engine, self._signal = engine, signal

    @contextmanager
    def db(self, commit: bool = False, close: bool = False) -> Iterator[Any]:
        """Yield a cursor that commits each statement: BEGIN and COMMIT would be two more messages."""
        try:
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                try:
                    yield connection.connection.cursor()
                except (psycopg.OperationalError, psycopg.InternalError):  # lost, full, or read-only
                    connection.invalidate()
                    raise
        except psycopg.Error as error:
            raise sa.exc.OperationalError("the queue of wake-ups", None, error) from error

    def close(self) -> bool:
        return False  # it has no connection of its own

    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        self.enqueue_in(self.name, data)

    def enqueue_in(self, queue: str, data: bytes) -> None:
        """Write a message, and notify the workers that hear this queue."""
        query = (
            f"WITH message AS (INSERT INTO {self.table_task} (queue, data) VALUES (%s, %s)) "  # noqa: S608
            "SELECT pg_notify(%s, '')"
        )
        with self.db() as cursor:
            cursor.execute(query, (queue, data, channel_of(queue)))

    def _dequeue(self) -> bytes | None:
        first = (
            f"SELECT id FROM {self.table_task} WHERE queue IN (%s, %s) "  # noqa: S608
            "ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
        )
        with self.db() as cursor:
            cursor.execute(
                f"DELETE FROM {self.table_task} WHERE id = ({first}) RETURNING data",  # noqa: S608
                (self.name, ANY_NODE),
            )
            row = cursor.fetchone()
        return bytes(row[0]) if row else None

    def dequeue(self) -> bytes | None:
        """Return the next message; None if none came within a few seconds, or the database does not answer."""
        wait_s = POLL_S
        try:
            data = self._dequeue()
        except sa.exc.SQLAlchemyError:  # the maintenance thread gets the same error, and logs it
            data, wait_s = None, RETRY_S
        if data is None and self._signal is not None:
            self._signal.wait(wait_s)
        return data


class PooledHuey(PostgresHuey):  # type: ignore[misc]  # huey has no types
    """Huey without what a wake-up never is: revoked. It would query the database for that before and after each."""

    storage_class = PooledStorage

    def is_revoked(self, *_args: Any, **_options: Any) -> bool:
        return False

    def delete(self, key: str) -> bool:
        return False


class Listener(threading.Thread):
    """Receives the notifications of some nodes on a connection of its own, and connects again when it is lost."""

    def __init__(
        self,
        connect: "Callable[[], psycopg.Connection[Any]]",
        nodes: tuple[str, ...],
        signal: WakeupSignal,
        on_change: Callable[[], None],
    ) -> None:
        super().__init__(name="listener", daemon=True)
        self._connect, self._nodes, self._signal, self._on_change = connect, nodes, signal, on_change
        self._over, self.hears = threading.Event(), False

    def run(self) -> None:
        while not self._over.is_set():
            with suppress(psycopg.Error):  # the maintenance thread gets the same error, and logs it
                self._listen()
            self.hears = False
            self._over.wait(RETRY_S)

    def _listen(self) -> None:
        with self._connect() as connection:
            connection.autocommit = True
            for node in self._nodes:
                connection.execute(f'LISTEN "{channel_of(node)}"'.encode())
            self.hears = connection.prepare_threshold is not None  # else a pooler keeps the notifications
            self._signal.notify()  # what came before is not notified again
            self._on_change()
            while not self._over.is_set():
                for notification in connection.notifies(timeout=STOP_CHECK_S, stop_after=1):
                    self._on_change() if notification.payload == CHANGED else self._signal.notify()

    def stop(self) -> None:
        self._over.set()
        if self.is_alive():
            self.join()


class PostgresWakeupQueue:
    """The queue of one node. It needs no repair: PostgreSQL looks after its tables."""

    def __init__(
        self,
        engine: sa.Engine,
        node: str,
        on_wakeup: Callable[[], None] = lambda: None,
        listen_with: "Callable[[], psycopg.Connection[Any]] | None" = None,
        slots: int = 1,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_wakeup` is called in the consumer for each message. `listen_with` opens the listener's connection.

        Without it there is no listener: a consumer polls. `on_change` is called in the listener for each new control
        or requested action, and when it may have missed one.
        """
        self._signal = WakeupSignal(slots) if listen_with else None
        self.huey = PooledHuey(node, results=False, serializer=JsonSerializer(), engine=engine, signal=self._signal)

        def wake_worker() -> None:
            on_wakeup()

        self._task = self.huey.task(name="bell")(wake_worker)
        self._listener: Listener | None = None
        if listen_with and self._signal:
            self._listener = Listener(listen_with, (node, ANY_NODE), self._signal, on_change)
            self._listener.start()

    def wake(self, times: int = 1, *, node: str | None = None) -> None:
        """Wake workers of this node, or of another, or of any (ANY_NODE).

        A message that cannot be written is no loss: maintenance wakes, too.
        """
        queue = node or self.huey.storage.name
        with suppress(sa.exc.SQLAlchemyError):
            for _ in range(times):
                self.huey.storage.enqueue_in(queue, self.huey.serialize_task(self._task.s()))

    def waiting(self) -> int:
        """Return how many messages of the node's own queue no worker has taken yet."""
        return int(self.huey.storage.queue_size())

    def hears_changes(self) -> bool:
        """Return whether `on_change` is called now for each change."""
        return self._listener is not None and self._listener.hears

    def reopen_if_damaged(self) -> bool:
        return False

    def stop_waiting(self) -> None:
        """Let no slot wait for a message any more."""
        if self._signal:
            self._signal.stop()

    def close(self) -> None:
        self.stop_waiting()
        if self._listener:
            self._listener.stop()
