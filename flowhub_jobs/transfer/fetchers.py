"""The pool of fetchers: each is a thread with a connection that requests a range, stores the body, and starts again.

After a fault the range goes back to the transfer; `fault_handler` decides what follows.
"""

import threading
import time

from flowhub_jobs.errors import ConnectionLost, FlowhubError, SizeMismatch, TooManyThreads, WrongContent, WrongRange
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.transfer.fault_handler import AllWaiting, FaultHandler
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.form_fallback import choose_other_form
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.http.content_decoding import ACCEPTED
from flowhub_jobs.transfer.http.range_client import RangeClient
from flowhub_jobs.transfer.http.response_headers import parse_body_range
from flowhub_jobs.transfer.mirror_switching import find_url
from flowhub_jobs.transfer.open_file_limit import open_part, wait_to_open
from flowhub_jobs.transfer.range_scheduler import any_file_waits_for_copy, next_task, return_task
from flowhub_jobs.transfer.receiver import Receiver, TransferContext
from flowhub_jobs.transfer.response_acceptance import (
    accept_response,
    check_hub,
    drop_decoded_locked,
    note_other_form_locked,
)
from flowhub_jobs.transfer.transient_refusals import busy_if_served_before, busy_if_too_many_connections

JOIN_S = 2.0
POLL_S = 0.5  # An idle fetcher looks for a slow connection this often.
HOST_FULL_S = 0.2  # A fetcher tries a host that has all its connections again after this time.


class Fetcher(threading.Thread):
    """A thread that fetches one range after the other."""

    def __init__(self, pool: "FetcherPool", number: int) -> None:
        super().__init__(name=f"fetcher-{number}", daemon=True)
        self._pool, self.number = pool, number

    def run(self) -> None:
        pool, new_connection = self._pool, False
        try:
            while (task := pool.next_task(self)) is not None:
                try:
                    pool.fetch(task, new_connection=new_connection)
                    new_connection = False
                except FlowhubError as error:
                    new_connection = task.replaced and isinstance(error, ConnectionLost)
                    if not new_connection:
                        pool.handle_fault(task, error)
                finally:
                    pool.finish_task(task)
        except BaseException as error:
            pool.transfer.end(error)


class FetcherPool:
    """The fetchers of one transfer; their number can change while it runs."""

    def __init__(self, client: RangeClient, hosts: HostLimits, context: TransferContext) -> None:
        self.transfer, self._client, self._hosts, self._context = context.transfer, client, hosts, context
        self._fetchers: list[Fetcher] = []
        self._size = 1
        self._faults = FaultHandler(self.transfer, hosts, context.options)

    # The pool ------------------------------------------------------------------------------------------------------

    def resize(self, count: int) -> None:
        """Have `count` fetchers at work for each address in use, one for a measurement, and as many threads.

        New ones are started, surplus ones finish their range and wait.
        """
        with self.transfer.changed:
            extra = self.transfer.extra_connections
            extra.update({origin: min(count, self._hosts.connections_allowed(origin)) for origin in extra})
            size = count + sum(extra.values()) + (self.transfer.probe is not None)
            if size != self._size:
                self._size = size
                self.transfer.pool_resized.notify_all()
        while len(self._fetchers) < size:
            fetcher = Fetcher(self, len(self._fetchers))
            try:
                fetcher.start()
            except RuntimeError as error:
                if self._fetchers and TooManyThreads.of(error) is not None:
                    return  # those that run do the work; the next call tries again
                raise
            self._fetchers.append(fetcher)

    def note_responses_locked(self) -> None:
        """Record that the hosts of the ranges in flight send bytes."""
        for origin in {task.address.origin for task in self.transfer.tasks if task.accepted}:
            self._hosts.note_response(origin)

    def connections_max_locked(self) -> int:
        """Return how many connections the files' hosts and the options allow."""
        allowed = max((self._hosts.connections_allowed(origin) for origin in self.transfer.origins_locked), default=1)
        return min(allowed, self._context.options.connections_per_host)

    def join(self) -> bool:
        """Wait for the fetchers to end; False if one hangs where nothing can end it, as in a name look-up."""
        deadline = time.monotonic() + JOIN_S
        for fetcher in self._fetchers:
            fetcher.join(max(0.0, deadline - time.monotonic()))
        return not any(fetcher.is_alive() for fetcher in self._fetchers)

    def all_waiting(self) -> AllWaiting | None:
        """Return for how long no fetcher will do anything, or None while one works or could."""
        with self.transfer.changed:
            return self._faults.all_waiting_locked()

    # One range -----------------------------------------------------------------------------------------------------

    def next_task(self, fetcher: Fetcher) -> RangeTask | None:
        """Return the next range, waiting for one; None when the transfer has ended."""
        with self.transfer.changed:
            while not self.transfer.ended:
                if fetcher.number >= self._size:
                    self.transfer.pool_resized.wait()
                elif (wait_s := self._faults.wait_s_locked()) > 0:
                    self.transfer.changed.wait(wait_s)
                else:
                    task, timeout_s = self._try_next_locked()
                    if task is not None:
                        return task
                    self.transfer.changed.wait(timeout_s)
        return None

    def _try_next_locked(self) -> tuple[RangeTask | None, float | None]:
        """Return a range if there is one and its host takes another connection; else how long to wait."""
        while (task := next_task(self.transfer, may_steal=not self._context.rate_limit.limited)) is not None:
            if self._hosts.acquire(task.address.origin):
                return task, None
            return_task(self.transfer, task)
            if not self.transfer.extra_connections.get(task.address.origin):
                return None, HOST_FULL_S
            # Until the next `resize`, the current address is used instead.
            self.transfer.extra_connections[task.address.origin] = 0
        return None, POLL_S if self.transfer.tasks or any_file_waits_for_copy(self.transfer) else None

    def handle_fault(self, task: RangeTask, error: FlowhubError) -> None:
        with self.transfer.changed:
            if task.encoded and isinstance(error, SizeMismatch | WrongContent | WrongRange):
                drop_decoded_locked(self.transfer, task)
            if self.transfer.ended:
                return
            if task.address.mirror:
                self._faults.handle_locked(task, error)
            elif choose_other_form(task, error := busy_if_too_many_connections(task, error)):
                note_other_form_locked(self.transfer, task, error)
            else:
                self._faults.handle_locked(task, busy_if_served_before(self.transfer, task, error))
            self.transfer.changed.notify_all()

    def finish_task(self, task: RangeTask) -> None:
        self._hosts.release(task.address.origin)
        self.transfer.release(task)

    def fetch(self, task: RangeTask, *, new_connection: bool = False) -> None:
        """Request the task's range, check the response, and store the body. Raises what went wrong."""
        state, transfer = task.state, self.transfer
        self._context.check_cap()
        wait_to_open(transfer)
        # After the wait: a worker that was suspended in it may have lost its lease, and with it the partial.
        self._context.cancel.check()
        open_part(transfer, task)
        with transfer.changed:
            requested, size = (task.start, task.end), state.size
            range_header, if_range = task.request_headers_locked()
        find_url(task.address)
        with self._client.request(
            task.address.url,
            range_header,
            redirected_to=task.location,
            accept_encoding=ACCEPTED[task.codings],
            if_range=if_range,
            pinned=state.pinned,
            size=size,
            on_hub_metadata=lambda hub: check_hub(transfer, task, hub),
            new_connection=new_connection,
            mirror=task.address.target if task.address.mirror else None,
        ) as response:
            host, path, hub = host_of(response.url), state.file.path, response.hub
            size = hub.size if size is None and hub is not None else size
            ranged = range_header is not None
            body_range = parse_body_range(
                response.status, response.headers, requested, host, ranged=ranged, path=path, size=size
            )
            location = None if response.needed_cookie or response.url == task.address.url else response.url
            task.location = location
            accept_response(transfer, task, body_range, hub, location)
            self._hosts.note_response(task.address.origin)
            if body_range.coding is not None:
                response.decode(body_range.coding, state.size)
            Receiver(self._context, task, response, body_range.start).run()
