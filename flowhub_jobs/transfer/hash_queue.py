"""Passes bytes from the fetchers to the hasher in memory, and tells it which files have bytes to hash.

Only the bytes right after the queued ones are accepted. The hasher reads all others from the disk when their turn
comes. The transfer's lock guards everything here except the spare buffers.
"""

import mmap
from collections import defaultdict, deque

from flowhub_jobs.transfer.file_state import BUFFER_DIRECT, PENDING_WRITES_MAX, FileState, QueuedChunk

QUEUED_MAX = 8 << 20  # A fetcher waits for the hasher while more bytes than this would be in memory.


class HashQueue:
    """The queue of one transfer."""

    def __init__(self) -> None:
        self.queued_bytes = 0
        self._hashed, self._busy_s = 0, 0.0
        self._spare: defaultdict[int, deque[memoryview]] = defaultdict(deque)  # by size
        self._ready: dict[int, FileState] = {}

    def get_buffer(self, size: int) -> memoryview:
        """Return a buffer of `size` bytes to read into. No lock is needed: a deque's operations are atomic."""
        try:
            return self._spare[size].pop()
        except IndexError:
            # Not a bytearray: direct I/O needs memory that begins at a page.
            return memoryview(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))

    def recycle(self, buffer: memoryview) -> None:
        self._spare[len(buffer)].append(buffer)

    def has_room(self, count: int) -> bool:
        return self.queued_bytes + count <= QUEUED_MAX

    def is_next(self, state: FileState, offset: int) -> bool:
        """Return whether the byte at `offset` is the next one to hash, after the queued ones."""
        return offset == max(state.digest.queued_to, state.record.frontier)

    def offer(self, state: FileState, offset: int, data: memoryview, buffer: memoryview) -> bool:
        """Queue bytes with their buffer if they are the next ones and there is room; return whether."""
        # The fetcher has checked for room before the write (`wait_for_hasher`): the writer's buffers may exceed it.
        if not self.is_next(state, offset) or self.queued_bytes > QUEUED_MAX + PENDING_WRITES_MAX * BUFFER_DIRECT:
            return False
        state.digest.queued.append(QueuedChunk(offset, data, buffer))
        state.digest.queued_to = offset + len(data)
        self.queued_bytes += len(buffer)  # the memory that is used, however little of it is data
        return True

    def drain(self, state: FileState) -> list[QueuedChunk]:
        """Return all queued chunks from the frontier on, in order. Chunks before the frontier are dropped."""
        chunks, at, queued = [], state.record.frontier, state.digest.queued
        while queued and queued[0].offset <= at:
            chunk = queued.popleft()
            self.queued_bytes -= len(chunk.buffer)
            if chunk.offset == at:
                chunks.append(chunk)
                at += len(chunk.data)
            else:
                self.recycle(chunk.buffer)
        return chunks

    def clear(self, state: FileState) -> None:
        """Drop the queued chunks of a file that starts over."""
        self.queued_bytes -= sum(len(chunk.buffer) for chunk in state.digest.queued)
        state.digest.queued.clear()
        state.digest.queued_to = 0

    # The digest's rate ---------------------------------------------------------------------------------------------

    def record_work(self, hashed: int, seconds: float) -> None:
        self._hashed, self._busy_s = self._hashed + hashed, self._busy_s + seconds

    @property
    def rate_bps(self) -> float:
        """The bytes a second that the hasher processes while it has something to hash."""
        return self._hashed / self._busy_s if self._busy_s else float("inf")

    # Files with bytes to hash --------------------------------------------------------------------------------------

    def mark_ready(self, state: FileState) -> None:
        """Record that there may be something to hash in a file."""
        self._ready[state.number] = state

    def mark_idle(self, state: FileState) -> None:
        """Record that there is nothing to hash in a file until `mark_ready`."""
        self._ready.pop(state.number, None)

    @property
    def ready(self) -> list[FileState]:
        return list(self._ready.values())
