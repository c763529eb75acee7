"""The fetchers: each a thread with a connection, that asks for a range, writes what comes, and starts again.

A fault sends its range back to the board; what follows is decided in `faults`.
"""

import threading
import time

from flowhub_jobs.addresses import host_of
from flowhub_jobs.errors import ConnectionLost, FlowhubError, WrongRange
from flowhub_jobs.transfer.asked import origin_asked
from flowhub_jobs.transfer.board import Board
from flowhub_jobs.transfer.committer import Committer
from flowhub_jobs.transfer.connection import Reply, Web
from flowhub_jobs.transfer.content import GLANCE, check_first_bytes
from flowhub_jobs.transfer.faults import Faults, Idle
from flowhub_jobs.transfer.files import FileState, Task
from flowhub_jobs.transfer.headers import read_answer
from flowhub_jobs.transfer.hosts import Hosts
from flowhub_jobs.transfer.limit import Bucket
from flowhub_jobs.transfer.pace import Pace
from flowhub_jobs.transfer.terms import Control, Terms

LEAVE_S = 2.0
HOST_FULL_S = 0.2  # until another job's connection may have ended


class Fetcher(threading.Thread):
    def __init__(self, crew: "Crew", number: int) -> None:
        super().__init__(name=f"fetcher-{number}", daemon=True)
        self._crew, self.number = crew, number

    def run(self) -> None:
        crew = self._crew
        try:
            while (task := crew.next_task(self)) is not None:
                try:
                    crew.fetch(task)
                except FlowhubError as error:
                    crew.fault(task, error)
                finally:
                    crew.leave_task(task)
        except BaseException as error:
            crew.board.end(error)


class Crew:
    def __init__(
        self,
        board: Board,
        web: Web,
        committer: Committer,
        hosts: Hosts,
        bucket: Bucket,
        control: Control,
        terms: Terms,
    ) -> None:
        self.board = board
        self._web, self._committer, self._hosts, self._bucket = web, committer, hosts, bucket
        self._control, self._terms = control, terms
        self._fetchers: list[Fetcher] = []
        self._wanted = 1
        self._faults = Faults(board, hosts, terms)

    # Who works -----------------------------------------------------------------------------------------------------

    def hire(self, count: int) -> None:
        """Have `count` fetchers at work: more are begun, the ones too many finish their range and wait."""
        with self.board.changed:
            if count != self._wanted:
                self._wanted = count
                self.board.changed.notify_all()
        while len(self._fetchers) < count:
            fetcher = Fetcher(self, len(self._fetchers))
            self._fetchers.append(fetcher)
            fetcher.start()

    def cap(self) -> int:
        """Return how many connections are worth a try, by what the hosts of the files take."""
        most = max((self._hosts.cap(self._origin(state)) for state in self.board.files), default=1)
        return min(most, self._terms.connections_per_host)

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
                wait: float | None = None  # until something changes
                if fetcher.number < self._wanted:
                    wait = self._faults.must_wait()
                    if wait <= 0:
                        task, wait = self._take()
                        if task is not None:
                            return task
                self.board.changed.wait(wait)
        return None

    def _take(self) -> tuple[Task | None, float | None]:
        """Return a range, if there is one and its host takes one more connection; else how long to wait for one."""
        task = self.board.take()
        if task is None or self._hosts.enter(self._origin(task.state)):
            return task, None
        task.state.tasks.remove(task)
        return None, HOST_FULL_S

    def _origin(self, state: FileState) -> str:
        return origin_asked(state.file.url, self._terms.hub_endpoint)

    def fault(self, task: Task, error: FlowhubError) -> None:
        with self.board.changed:
            if not self.board.over:
                self._faults.meet(task, error)
                self.board.changed.notify_all()

    def leave_task(self, task: Task) -> None:
        self._hosts.leave(self._origin(task.state))
        self.board.release(task)

    def fetch(self, task: Task) -> None:
        """Ask for the task's range, hold the answer against what is known, and keep what comes."""
        state = task.state
        asked = (task.start, task.end)
        with self._web.ask(
            state.file.url,
            asked,
            known=state.location,
            if_range=state.if_range,
            pinned=state.pinned,
            heard=lambda hub: self.board.hear(state, hub),
        ) as reply:
            answer = read_answer(reply.response.status_code, reply.response.headers, asked, host_of(reply.url))
            moved = reply.url if reply.url != state.file.url else None
            self.board.bind(task, answer, reply.hub, moved)
            self._receive(task, reply, answer.start)

    def _receive(self, task: Task, reply: Reply, at: int) -> None:
        pace = Pace(self._terms, host_of(reply.url))
        for chunk in pace.timed(reply.chunks()):
            self._bucket.take(len(chunk), lambda: self.board.over)
            fresh = chunk[max(0, task.at + len(task.head) - at) :]  # what a 200 repeats is passed over
            at += len(chunk)
            if at > task.end:
                raise WrongRange(f"{task.state.file.path}: more came than the range that was asked ({task.end} bytes).")
            self._keep(task, fresh)
        if task.head:
            self._keep(task, b"", last=True)
        self.board.learn_end(task)
        if task.state.size == 0:
            check_first_bytes(task.state.file.path, b"")
        if task.at < task.end:
            raise ConnectionLost(f"{task.state.file.path}: the answer ended at byte {task.at} of {task.end}.")

    def _keep(self, task: Task, data: bytes, *, last: bool = False) -> None:
        if task.at == 0 and not task.state.glanced:  # a range of the middle may overtake the first
            task.head += data
            if len(task.head) < GLANCE and not last:
                return
            check_first_bytes(task.state.file.path, task.head[:GLANCE])
            task.state.glanced = True
            data, task.head = task.head, b""
        if not data:
            return
        self._committer.admit(len(data))
        self._control.check()
        task.part.write(data, task.at)
        self.board.arrived(task, data)
