"""The fetchers: each a thread with a connection, that asks for a range, writes what comes, and starts again.

A fault sends its range back to the board; what follows (again, wait, give up) is decided in `retry`.
"""

import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from flowhub_jobs.addresses import host_of
from flowhub_jobs.errors import ConnectionLost, FlowhubError, NetworkDown, ServerBusy, TooSlow, WrongRange
from flowhub_jobs.transfer.asked import origin_asked
from flowhub_jobs.transfer.board import Board
from flowhub_jobs.transfer.committer import Committer
from flowhub_jobs.transfer.connection import Reply, Web
from flowhub_jobs.transfer.content import GLANCE, check_first_bytes
from flowhub_jobs.transfer.files import WHOLE, Task
from flowhub_jobs.transfer.headers import read_answer
from flowhub_jobs.transfer.hosts import Hosts
from flowhub_jobs.transfer.limit import Bucket
from flowhub_jobs.transfer.retry import Again, GiveUp, Wait, decide
from flowhub_jobs.transfer.terms import Control, Terms

LEAVE_S = 2.0


@dataclass(frozen=True, slots=True)
class Idle:
    """Nobody has a range, and the first to try again does so in `seconds`, because of `error`."""

    seconds: float
    error: FlowhubError
    host: bool


class Fetcher(threading.Thread):
    def __init__(self, crew: "Crew", number: int) -> None:
        super().__init__(name=f"fetcher-{number}", daemon=True)
        self._crew, self.number = crew, number
        self.wakes_at = 0.0

    def run(self) -> None:
        crew = self._crew
        try:
            while (task := crew.next_task(self)) is not None:
                try:
                    crew.fetch(task)
                except FlowhubError as error:
                    crew.fault(self, task, error)
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
        self._last_counted = 0.0
        self._fault: FlowhubError | None = None
        self._fault_of_host = False
        self._refused_at: int | None = None

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

    def cap(self, most: int) -> int:
        """Return how many connections are worth a try: fewer after a host refused more."""
        return most if self._refused_at is None else max(1, min(most, self._refused_at))

    def leave(self) -> bool:
        """Wait for the fetchers to go; False if one hangs where it cannot be reached, as in a look-up of a name."""
        deadline = time.monotonic() + LEAVE_S
        for fetcher in self._fetchers:
            fetcher.join(max(0.0, deadline - time.monotonic()))
        return not any(fetcher.is_alive() for fetcher in self._fetchers)

    def idle_for(self) -> Idle | None:
        """Return how long nobody will do anything, or None while somebody works or could."""
        with self.board.changed:
            if self.board.active or self.board.over or self._fault is None:
                return None
            now = time.monotonic()
            at_work = self._fetchers[: self._wanted]
            seconds = min((fetcher.wakes_at - now for fetcher in at_work), default=0.0)
            return Idle(seconds, self._fault, self._fault_of_host) if seconds > 0 else None

    # One range -----------------------------------------------------------------------------------------------------

    def next_task(self, fetcher: Fetcher) -> Task | None:
        """Return the next range, waiting for one; None when the transfer is over."""
        board = self.board
        with board.changed:
            while not board.over:
                wait = self._must_wait(fetcher)
                if wait == 0.0:
                    task = board.take()
                    if task is not None:
                        if self._hosts.enter(self._origin(task)):
                            return task
                        task.state.tasks.remove(task)
                        wait = 0.2  # another job's connection has to end first
                    else:
                        wait = None
                board.changed.wait(wait)
        return None

    def _must_wait(self, fetcher: Fetcher) -> float | None:
        """Return for how many seconds this fetcher may not begin; 0.0 if it may, None for until something changes."""
        if fetcher.number >= self._wanted:
            return None
        quiet = max((self._hosts.quiet_for(name) for name in self._origins_wanted()), default=0.0)
        if quiet:
            fetcher.wakes_at = time.monotonic() + quiet
            self._fault = self._fault or ServerBusy("The host asked to be left alone for a while.")
            self._fault_of_host = True
        return max(0.0, fetcher.wakes_at - time.monotonic())

    def _origins_wanted(self) -> set[str]:
        return {
            origin_asked(state.file.url, self._terms.hub_endpoint) for state in self.board.files if not state.kept_whole
        }

    def _origin(self, task: Task) -> str:
        return origin_asked(task.state.file.url, self._terms.hub_endpoint)

    def leave_task(self, task: Task) -> None:
        self._hosts.leave(self._origin(task))
        self.board.release(task)

    def fetch(self, task: Task) -> None:
        """Ask for the task's range, hold the answer against what is known, and keep what comes."""
        state = task.state
        asked = (task.start, min(task.end, task.start + WHOLE))
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
        pace = _Pace(self._terms, host_of(reply.url))
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
        if task.at < task.end:
            raise ConnectionLost(f"{task.state.file.path}: the answer ended at byte {task.at} of {task.end}.")

    def _keep(self, task: Task, data: bytes, *, last: bool = False) -> None:
        if task.start == 0 and not task.state.glanced:  # a range of the middle may overtake the first
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

    # Faults --------------------------------------------------------------------------------------------------------

    def fault(self, fetcher: Fetcher, task: Task, error: FlowhubError) -> None:
        """Decide what follows a fault, for this fetcher and for all."""
        board = self.board
        with board.changed:
            if board.over:
                return
            error = _with_name(error, task)
            if isinstance(error, ServerBusy | NetworkDown | ConnectionLost) and self._was_one_too_many(task):
                return
            task.state.location = None if task.got == 0 else task.state.location
            decision = decide(error, self._count(task), random.random(), self._terms.patience)  # noqa: S311
            if isinstance(decision, GiveUp):
                board.end(decision.error)
            elif isinstance(decision, Wait):
                self._wait(fetcher, task, error, decision)
            elif isinstance(decision, Again):
                board.notes.append(("again", error.message))
            board.changed.notify_all()

    def _count(self, task: Task) -> int:
        """Count a fault, but the faults of one moment once: sixteen connections that die together are one fault."""
        if task.begun >= self._last_counted:
            self.board.faults += 1
            self._last_counted = time.monotonic()
        return max(1, self.board.faults)

    def _wait(self, fetcher: Fetcher, task: Task, error: FlowhubError, decision: Wait) -> None:
        self._fault, self._fault_of_host = error, decision.asked
        fetcher.wakes_at = time.monotonic() + decision.seconds
        if decision.asked:
            self._hosts.be_quiet(self._origin(task), decision.seconds)
        self.board.notes.append(("fault", f"{error.message} Tried again in {decision.seconds:.1f} s."))

    def _was_one_too_many(self, task: Task) -> bool:
        """Whether the newest of several connections was refused: fewer are asked from now on, at no cost to the job."""
        if task.got or self.board.active <= 1 or not self._hosts.lower(self._origin(task)):
            return False
        self._refused_at = self.board.active - 1
        return True


def _with_name(error: FlowhubError, task: Task) -> FlowhubError:
    """Name the file in an error of the wire, which knows only its host."""
    path = task.state.file.path
    if path not in error.message:
        error.message = f"{path}: {error.message}"
        error.args = (error.message,)
    return error


class _Pace:
    """Watches that a body is not too slow. Only time spent waiting for bytes counts: not throttled, hashing, asleep."""

    def __init__(self, terms: Terms, host: str) -> None:
        self._host, self._floor, self._window = host, terms.slow_bps, terms.slow_window_s

    def timed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        waited, came = 0.0, 0
        while True:
            begin = time.monotonic()
            chunk = next(chunks, None)
            if chunk is None:
                return
            waited, came = waited + time.monotonic() - begin, came + len(chunk)
            if waited >= self._window:
                if came < self._floor * waited:
                    raise TooSlow(f"{self._host} sent only {came} bytes in {waited:.0f} s.")
                waited, came = 0.0, 0
            yield chunk
