"""One answer, taken in: read a buffer full, write it to its place, tell the transfer, until the range's end.

What is next in line for the digest needs no place in the system's cache, as nobody reads it again: where the disk takes
whole pages past it, the writer puts them there while the next buffer is read, which saves copying each byte once. What
is out of order goes through the cache, where the digest finds it when its turn comes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial

from flowhub_jobs.errors import ConnectionLost, FlowhubError, SourceChanged, TooSlow, WrongRange
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.transfer.acceptance import accept_end
from flowhub_jobs.transfer.committer import Committer
from flowhub_jobs.transfer.content import GLANCE, check_first_bytes
from flowhub_jobs.transfer.file_state import BUFFER, BUFFER_DIRECT, UNDERWAY_MAX, RangeTask
from flowhub_jobs.transfer.http.response import RangeResponse
from flowhub_jobs.transfer.options import CancelToken, TransferOptions
from flowhub_jobs.transfer.partial.part_file import PAGE, DirectPart
from flowhub_jobs.transfer.range_forms import WHOLE
from flowhub_jobs.transfer.rate_limit import TokenBucket
from flowhub_jobs.transfer.state import TransferState

DIRECT_MIN = MIB  # a range that is worth it: a small file is sooner copied than its disk waited for


class Writer:
    """Does one work after the other, in the order in which they were given."""

    def __init__(self) -> None:
        self._pool, self._room = ThreadPoolExecutor(1, "writer"), threading.Semaphore(UNDERWAY_MAX)

    def give(self, work: Callable[[], None]) -> "Future[None]":
        """Have the thread do `work`; wait while it has enough. The answer raises what the work did."""
        self._room.acquire()
        return self._pool.submit(self._do, work)

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            self._room.release()

    def close(self, *, wait: bool) -> None:
        self._pool.shutdown(wait=wait)


@dataclass(frozen=True, slots=True)
class TransferContext:
    """What all answers of a transfer are taken in with."""

    transfer: TransferState
    committer: Committer
    bucket: TokenBucket
    control: CancelToken
    terms: TransferOptions
    writer: Writer


class Receiver:
    """Takes in one answer to a task. It brings the file from byte `at` on."""

    def __init__(self, means: TransferContext, task: RangeTask, reply: RangeResponse, at: int) -> None:
        assert task.part is not None
        self._means, self._task, self._part, self._reply = means, task, task.part, reply
        self._at = at  # where the answer is: a 200 repeats what was kept
        self._pace = SlowBodyCheck(means.terms, host_of(reply.url))
        self._may_go_direct = means.terms.direct_io and task.end - task.start >= DIRECT_MIN
        self._buffer: memoryview = means.transfer.hash_queue.get_buffer(BUFFER)
        self._direct: DirectPart | None = None
        self._underway: deque[Future[None]] = deque()  # what the writer has of this answer

    def run(self) -> None:
        """Keep what comes, until the task's end: another connection may have taken the rest over."""
        task, transfer = self._task, self._means.transfer
        task.body = self
        try:
            while self._at < task.end and (count := self._read()):
                self._take(count)
            self._settle()
        finally:
            task.body = None
            wait(self._underway)
            if self._direct is not None:
                self._direct.close()
        transfer.hash_queue.recycle(self._buffer)
        if task.at == 0 and task.end == WHOLE:  # an empty answer without a length: before the hasher may call it done
            check_first_bytes(task.state.file.path, b"", task.proof)
        if self._at < task.claimed_to:
            raise ConnectionLost(
                f"{task.claimed_to} bytes came, and now it ended at {self._at}.", path=task.state.file.path
            )
        accept_end(transfer, task)
        if task.at < task.end:
            raise ConnectionLost(f"the answer ended at byte {task.at} of {task.end}.", path=task.state.file.path)

    def waited_s(self, now: float) -> float:
        return self._pace.waited_s(now)

    def abort(self) -> None:
        self._reply.cut()

    def _read(self) -> int:
        """Fill the buffer with what comes within a moment; return how much. The first bytes of a file are looked at."""
        state, bucket = self._task.state, self._means.bucket
        space = self._buffer[: self._to_boundary(bucket.grain(len(self._buffer)))]
        self._reply.narrow(bucket.ahead)
        count = self._pace.timed(self._reply.fill, space)
        self._task.received += count
        bucket.take(count, lambda: self._means.transfer.ended)
        if (
            self._task.claimed_to == 0 and not state.identity.head_checked and count
        ):  # a range of the middle may overtake the first
            while count < GLANCE and (more := self._pace.timed(self._reply.fill, space[count:])):
                count += more
            check_first_bytes(state.file.path, bytes(space[: min(count, GLANCE)]), self._task.proof)
            state.identity.head_checked = True
        return count

    def _to_boundary(self, count: int) -> int:
        """Return how much of `count` to read so that buffers end at multiples of their size, as pages and pieces do."""
        last = (self._at + count) % len(self._buffer)
        return count - last if last < count else count

    def _take(self, count: int) -> None:
        """Keep what is new of the first `count` bytes in the buffer, and still the task's."""
        task, begin = self._task, self._task.claimed_to
        repeated = max(0, begin - self._at)
        self._at += count
        if self._at > task.response_end:
            path, end = task.state.file.path, task.response_end
            raise WrongRange(f"more came than the range that was asked ({end} bytes).", path=path)
        data = self._buffer[repeated:count]
        if mine := self._means.transfer.claim(task, len(data)):
            self._keep(data[:mine], begin)

    def _keep(self, data: memoryview, begin: int) -> None:
        """Bring what came to its place, which is at `begin`, and to the hasher if it is its turn."""
        transfer = self._means.transfer
        transfer.wait_for_hasher(self._task, len(data))
        if self._goes_direct(len(data), begin):
            self._means.control.check()
            buffer, self._buffer = self._buffer, transfer.hash_queue.get_buffer(BUFFER_DIRECT)
            self._underway.append(self._means.writer.give(partial(self._put, begin, data, buffer)))
            while self._underway and self._underway[0].done():
                self._underway.popleft().result()
        else:
            self._write(data, begin)

    def _goes_direct(self, count: int, begin: int) -> bool:
        """Whether `count` bytes from `begin` on are whole pages, and go to the hasher from memory."""
        if not self._may_go_direct or count < BUFFER or count % PAGE or begin % PAGE:
            return False
        task, hash_queue = self._task, self._means.transfer.hash_queue
        if not hash_queue.is_next(task.state, task.at) or not hash_queue.has_room(
            count
        ):  # with what is underway before them
            return False
        if self._direct is None and self._part.takes_direct:
            self._direct = DirectPart(self._part)
        return self._part.takes_direct

    def _put(self, begin: int, data: memoryview, buffer: memoryview) -> None:
        """Write whole pages to their place, and tell the transfer: the writer does, in the order of the bytes."""
        means, task = self._means, self._task
        assert self._direct is not None
        if begin != task.at:
            return  # those before them did not arrive; nor do these, and their buffer is let go
        try:
            means.committer.admit(len(data))
            means.control.check_owner()
            self._direct.write(data, begin)
            if not means.transfer.note_written(task, data, buffer):
                means.transfer.hash_queue.recycle(buffer)
        except SourceChanged:
            raise
        except FlowhubError as error:
            means.transfer.end(error)  # now: whoever reads may wait for a byte for long
            raise

    def _write(self, data: memoryview, begin: int) -> None:
        """Write to `begin` through the cache, behind all that is underway, and tell the transfer."""
        means, buffer = self._means, self._buffer
        self._settle()
        means.committer.admit(len(data))
        means.control.check()
        self._part.write(data, begin)
        if means.transfer.note_written(self._task, data, buffer):
            self._buffer = means.transfer.hash_queue.get_buffer(BUFFER)

    def _settle(self) -> None:
        """Wait until the writer has nothing of ours any more. Raises what it met."""
        while self._underway:
            self._underway.popleft().result()


class SlowBodyCheck:
    """Watches that a body is not too slow. Only time spent waiting for bytes counts: not throttled, hashing, asleep."""

    def __init__(self, terms: TransferOptions, host: str) -> None:
        self._host, self._min_bps, self._window = host, terms.slow_bps, terms.slow_window_s
        self._waited, self._came = 0.0, 0
        self._total, self._reading_since = 0.0, 0.0  # 0: nothing is being read

    def waited_s(self, now: float) -> float:
        """Return the seconds that all reads took until `now`, the one under way included."""
        since = self._reading_since
        return self._total + (now - since if since else 0.0)

    def timed(self, read: Callable[[memoryview], int], view: memoryview) -> int:
        """Return what `read(view)` returns. Raises TooSlow after a window with fewer bytes a second than the floor."""
        begin = self._reading_since = time.monotonic()
        try:
            count = read(view)
        finally:
            self._reading_since = 0.0
        waited = time.monotonic() - begin
        self._total, self._waited, self._came = self._total + waited, self._waited + waited, self._came + count
        if self._waited >= self._window:
            if self._came < self._min_bps * self._waited:
                rate = f"less than {self._min_bps} bytes a second"
                raise TooSlow(
                    f"{self._host} sent only {self._came} bytes in {self._waited:.1f} s, {rate}.", host=self._host
                )
            self._waited, self._came = 0.0, 0
        return count
