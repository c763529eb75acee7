"""One answer, taken in: read a buffer full, write it to its place, tell the board, until the range's end.

What is next in line for the digest needs no place in the system's cache, as nobody reads it again: where the disk takes
whole pages past it, a writer puts them there while the next buffer is read, for half of the processor's time. What is
out of order goes through the cache, where the digest finds it when its turn comes.
"""

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from flowhub_jobs.addresses import host_of
from flowhub_jobs.errors import ConnectionLost, FlowhubError, SourceChanged, WrongRange
from flowhub_jobs.transfer.board import Board
from flowhub_jobs.transfer.committer import Committer
from flowhub_jobs.transfer.content import GLANCE, check_first_bytes
from flowhub_jobs.transfer.feed import UNDERWAY_MAX
from flowhub_jobs.transfer.files import BUFFER, BUFFER_DIRECT, WHOLE, Task
from flowhub_jobs.transfer.limit import Bucket
from flowhub_jobs.transfer.pace import Pace
from flowhub_jobs.transfer.partial import PAGE
from flowhub_jobs.transfer.plan import MIB
from flowhub_jobs.transfer.reply import Reply
from flowhub_jobs.transfer.terms import Control, Terms

DIRECT_MIN = MIB  # a range that is worth it: a small file is sooner copied than its disk waited for


@dataclass(frozen=True, slots=True)
class Means:
    """What all answers of a transfer are taken in with. `writer` has one thread."""

    board: Board
    committer: Committer
    bucket: Bucket
    control: Control
    terms: Terms
    writer: ThreadPoolExecutor


class Receiver:
    """Takes in one answer to a task. It brings the file from byte `at` on."""

    def __init__(self, means: Means, task: Task, reply: Reply, at: int) -> None:
        assert task.part is not None
        self._means, self._task, self._part, self._reply = means, task, task.part, reply
        self._at, self._next = at, task.at  # where the answer is; the next byte to keep: a 200 repeats what was kept
        self._pace = Pace(means.terms, host_of(reply.url))
        self._may_go_direct = means.terms.direct_io and task.end - task.start >= DIRECT_MIN
        self._buffer = means.board.feed.buffer(BUFFER)
        self._underway: deque[Future[None]] = deque()  # what the writer has

    def run(self) -> None:
        """Keep what comes, until the task's end: another connection may have taken the rest over."""
        task, board = self._task, self._means.board
        try:
            while self._at < task.end and (count := self._read()):
                self._take(count)
        finally:
            board.feed.give_back(self._buffer)
            self._settle(0)
        if task.at == 0 and task.end == WHOLE:  # an empty answer without a length: before the hasher may call it done
            check_first_bytes(task.state.file.path, b"")
        board.learn_end(task)
        if task.at < task.end:
            raise ConnectionLost(f"{task.state.file.path}: the answer ended at byte {task.at} of {task.end}.")

    def _read(self) -> int:
        """Fill the buffer with what comes within a moment; return how much. The first bytes of a file are looked at."""
        state, bucket = self._task.state, self._means.bucket
        space = self._buffer[: self._to_full_place(bucket.grain(len(self._buffer)))]
        if (ahead := bucket.ahead) is not None:
            self._reply.narrow(ahead)
        count = self._pace.timed(self._reply.fill, space)
        bucket.take(count, lambda: self._means.board.over)
        if self._next == 0 and not state.glanced and count:  # a range of the middle may overtake the first
            while count < GLANCE and (more := self._pace.timed(self._reply.fill, space[count:])):
                count += more
            check_first_bytes(state.file.path, bytes(space[:GLANCE]) if count >= GLANCE else bytes(space[:count]))
            state.glanced = True
        return count

    def _to_full_place(self, count: int) -> int:
        """Return how much of `count` to read so that buffers end at multiples of their size, as pages and pieces do."""
        last = (self._at + count) % len(self._buffer)
        return count - last if last < count else count

    def _take(self, count: int) -> None:
        """Keep what is new of the first `count` bytes in the buffer."""
        task, repeated = self._task, max(0, self._next - self._at)
        self._at += count
        if self._at > task.answer_end:
            path, end = task.state.file.path, task.answer_end
            raise WrongRange(f"{path}: more came than the range that was asked ({end} bytes).")
        data = self._buffer[repeated:count][: max(0, task.end - self._next)]
        if data:
            self._keep(data)
            self._next += len(data)

    def _keep(self, data: memoryview) -> None:
        """Bring what came to its place, and to the hasher if it is its turn."""
        means, task, feed = self._means, self._task, self._means.board.feed
        means.committer.admit(len(data))
        means.board.wait_for_hasher(task, len(data))
        means.control.check()
        if self._goes_direct(len(data)):
            self._settle(UNDERWAY_MAX - 1)
            self._underway.append(means.writer.submit(self._put, self._next, data, self._buffer))
            self._buffer = feed.buffer(BUFFER_DIRECT)
            return
        self._settle(0)
        self._part.write(data, self._next)
        if means.board.arrived(task, data, self._buffer):
            self._buffer = feed.buffer(BUFFER)

    def _goes_direct(self, count: int) -> bool:
        """Whether the next `count` bytes are whole pages, and go to the hasher from memory."""
        if not self._may_go_direct or count < BUFFER or count % PAGE or self._next % PAGE:
            return False
        feed = self._means.board.feed
        behind_ours = bool(self._underway) and not self._underway[-1].done()
        in_line = behind_ours or feed.is_next(self._task.state, self._next)
        return in_line and feed.has_room(count) and self._part.takes_direct

    def _put(self, begin: int, data: memoryview, buffer: memoryview) -> None:
        """Write whole pages to their place, and tell the board: the writer does, in the order of the bytes."""
        board, task = self._means.board, self._task
        if begin != task.at:
            return  # those before them did not arrive
        try:
            self._part.write_direct(data, begin)
            if not board.arrived(task, data, buffer):
                board.feed.give_back(buffer)
        except SourceChanged:
            raise
        except FlowhubError as error:
            board.end(error)  # now: whoever reads may wait for a byte for long
            raise

    def _settle(self, most: int) -> None:
        """Wait until the writer has no more than `most` of what was given to it. Raises what it met."""
        while len(self._underway) > most:
            self._underway.popleft().result()
