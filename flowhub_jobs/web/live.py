"""Live changes: read once for the process, and sent to all subscribers.

One task asks the database whether it was written to; only then a thread reads what changed. A subscriber that reads too
slowly is dropped: it connects again, says what it has seen, and gets the state of that moment.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.concurrency import run_in_threadpool

from flowhub_jobs.errors import DatabaseReplaced, FlowhubError
from flowhub_jobs.operations.changes import Changes, Position, changes_since, current_state, next_turn, position_now
from flowhub_jobs.operations.open_home import Home
from flowhub_jobs.operations.schemas.jobs import job_json
from flowhub_jobs.operations.schemas.library import installed_json
from flowhub_jobs.operations.session import Session

log = logging.getLogger("flowhub.web")

POLL_S = 0.1  # between two reads of the database's counter
PAUSE_AFTER_READ_S = 0.15  # after a read: a worker's writes of progress come in bursts
FAILED_S = 5.0  # after a read that failed
TURN_MAX_US = 60_000_000  # after this a window may have turned in any case: the clock may have been set
BATCHES_MAX = 200  # that may wait for a slow subscriber


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """A change: `kind` is job, installed or controls, `data` its JSON. `id` is the position that a subscriber has
    reached with it."""

    kind: str
    data: str
    id: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The changes of one read, as values and as events."""

    changes: Changes
    events: Sequence[LiveEvent]


class LiveChanges:
    """Of one event loop. `open_session` makes the session of one read."""

    def __init__(self, open_session: Callable[[], Session], reopen: Callable[[Home], None]) -> None:
        """`reopen` opens the home again, when its database was replaced."""
        self._open_session, self._reopen = open_session, reopen
        self._signal = open_session().home.database.change_signal()  # by the file's path: it notices another file
        self._position = Position(0, 0, 0)
        self._turns_at = 0  # the microsecond at which time alone may change what is in force
        self._sent: dict[int, str] = {}  # the JSON of each running job that was sent last
        self._queues: set[asyncio.Queue[Batch | None]] = set()
        self._joining = asyncio.Lock()
        self._has_subscribers = asyncio.Event()
        self._closed = False

    async def run(self) -> None:
        """Read changes as long as there are subscribers, until cancelled."""
        try:
            while True:
                await self._has_subscribers.wait()
                if self._signal.has_changed() or self._turn_has_passed():
                    await asyncio.sleep(PAUSE_AFTER_READ_S if await self._publish_changes() else FAILED_S)
                await asyncio.sleep(POLL_S)
        finally:
            self._signal.close()

    def close(self) -> None:
        """End all subscriptions; later ones end at once."""
        self._closed = True
        for queue in self._queues:
            _end(queue)

    @asynccontextmanager
    async def subscribe(self, last_event_id: str | None) -> "AsyncIterator[EventSubscriber]":
        """Yield a subscription whose first batch is there at once.

        The first batch has what changed since `last_event_id`, the last event that the subscriber received. For an id
        of another database, or one that cannot be read, it has the whole state; for None it has no events.
        """
        queue: asyncio.Queue[Batch | None] = asyncio.Queue(BATCHES_MAX)
        async with self._joining:
            if not self._queues:  # nothing was read since the last subscriber left
                self._position = await run_in_threadpool(lambda: position_now(self._open_session().home))
            # Before the first batch is read: then whatever is committed after that read is in a later batch.
            self._queues.add(queue)
            self._has_subscribers.set()
        try:
            first = await run_in_threadpool(self._first, last_event_id)
            if self._closed:
                _end(queue)
            yield EventSubscriber(first, queue)
        finally:
            self._queues.discard(queue)
            if not self._queues:
                self._has_subscribers.clear()

    def _first(self, last_event_id: str | None) -> Batch:
        session = self._open_session()
        now = position_now(session.home)
        position = Position.parse(last_event_id) if last_event_id else now
        if last_event_id is None:
            return Batch(Changes(now, (), None, None), ())
        if position is None or position.event > now.event:
            changes, position = current_state(session), Position(0, 0, 0)
        else:
            changes = changes_since(session, position)
        return Batch(changes, list(_as_events(list(_items(changes)), position, changes.position)))

    def _turn_has_passed(self) -> bool:
        now = self._open_session().now_us()
        return not self._turns_at - TURN_MAX_US <= now < self._turns_at

    async def _publish_changes(self) -> bool:
        """Read what changed and hand it out; return False if it cannot be read now."""
        try:
            batch = await run_in_threadpool(self._read)
        except DatabaseReplaced:
            await run_in_threadpool(self._start_over)
        except FlowhubError as error:
            log.warning("The live events cannot be read: %s", error.message)
        except Exception:
            log.exception("The live events cannot be read.")
        else:
            for queue in list(self._queues) if batch.events else ():
                _put_or_end(queue, batch)
            return True
        return False

    def _start_over(self) -> None:
        """Open the database that replaced the one that was read, and send all of it at the next read."""
        try:
            self._reopen(self._open_session().home)
        except FlowhubError as error:
            log.warning("The home cannot be opened again: %s", error.message)
        self._position = Position(0, 0, 0)

    def _read(self) -> Batch:
        session, before = self._open_session(), self._position
        changes = changes_since(session, before)
        items = [item for item in _items(changes) if self._is_change(*item)]
        running = {job.id for job in changes.jobs}
        self._sent = {job: data for job, data in self._sent.items() if job in running}
        self._position = changes.position
        latest = session.now_us() + TURN_MAX_US
        self._turns_at = min(next_turn(session.home) or latest, latest)
        return Batch(changes, list(_as_events(items, before, changes.position)))

    def _is_change(self, kind: str, data: str, job: int | None) -> bool:
        """Return whether an item differs from what was sent before: a running job is read every time."""
        if job is None:
            return True
        previous, self._sent[job] = self._sent.get(job), data
        return previous != data


def _items(changes: Changes) -> Iterator[tuple[str, str, int | None]]:
    """Yield the kind and the JSON of each change, and the number of a job."""
    for job in changes.jobs:
        yield "job", _json(job_json(job)), job.id
    if changes.listing is not None:
        yield "installed", _json(installed_json(changes.listing)), None
    if changes.controls is not None:
        yield "controls", _json(changes.controls), None


def _as_events(items: Sequence[tuple[str, str, int | None]], before: Position, after: Position) -> Iterator[LiveEvent]:
    """Yield events. Only the last one has the new position: a subscriber that loses the others gets them again."""
    for number, (kind, data, _) in enumerate(items, start=1):
        yield LiveEvent(kind, data, str(after if number == len(items) else before))


def _json(value: object) -> str:
    return json.dumps(value)  # escaped: a line feed in a name would end the event's line


@dataclass(slots=True)
class EventSubscriber:
    """`first` has what the subscriber had not seen when it connected."""

    first: Batch
    _queue: "asyncio.Queue[Batch | None]"

    async def next(self, timeout_s: float) -> Batch | None:
        """Return the next batch; None when the subscription has ended. Raises TimeoutError."""
        return await asyncio.wait_for(self._queue.get(), timeout_s)


def _put_or_end(queue: "asyncio.Queue[Batch | None]", batch: Batch) -> None:
    if queue.full():
        _end(queue)
    else:
        queue.put_nowait(batch)


def _end(queue: "asyncio.Queue[Batch | None]") -> None:
    while not queue.empty():
        queue.get_nowait()
    queue.put_nowait(None)


def as_sse(batch: Batch) -> str:
    """Return a batch in the format of Server-Sent Events (WHATWG HTML §9.2); without events, its position alone."""
    if not batch.events:
        return f"id: {batch.changes.position}\n\n"
    return "".join(f"id: {event.id}\nevent: {event.kind}\ndata: {event.data}\n\n" for event in batch.events)
