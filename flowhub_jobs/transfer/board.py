"""What everyone in a running transfer knows: which bytes are kept, on their way, hashed. One lock guards all of it.

Fetchers take tasks from the board and tell it what arrived; the hasher follows the frontier; the committer takes
snapshots for the journal. Nobody reads or writes bytes, on a disk or a socket, while holding the lock.
"""

import threading
import time
from pathlib import Path

from flowhub_jobs.errors import SourceChanged
from flowhub_jobs.records import Artifact
from flowhub_jobs.transfer.binding import accept, check_hub_word, check_size, is_another_version
from flowhub_jobs.transfer.digest import Sha256
from flowhub_jobs.transfer.files import WHOLE, FileState, Task
from flowhub_jobs.transfer.headers import Answer, HubWord
from flowhub_jobs.transfer.journal import FileRecord
from flowhub_jobs.transfer.partial import PartFile, generation_of, part_path
from flowhub_jobs.transfer.plan import MIB, Range, Ranges, next_range

FIRST_ASK = 16 * MIB  # of a file whose size nobody told
HANDED_MAX = 32 * MIB  # bytes that wait in memory for the hasher; beyond, it reads them from the disk
COMMIT_AT = 32 * MIB  # unsynced bytes for which the committer is woken before its time


class Board:
    def __init__(self, artifact: Artifact, folder: Path) -> None:
        self.artifact, self.folder = artifact, folder
        lock = threading.RLock()
        self.changed = threading.Condition(lock)  # for everybody but the hasher
        self.fresh = threading.Condition(lock)  # for the hasher, which is woken by every chunk
        self.files: list[FileState] = []
        self.retired: list[PartFile] = []
        self.fetched = 0
        self.fetched_committed = 0
        self.unsynced = 0
        self.handed = 0
        self.faults = 0
        self.connections = 1
        self.rate = 0.0
        self.notes: list[tuple[str, str]] = []  # what healed by itself, for the person
        self.error: BaseException | None = None
        self.over = False
        self.over_at = 0.0
        self.abandoned = False  # a fetcher hangs where it cannot be reached, and may still hold a part

    # What the whole knows ------------------------------------------------------------------------------------------

    @property
    def active(self) -> int:
        return sum(len(state.tasks) for state in self.files)

    @property
    def done(self) -> bool:
        return all(state.verified for state in self.files)

    def _wake_all(self) -> None:
        self.changed.notify_all()
        self.fresh.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """End the transfer for everyone; the first error is the one that is told."""
        with self.changed:
            self.error = self.error or error
            if not self.over:
                self.over, self.over_at = True, time.monotonic()
            self._wake_all()

    def close(self) -> None:
        """Close every part, unless somebody who hangs could still write to it: its descriptor must stay its own."""
        if not self.abandoned:
            for part in [*self.retired, *(state.part for state in self.files if state.part)]:
                part.close()

    # Tasks ---------------------------------------------------------------------------------------------------------

    def take(self) -> Task | None:
        """Return the next range to fetch, or None if there is none now. The lock is held."""
        for state in self.files:
            asked = None if state.verified else self._wanted(state)
            if asked is not None:
                if state.part is None:
                    state.part = PartFile(self.folder, state.record.part, new=True)
                task = Task(state, asked[0], asked[1], state.part, at=asked[0])
                state.tasks.append(task)
                return task
        return None

    def _wanted(self, state: FileState) -> Range | None:
        alone = state.single or state.keyless or not state.bound or state.size is None
        if alone and state.tasks:
            return None
        if state.keyless and state.record.kept.total and not state.kept_whole:
            self._restart(state)  # nothing binds what came to what would come now
        start = state.record.kept.reach(0)
        if state.size is None:
            return start, WHOLE if state.single or state.keyless else start + FIRST_ASK
        if state.kept_whole:
            return None
        if state.single or state.keyless:
            return start, state.size
        taken = Ranges((task.at, task.end) for task in state.tasks)
        rate = self.rate / max(1, self.active)
        return next_range(state.record.kept, taken, state.size, connections=self.connections, rate=rate)

    def release(self, task: Task) -> None:
        with self.changed:
            if task in task.state.tasks:
                task.state.tasks.remove(task)
            self._wake_all()

    def arrived(self, task: Task, data: bytes) -> None:
        """Note that `data` lies at the task's place, and hand it to the hasher."""
        with self.changed:
            state = task.state
            self._check_current(task)
            begin, task.at = task.at, task.at + len(data)
            state.record.kept.add(begin, task.at)
            self.fetched += len(data)
            self.unsynced += len(data)
            if state.record.kept.total > state.best:
                state.best = state.record.kept.total
                self.faults = 0  # a byte that no try had before: the budget is fresh
            task.got += len(data)
            state.dirty = True
            self._hand(state, begin, data)
            self.fresh.notify()
            if self.unsynced >= COMMIT_AT > self.unsynced - len(data):
                self.changed.notify_all()

    def _hand(self, state: FileState, begin: int, data: bytes) -> None:
        """Keep bytes in memory for the hasher if they are next in line; what is not, it reads from the disk later."""
        if begin == max(state.handed_to, state.record.frontier) and self.handed + len(data) <= HANDED_MAX:
            state.handed.append((begin, data))
            state.handed_to = begin + len(data)
            self.handed += len(data)

    # What a file is ------------------------------------------------------------------------------------------------

    def hear(self, state: FileState, hub: HubWord) -> None:
        """Hold the Hub's word against the catalog, before its redirect is followed. Raises as `bind` does."""
        with self.changed:
            check_hub_word(state, hub)

    def bind(self, task: Task, answer: Answer, hub: HubWord | None, location: str | None) -> None:
        """Hold an answer against what is known of the file, before a byte of it is written.

        Raises SizeMismatch and DigestMismatch where the catalog is contradicted, SourceChanged where the content is
        another one than that of the kept bytes: then the file is begun anew.
        """
        with self.changed:
            state = task.state
            self._check_current(task)
            if hub is not None:  # None: asked where the Hub's word led, and what it said holds
                check_hub_word(state, hub)
            check_size(state, answer.total)
            if is_another_version(state, answer, hub):
                self._restart(state)
                raise SourceChanged(f"{state.file.path}: the file behind the address is another one now.")
            accept(task, answer, hub, location)
            task.answered = True
            self._wake_all()

    @staticmethod
    def _check_current(task: Task) -> None:
        if task.part is not task.state.part:
            raise SourceChanged(f"{task.state.file.path} was begun anew meanwhile.")

    def learn_end(self, task: Task) -> None:
        """Note that an answer without a length has ended: its end is the file's."""
        with self.changed:
            state = task.state
            if state.size is None and task.end == WHOLE:
                check_size(state, task.at)
                state.record.size = task.end = task.at
                state.dirty = True
            self._wake_all()

    def restart(self, state: FileState) -> None:
        """Begin a file anew, in a new file."""
        with self.changed:
            self._restart(state)
            self._wake_all()

    def _restart(self, state: FileState) -> None:
        if state.part is not None:
            self.retired.append(state.part)  # open until the end: a task may still be writing to it
        part = part_path(state.file.path, generation_of(state.record.part) + 1)
        state.record = FileRecord(part, size=state.file.size)
        state.part, state.bound, state.location, state.glanced = None, False, None, False
        state.expected, state.git_sha1, state.committed = state.file.sha256, state.file.git_sha1, 0
        state.tasks.clear()
        self._forget_digest(state)
        state.restarts += 1
        state.dirty = True

    def _forget_digest(self, state: FileState) -> None:
        self.handed -= sum(len(data) for _, data in state.handed)
        state.handed.clear()
        state.handed_to = 0
        state.checks.clear()
        state.new_states.clear()
        state.record.states.clear()
        state.record.frontier, state.record.frontier_state = 0, None
        state.digest, state.verified = Sha256(), None
        state.epoch += 1

    def rehash(self, state: FileState) -> None:
        """Hash a file again from its first byte, as it lies on the disk. The lock is held."""
        self._forget_digest(state)
        state.dirty = True
