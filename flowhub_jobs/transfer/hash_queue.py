"""What lies between the fetchers and the hasher: bytes that are next in line, and which files have something to hash.

Bytes that are not next in line are not kept in memory: the hasher reads them from the disk when their turn comes. The
transfer's lock guards all of it, but for the spare buffers.
"""

import mmap
from collections import defaultdict, deque

from flowhub_jobs.transfer.file_state import BUFFER_DIRECT, UNDERWAY_MAX, FileState, QueuedChunk

QUEUED_MAX = 8 << 20  # bytes that wait for the hasher; who has more waits until it comes up with them


class HashQueue:
    def __init__(self) -> None:
        self.queued_bytes = 0  # bytes in memory
        self._hashed, self._busy_s = 0, 0.0
        self._spare: defaultdict[int, deque[memoryview]] = defaultdict(deque)  # by their size
        self._ready: dict[int, FileState] = {}

    def get_buffer(self, size: int) -> memoryview:
        """Return a buffer of `size` bytes to read into. Anybody may call it, at any time."""
        try:
            return self._spare[size].pop()
        except IndexError:
            # Not a bytearray: what goes to the disk past the system's cache must begin with a page of memory.
            return memoryview(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))

    def recycle(self, buffer: memoryview) -> None:
        self._spare[len(buffer)].append(buffer)

    def has_room(self, count: int) -> bool:
        return self.queued_bytes + count <= QUEUED_MAX

    def is_next(self, state: FileState, begin: int) -> bool:
        """Return whether the byte at `begin` is the one that the hasher wants, after those that wait for it."""
        return begin == max(state.digest.queued_to, state.record.frontier)

    def offer(self, state: FileState, begin: int, data: memoryview, buffer: memoryview) -> bool:
        """Keep bytes for the hasher, in their buffer, if they are next in line and there is room; return whether."""
        # Room was asked for before the writer had them: what it has may come on top.
        if not self.is_next(state, begin) or self.queued_bytes > QUEUED_MAX + UNDERWAY_MAX * BUFFER_DIRECT:
            return False
        state.digest.queued.append(QueuedChunk(begin, data, buffer))
        state.digest.queued_to = begin + len(data)
        self.queued_bytes += len(buffer)  # all of it is taken, however little lies in it
        return True

    def drain(self, state: FileState) -> list[QueuedChunk]:
        """Return all that waits at the frontier of a file, in order. What was passed by is let go."""
        taken, at = [], state.record.frontier
        while state.digest.queued and state.digest.queued[0].offset <= at:
            handed = state.digest.queued.popleft()
            self.queued_bytes -= len(handed.buffer)
            if handed.offset == at:
                taken.append(handed)
                at += len(handed.data)
            else:
                self.recycle(handed.buffer)
        return taken

    def clear(self, state: FileState) -> None:
        """Let go of what waits for a file that is begun anew."""
        self.queued_bytes -= sum(len(handed.buffer) for handed in state.digest.queued)
        state.digest.queued.clear()
        state.digest.queued_to = 0

    # How fast the digest is ----------------------------------------------------------------------------------------

    def record_work(self, hashed: int, seconds: float) -> None:
        self._hashed, self._busy_s = self._hashed + hashed, self._busy_s + seconds

    @property
    def rate(self) -> float:
        """The bytes a second that the hasher gets through while it has something to do."""
        return self._hashed / self._busy_s if self._busy_s else float("inf")

    # Who has something to hash -------------------------------------------------------------------------------------

    def mark_ready(self, state: FileState) -> None:
        """Note that there may be something to hash in a file."""
        self._ready[state.number] = state

    def mark_idle(self, state: FileState) -> None:
        self._ready.pop(state.number, None)

    @property
    def ready(self) -> list[FileState]:
        return list(self._ready.values())
