"""The fetchers: each a thread with a connection, that asks for a range, takes the answer in, and starts again.

A fault sends its range back to the transfer; what follows is decided in `faults`.
"""

import threading
import time

from flowhub_jobs.errors import ConnectionLost, FlowhubError, SizeMismatch, WrongContent, WrongRange
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.transfer.acceptance import accept_response, check_hub, drop_decoded_locked, note_other_form_locked
from flowhub_jobs.transfer.fault_handler import AllWaiting, FaultHandler
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.form_fallback import fall_back, softened
from flowhub_jobs.transfer.host_limits import HostLimits
from flowhub_jobs.transfer.http.client import RangeClient
from flowhub_jobs.transfer.http.headers import read_answer
from flowhub_jobs.transfer.range_scheduler import next_task, return_task
from flowhub_jobs.transfer.receiver import Receiver, TransferContext

LEAVE_S = 2.0
LOOK_AGAIN_S = 0.5  # whether another connection has become slow
HOST_FULL_S = 0.2  # until another job's connection may have ended


class Fetcher(threading.Thread):
    def __init__(self, pool: "FetcherPool", number: int) -> None:
        super().__init__(name=f"fetcher-{number}", daemon=True)
        self._pool, self.number = pool, number

    def run(self) -> None:
        pool, fresh = self._pool, False
        try:
            while (task := pool.next_task(self)) is not None:
                try:
                    pool.fetch(task, fresh=fresh)
                    fresh = False
                except FlowhubError as error:
                    fresh = task.replaced and isinstance(error, ConnectionLost)
                    if not fresh:
                        pool.fault(task, error)
                finally:
                    pool.leave_task(task)
        except BaseException as error:
            pool.transfer.end(error)


class FetcherPool:
    def __init__(self, web: RangeClient, hosts: HostLimits, means: TransferContext) -> None:
        self.transfer, self._web, self._hosts, self._means = means.transfer, web, hosts, means
        self._fetchers: list[Fetcher] = []
        self._wanted = 1
        self._faults = FaultHandler(self.transfer, hosts, means.terms)

    # Who works -----------------------------------------------------------------------------------------------------

    def hire(self, count: int) -> None:
        """Have `count` fetchers at work: more are begun, the ones too many finish their range and wait."""
        with self.transfer.changed:
            if count != self._wanted:
                self._wanted = count
                self.transfer.pool_resized.notify_all()
        while len(self._fetchers) < count:
            fetcher = Fetcher(self, len(self._fetchers))
            self._fetchers.append(fetcher)
            fetcher.start()

    def note_answers(self) -> None:
        """Note that the hosts of the ranges in flight send bytes. The lock is held."""
        for origin in {task.state.source.origin for task in self.transfer.tasks if task.accepted}:
            self._hosts.note_answer(origin)

    def cap(self) -> int:
        """Return how many connections are worth a try, by what the hosts of the files take."""
        most = max((self._hosts.cap(origin) for origin in self.transfer.origins_locked), default=1)
        return min(most, self._means.terms.connections_per_host)

    def leave(self) -> bool:
        """Wait for the fetchers to go; False if one hangs where it cannot be reached, as in a look-up of a name."""
        deadline = time.monotonic() + LEAVE_S
        for fetcher in self._fetchers:
            fetcher.join(max(0.0, deadline - time.monotonic()))
        return not any(fetcher.is_alive() for fetcher in self._fetchers)

    def idle(self) -> AllWaiting | None:
        """Return how long nobody will do anything, or None while somebody works or could."""
        with self.transfer.changed:
            return self._faults.idle()

    # One range -----------------------------------------------------------------------------------------------------

    def next_task(self, fetcher: Fetcher) -> RangeTask | None:
        """Return the next range, waiting for one; None when the transfer is over."""
        with self.transfer.changed:
            while not self.transfer.ended:
                if fetcher.number >= self._wanted:
                    self.transfer.pool_resized.wait()
                elif (quiet := self._faults.must_wait()) > 0:
                    self.transfer.changed.wait(quiet)
                else:
                    task, wait = self._take()
                    if task is not None:
                        return task
                    self.transfer.changed.wait(wait)
        return None

    def _take(self) -> tuple[RangeTask | None, float | None]:
        """Return a range, if there is one and its host takes one more connection; else how long to wait for one."""
        task = next_task(self.transfer, may_steal=not self._means.bucket.limited)
        if task is None:
            return None, LOOK_AGAIN_S if self.transfer.tasks else None
        if self._hosts.enter(task.state.source.origin):
            return task, None
        return_task(self.transfer, task)
        return None, HOST_FULL_S

    def fault(self, task: RangeTask, error: FlowhubError) -> None:
        with self.transfer.changed:
            if task.encoded and isinstance(error, SizeMismatch | WrongContent | WrongRange):
                drop_decoded_locked(self.transfer, task)
            if self.transfer.ended:
                return
            error = softened(task, error)
            if fall_back(task, error):
                note_other_form_locked(self.transfer, task, error)
            else:
                self._faults.meet(task, error)
            self.transfer.changed.notify_all()

    def leave_task(self, task: RangeTask) -> None:
        self._hosts.leave(task.state.source.origin)
        self.transfer.release(task)

    def fetch(self, task: RangeTask, *, fresh: bool = False) -> None:
        """Ask for the task's range, hold the answer against what is known, and keep what comes.

        `fresh`: over a new connection, not one that was kept.
        """
        state = task.state
        self.transfer.wait_to_open()
        self._means.control.check()  # behind the wait: who was suspended in it may own nothing any more
        self.transfer.open_part(task)
        with self.transfer.changed:
            asked, size = (task.start, task.end), state.size
            wanted, condition = task.request_headers_locked()
        with self._web.ask(
            state.file.url,
            wanted,
            known=task.location,
            if_range=condition,
            pinned=state.pinned,
            size=size,
            heard=lambda hub: check_hub(self.transfer, state, hub),
            fresh=fresh,
        ) as reply:
            host, path = host_of(reply.url), state.file.path
            size = reply.hub.size if size is None and reply.hub is not None else size
            answer = read_answer(
                reply.status, reply.headers, asked, host, ranged=wanted is not None, path=path, size=size
            )
            moved = None if reply.needed_cookie or reply.url == state.file.url else reply.url
            task.location = moved
            accept_response(self.transfer, task, answer, reply.hub, moved)
            self._hosts.note_answer(state.source.origin)
            if answer.coding is not None:
                reply.decode(answer.coding, state.size)
            Receiver(self._means, task, reply, answer.start).run()
