"""Receives the body of one response: reads a buffer full, writes it to its place, reports it, until the range's end.

Bytes that the digest needs next are handed to it in memory, and nothing reads them from the disk again: they need no
room in the system's cache. If the disk takes whole pages past the cache (direct I/O), the writer thread writes them
while the next buffer is read, which saves copying each byte once. Bytes out of order go through the cache, where the
hasher finds them when their turn comes.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial

from flowhub_jobs.errors import ConnectionLost, FlowhubError, SourceChanged, TooSlow, WrongRange
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.transfer.committer import Committer
from flowhub_jobs.transfer.file_state import BUFFER, BUFFER_DIRECT, PENDING_WRITES_MAX, RangeTask
from flowhub_jobs.transfer.first_bytes_check import HEAD_BYTES, check_first_bytes
from flowhub_jobs.transfer.http.response import RangeResponse
from flowhub_jobs.transfer.identity_check import check_may_be_empty
from flowhub_jobs.transfer.options import CancelToken, TransferOptions
from flowhub_jobs.transfer.partial.part_file import PAGE, DirectPart
from flowhub_jobs.transfer.range_forms import WHOLE
from flowhub_jobs.transfer.rate_limit import TransferRateLimit
from flowhub_jobs.transfer.response_acceptance import accept_end
from flowhub_jobs.transfer.response_checks import check_cut_off
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.transfer.wire_meter import WireMeter
from flowhub_jobs.values.enums import StopReason

DIRECT_MIN = MIB  # A shorter range is written faster through the cache.


class Writer:
    """A thread that runs writes one after the other, in the order in which they were submitted."""

    def __init__(self) -> None:
        self._pool, self._slots = ThreadPoolExecutor(1, "writer"), threading.Semaphore(PENDING_WRITES_MAX)

    def submit(self, write: Callable[[], None]) -> "Future[None]":
        """Run `write` in the thread; wait while enough writes are queued. The future raises what `write` raises."""
        self._slots.acquire()
        return self._pool.submit(self._run, write)

    def _run(self, write: Callable[[], None]) -> None:
        try:
            write()
        finally:
            self._slots.release()

    def close(self, *, wait: bool) -> None:
        self._pool.shutdown(wait=wait)


@dataclass(frozen=True, slots=True)
class TransferContext:
    """Shared by all receivers of a transfer."""

    transfer: TransferState
    committer: Committer
    rate_limit: TransferRateLimit
    cancel: CancelToken
    options: TransferOptions
    writer: Writer
    meter: WireMeter = field(default_factory=WireMeter)

    def check_cap(self) -> None:
        """Stop the transfer before it reads more than the node's cap leaves: all bytes so far are kept.

        Called before each read, and not after it: a file whose last byte has come is verified. Raises Cancelled.
        """
        if self.meter.exhausted:
            self.cancel.stop(StopReason.CAP_REACHED)
            self.cancel.check()


class Receiver:
    """Receives the body of one response to a task. The body brings the file from byte `at` on."""

    def __init__(self, context: TransferContext, task: RangeTask, response: RangeResponse, at: int) -> None:
        assert task.part is not None
        self._context, self._task, self._part, self._response = context, task, task.part, response
        self._at = at  # offset of the next byte of the body; a 200 repeats kept bytes first
        self._slow_check = SlowBodyCheck(context.options, host_of(response.url))
        self._may_write_direct = context.options.direct_io and task.end - task.start >= DIRECT_MIN
        self._buffer: memoryview = context.transfer.hash_queue.get_buffer(BUFFER)
        self._direct: DirectPart | None = None
        self._pending_writes: deque[Future[None]] = deque()  # in the writer thread, for this response

    def run(self) -> None:
        """Store the body up to the task's end; another connection may move that end closer."""
        task, transfer = self._task, self._context.transfer
        task.body = self
        try:
            while self._at < task.end and (count := self._read()):
                self._accept(count)
            self._wait_for_writes()
        finally:
            task.body = None
            wait(self._pending_writes)
            if self._direct is not None:
                self._direct.close()
        transfer.hash_queue.recycle(self._buffer)
        path = task.state.file.path
        if task.written_to == 0 and task.end == WHOLE:
            # An empty body without a length: before the hasher may verify it.
            check_may_be_empty(task.state, task.proof)
        if self._at < task.reserved_to:
            raise ConnectionLost(
                f"the response ended at byte {self._at}, although {task.reserved_to} bytes had been received before.",
                path=path,
            )
        if self._response.cut_off:
            check_cut_off(task, self._at)
        accept_end(transfer, task)
        if task.written_to < task.end:
            raise ConnectionLost(
                f"the response ended at byte {task.written_to}, before the end of its range, {task.end}.", path=path
            )

    def waited_s(self, now: float) -> float:
        return self._slow_check.waited_s(now)

    def abort(self) -> None:
        self._response.abort()

    def _read(self) -> int:
        """Fill the buffer with what comes within a moment; return the count. The first bytes of a file are checked."""
        self._context.check_cap()
        identity, task, rate_limit = self._task.state.identity, self._task, self._context.rate_limit
        space = self._buffer[: self._to_boundary(rate_limit.read_size(len(self._buffer)))]
        self._response.limit_read_ahead(rate_limit.receive_window)
        count = self._slow_check.timed(self._response.fill, space)
        task.bytes_received += count
        rate_limit.take(count, lambda: self._context.transfer.ended)
        # Not simply the first range: one from the middle of the file may come sooner.
        if task.reserved_to == 0 and not identity.head_checked and count:
            while count < HEAD_BYTES and (received := self._slow_check.timed(self._response.fill, space[count:])):
                count += received
            check_first_bytes(task.state.file.path, bytes(space[: min(count, HEAD_BYTES)]), task.proof)
            identity.head_checked = True
        return count

    def _to_boundary(self, count: int) -> int:
        """Return how much of `count` to read so that buffers end at multiples of their size, as pages and pieces do."""
        last = (self._at + count) % len(self._buffer)
        return count - last if last < count else count

    def _accept(self, count: int) -> None:
        """Store the first `count` bytes of the buffer: those that are not kept yet and are still the task's."""
        task, begin = self._task, self._task.reserved_to
        repeated = max(0, begin - self._at)
        self._at += count
        if self._at > task.response_end:
            path, end = task.state.file.path, task.response_end
            raise WrongRange(f"the response continued past byte {end}, the end of its range.", path=path)
        data = self._buffer[repeated:count]
        if granted := self._context.transfer.reserve(task, len(data)):
            self._store(data[:granted], begin)

    def _store(self, data: memoryview, begin: int) -> None:
        """Write bytes to `begin`, and queue them for the hasher if they are next."""
        transfer = self._context.transfer
        transfer.wait_for_hasher(self._task, len(data))
        if self._goes_direct(len(data), begin):
            self._context.cancel.check()
            buffer, self._buffer = self._buffer, transfer.hash_queue.get_buffer(BUFFER_DIRECT)
            self._pending_writes.append(self._context.writer.submit(partial(self._write_direct, begin, data, buffer)))
            while self._pending_writes and self._pending_writes[0].done():
                self._pending_writes.popleft().result()
        else:
            self._write_buffered(data, begin)

    def _goes_direct(self, count: int, begin: int) -> bool:
        """Return whether `count` bytes from `begin` on are whole pages and go to the hasher from memory."""
        if not self._may_write_direct or count < BUFFER or count % PAGE or begin % PAGE:
            return False
        task, hash_queue = self._task, self._context.transfer.hash_queue
        # `written_to` is behind this body's end while writes are pending: they come first.
        if not hash_queue.is_next(task.state, task.written_to) or not hash_queue.has_room(count):
            return False
        if self._direct is None and self._part.takes_direct:
            self._direct = DirectPart(self._part)
        return self._part.takes_direct

    def _write_direct(self, begin: int, data: memoryview, buffer: memoryview) -> None:
        """Write whole pages to `begin` and report them, in the writer thread, in the order of the bytes.

        The transfer must never believe bytes after a gap: so a write whose predecessor failed does nothing.
        `task.written_to` moves only in `note_written`, after the write, which is how the next write knows.
        """
        context, task = self._context, self._task
        assert self._direct is not None
        if begin != task.written_to:
            return  # the bytes before these were not written
        try:
            context.committer.admit(len(data))
            context.cancel.check_owner()
            self._direct.write(data, begin)
            if not context.transfer.note_written(task, data, buffer):
                context.transfer.hash_queue.recycle(buffer)
        except SourceChanged:
            raise
        except FlowhubError as error:
            context.transfer.end(error)  # at once: the fetcher may wait for its next byte for long
            raise

    def _write_buffered(self, data: memoryview, begin: int) -> None:
        """Write to `begin` through the cache and report it, after all pending writes."""
        context, buffer = self._context, self._buffer
        self._wait_for_writes()
        context.committer.admit(len(data))
        context.cancel.check()
        self._part.write(data, begin)
        if context.transfer.note_written(self._task, data, buffer):
            self._buffer = context.transfer.hash_queue.get_buffer(BUFFER)

    def _wait_for_writes(self) -> None:
        """Wait for all pending writes of this response. Raises what they raised."""
        while self._pending_writes:
            self._pending_writes.popleft().result()


class SlowBodyCheck:
    """Checks that a body is not too slow. Only the time spent waiting for bytes counts: no throttling, hashing, sleep.

    Its clock is the reader's: it adds the seconds of each read, so a suspended process or a full disk costs nothing.
    """

    def __init__(self, options: TransferOptions, host: str) -> None:
        self._host, self._min_bps, self._window = host, options.slow_bps, options.slow_window_s
        self._waited, self._received = 0.0, 0  # in this window
        self._total, self._reading_since = 0.0, 0.0  # 0.0: no read is under way

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
        self._total, self._waited, self._received = self._total + waited, self._waited + waited, self._received + count
        if self._waited >= self._window:
            if self._received < self._min_bps * self._waited:
                rate = f"less than {self._min_bps} bytes a second"
                text = f"{self._host} sent only {self._received} bytes in {self._waited:.1f} s, {rate}."
                raise TooSlow(text, host=self._host)
            self._waited, self._received = 0.0, 0
        return count
