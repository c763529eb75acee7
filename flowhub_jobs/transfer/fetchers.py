"""The fetchers: each a thread with a connection, that asks for a range, takes the answer in, and starts again.

A fault sends its range back to the board; what follows is decided in `faults`.
"""

import threading
import time

from flowhub_jobs.errors import ConnectionLost, FlowhubError, SizeMismatch, WrongContent, WrongRange
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.transfer.fault_handler import Faults, Idle
from flowhub_jobs.transfer.file_state import Task
from flowhub_jobs.transfer.host_limits import Hosts
from flowhub_jobs.transfer.http.client import Web
from flowhub_jobs.transfer.http.headers import read_answer
from flowhub_jobs.transfer.range_forms import fall_back, softened
from flowhub_jobs.transfer.range_scheduler import take, untake
from flowhub_jobs.transfer.receiver import Means, Receiver

LEAVE_S = 2.0
LOOK_AGAIN_S = 0.5  # whether another connection has become slow
HOST_FULL_S = 0.2  # until another job's connection may have ended


class Fetcher(threading.Thread):
    def __init__(self, crew: "Crew", number: int) -> None:
        super().__init__(name=f"fetcher-{number}", daemon=True)
        self._crew, self.number = crew, number

    def run(self) -> None:
        crew, fresh = self._crew, False
        try:
            while (task := crew.next_task(self)) is not None:
                try:
                    crew.fetch(task, fresh=fresh)
                    fresh = False
                except FlowhubError as error:
                    fresh = task.replaced and isinstance(error, ConnectionLost)
                    if not fresh:
                        crew.fault(task, error)
                finally:
                    crew.leave_task(task)
        except BaseException as error:
            crew.board.end(error)


class Crew:
    def __init__(self, web: Web, hosts: Hosts, means: Means) -> None:
        self.board, self._web, self._hosts, self._means = means.board, web, hosts, means
        self._fetchers: list[Fetcher] = []
        self._wanted = 1
        self._faults = Faults(self.board, hosts, means.terms)

    # Who works -----------------------------------------------------------------------------------------------------

    def hire(self, count: int) -> None:
        """Have `count` fetchers at work: more are begun, the ones too many finish their range and wait."""
        with self.board.changed:
            if count != self._wanted:
                self._wanted = count
                self.board.hiring.notify_all()
        while len(self._fetchers) < count:
            fetcher = Fetcher(self, len(self._fetchers))
            self._fetchers.append(fetcher)
            fetcher.start()

    def note_answers(self) -> None:
        """Note that the hosts of the ranges in flight send bytes. The lock is held."""
        for origin in {task.state.origin for task in self.board.tasks if task.answered}:
            self._hosts.note_answer(origin)

    def cap(self) -> int:
        """Return how many connections are worth a try, by what the hosts of the files take."""
        most = max((self._hosts.cap(origin) for origin in self.board.origins), default=1)
        return min(most, self._means.terms.connections_per_host)

    def leave(self) -> bool:
        """Wait for the fetchers to go; False if one hangs where it cannot be reached, as in a look-up of a name."""
        deadline = time.monotonic() + LEAVE_S
        for fetcher in self._fetchers:
            fetcher.join(max(0.0, deadline - time.monotonic()))
        return not any(fetcher.is_alive() for fetcher in self._fetchers)

    def idle(self) -> Idle | None:
        """Return how long nobody will do anything, or None while somebody works or could."""
        with self.board.changed:
            return self._faults.idle()

    # One range -----------------------------------------------------------------------------------------------------

    def next_task(self, fetcher: Fetcher) -> Task | None:
        """Return the next range, waiting for one; None when the transfer is over."""
        with self.board.changed:
            while not self.board.over:
                if fetcher.number >= self._wanted:
                    self.board.hiring.wait()
                elif (quiet := self._faults.must_wait()) > 0:
                    self.board.changed.wait(quiet)
                else:
                    task, wait = self._take()
                    if task is not None:
                        return task
                    self.board.changed.wait(wait)
        return None

    def _take(self) -> tuple[Task | None, float | None]:
        """Return a range, if there is one and its host takes one more connection; else how long to wait for one."""
        task = take(self.board, may_steal=not self._means.bucket.limited)
        if task is None:
            return None, LOOK_AGAIN_S if self.board.tasks else None
        if self._hosts.enter(task.state.origin):
            return task, None
        untake(self.board, task)
        return None, HOST_FULL_S

    def fault(self, task: Task, error: FlowhubError) -> None:
        with self.board.changed:
            if task.coded and isinstance(error, SizeMismatch | WrongContent | WrongRange):
                self.board.drop_decoded(task)
            if self.board.over:
                return
            error = softened(task, error)
            if fall_back(task, error):
                self.board.note_another_form(task, error)
            else:
                self._faults.meet(task, error)
            self.board.changed.notify_all()

    def leave_task(self, task: Task) -> None:
        self._hosts.leave(task.state.origin)
        self.board.release(task)

    def fetch(self, task: Task, *, fresh: bool = False) -> None:
        """Ask for the task's range, hold the answer against what is known, and keep what comes.

        `fresh`: over a new connection, not one that was kept.
        """
        state = task.state
        self.board.wait_to_open()
        self._means.control.check()  # behind the wait: who was suspended in it may own nothing any more
        self.board.open_part(task)
        with self.board.changed:
            asked, size = (task.start, task.end), state.size
            wanted, condition = task.ask()
        with self._web.ask(
            state.file.url,
            wanted,
            known=task.location,
            if_range=condition,
            pinned=state.pinned,
            size=size,
            heard=lambda hub: self.board.hear(state, hub),
            fresh=fresh,
        ) as reply:
            host, path = host_of(reply.url), state.file.path
            size = reply.hub.size if size is None and reply.hub is not None else size
            answer = read_answer(
                reply.status, reply.headers, asked, host, ranged=wanted is not None, path=path, size=size
            )
            moved = None if reply.needed_cookie or reply.url == state.file.url else reply.url
            task.location = moved
            self.board.bind(task, answer, reply.hub, moved)
            self._hosts.note_answer(state.origin)
            if answer.coding is not None:
                reply.decode(answer.coding, state.size)
            Receiver(self._means, task, reply, answer.start).run()
