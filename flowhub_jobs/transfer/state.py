"""What everyone in a running transfer knows: which bytes are kept, on their way, hashed. One lock guards all changes.

Fetchers take tasks from the transfer, and claim what they write; they or the writer tell it what arrived; the hasher
follows the frontier; the committer takes snapshots for the journal. Nobody waits for a disk or a socket while holding
the lock. A number may be looked at without it where an older one does no harm.
"""

import threading
import time
from pathlib import Path

from flowhub_jobs.errors import FlowhubError, SourceChanged
from flowhub_jobs.net.urls import origin_asked
from flowhub_jobs.pieces.digest import Sha256
from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.transfer.answer_checks import (
    check_condition,
    check_decoded,
    check_end,
    check_inside,
    check_not_a_part,
    why_in_one_go,
)
from flowhub_jobs.transfer.concurrency import Flow
from flowhub_jobs.transfer.file_state import FileState, RangeTask
from flowhub_jobs.transfer.hash_queue import HashQueue
from flowhub_jobs.transfer.http.headers import HubMetadata, RangeAnswer
from flowhub_jobs.transfer.identity import (
    RESTARTS_MAX,
    accept,
    check_hub_metadata,
    check_size,
    is_another_version,
    proof_of,
)
from flowhub_jobs.transfer.partial.journal import FileRecord
from flowhub_jobs.transfer.partial.part_file import PartFile, generation_of, part_path
from flowhub_jobs.transfer.range_forms import WHOLE
from flowhub_jobs.transfer.retry import PriorFaults
from flowhub_jobs.values.artifacts import Artifact, FileDigest
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import Note

HASHER_S = 1.0  # as long as it may be busy with something else
COMMIT_AT = 24 * MIB  # unsynced bytes for which the committer is woken before its time
ONE_GO_MIN = 64 * MIB  # a smaller file is soon fetched again
COMMIT_AT_FILES, OPEN_FILES_MAX = 64, 128  # the same of verified files whose parts are open; a Mac gives a process 256


class TransferState:
    def __init__(self, artifact: Artifact, folder: Path, hub_endpoint: str) -> None:
        self.artifact, self.folder, self._hub_endpoint = artifact, folder, hub_endpoint
        lock = threading.RLock()
        self.changed = threading.Condition(lock)  # for the fetchers: a range may be there for them, or room
        self.hiring = threading.Condition(lock)  # for the fetchers that are too many for now
        self.fresh = threading.Condition(lock)  # for the hasher, which is woken by every chunk
        self.due = threading.Condition(lock)  # for the committer and the watching thread: it is their turn, or the end
        self.files: list[FileState] = []
        self.wanting: dict[int, FileState] = {}  # those of which bytes are missing
        self.tasks: list[RangeTask] = []
        self.hash_queue = HashQueue()
        self.verified = 0
        self.outrun = False  # by the line, the digest
        self.starved = 0  # fetchers that wait for the hasher
        self.retired: list[PartFile] = []
        self.finished: list[FileState] = []  # verified, their parts still open
        self.fetched = 0
        self.fetched_before = 0  # by earlier attempts
        self.fetched_committed = 0
        self.unsynced = 0
        self.faults = 0  # since the last byte that no try had before
        self.fruitless_s = 0.0  # likewise, the seconds of earlier attempts and of their waits
        self.one_try = False  # no fault is waited out here: this run tries the host for all that wait for it
        self.gained_at = time.monotonic()  # when that byte came, else when this attempt began
        self.connections = 1
        self.trying = False  # more of them than are known to be of use: they get short ranges
        self.rate = 0.0
        self.notes: list[Note] = []  # what healed by itself, for the person
        self.error: BaseException | None = None
        self.over = False
        self.over_at = 0.0
        self.abandoned = False  # a fetcher hangs where it cannot be reached, and may still hold a part

    def add(self, state: FileState) -> None:
        """Take a file in, before anybody works."""
        state.origin = origin_asked(state.file.url, self._hub_endpoint)
        state.proof = proof_of(state, published=self.artifact.option is not None or self.artifact.hub is not None)
        if self.artifact.option is None:  # an address, or a repository, with a digest
            state.said_by = "what was asked for"
        self.files.append(state)
        self._look_again(state)

    def _look_again(self, state: FileState) -> None:
        """Note that bytes of a file may be missing, and that there may be something to hash in it."""
        self.hash_queue.look_at(state)
        if state.kept_whole:
            self.wanting.pop(state.number, None)
        else:
            self.wanting[state.number] = state

    # What the whole knows ------------------------------------------------------------------------------------------

    @property
    def origins(self) -> set[str]:
        """Where what is missing is asked. The lock is held."""
        return {state.origin for state in self.wanting.values()}

    @property
    def fetched_now(self) -> int:
        """The bytes that this attempt has fetched."""
        return self.fetched - self.fetched_before

    def fruitless(self) -> PriorFaults:
        """Return the tries since the last new byte. The lock is held."""
        return PriorFaults(self.faults, self.fruitless_s + time.monotonic() - self.gained_at)

    @property
    def active(self) -> int:
        return len(self.tasks)

    @property
    def done(self) -> bool:
        return self.verified == len(self.files)

    def flow(self, at: float) -> Flow:
        """Return how it flows at the time `at`. The lock is held."""
        flowing = sum(task.got > 0 for task in self.tasks)
        return Flow(at, self.fetched, flowing, self.outrun, digest_bps=self.hash_queue.rate)

    def _wake_workers(self) -> None:
        self.changed.notify_all()
        self.fresh.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """End the transfer for everyone; the first error is the one that is told."""
        with self.changed:
            self.error = self.error or error
            if not self.over:
                self.over, self.over_at = True, time.monotonic()
            self._wake_workers()
            self.hiring.notify_all()
            self.due.notify_all()

    def to_close(self) -> list[FileState]:
        """Return the verified files that nobody reads or writes any more, once they are synced. The lock is held."""
        return [state for state in self.finished if not state.tasks]

    def wait_to_open(self) -> None:
        """Wait until one more part may be opened: those of verified files are closed after the next commit."""
        if len(self.finished) < OPEN_FILES_MAX:
            return
        with self.changed:
            self.changed.wait_for(lambda: self.over or len(self.finished) < OPEN_FILES_MAX)

    def close_finished(self) -> None:
        """Close the parts of verified and synced files, which nobody is at."""
        with self.changed:
            before, still = self.finished, []
            for state in before:
                if state.tasks or state.dirty:
                    still.append(state)
                elif state.part is not None:
                    state.part.close()
            self.finished = still
            if len(still) < len(before):
                self.changed.notify_all()  # who waits to open one

    def close(self) -> None:
        """Close every part, unless somebody who hangs could still write to it: its descriptor must stay its own."""
        if not self.abandoned:
            for part in [*self.retired, *(state.part for state in self.files if state.part)]:
                part.close()

    # Tasks ---------------------------------------------------------------------------------------------------------

    def begin(self, task: RangeTask) -> RangeTask:
        """Note that a range is on its way. The lock is held."""
        task.state.tasks.append(task)
        self.tasks.append(task)
        return task

    def open_part(self, task: RangeTask) -> None:
        """Make the file that a task's bytes go to, if it is the first of its file: then it is alone, not bound yet."""
        if task.part is not None:
            return
        part = PartFile(self.folder, task.state.record.part, new=True)
        with self.changed:
            if task in task.state.tasks:
                task.state.part = task.part = part
                return
        part.close()
        raise SourceChanged(f"{task.state.file.path} was started again.")

    def put_back(self, task: RangeTask) -> None:
        """Give a range back that nobody has begun with."""
        with self.changed:
            for tasks in (task.state.tasks, self.tasks):
                if task in tasks:
                    tasks.remove(task)

    def release(self, task: RangeTask) -> None:
        """End a task, and tell everybody: what it did not fetch is somebody's."""
        with self.changed:
            self.put_back(task)
            self._wake_workers()

    def wait_for_hasher(self, task: RangeTask, count: int) -> None:
        """Wait while the digest is too far behind to take `count` bytes more: it would have to read them again."""
        if self.hash_queue.has_room(count) or not self.hash_queue.is_next(task.state, task.at):
            return
        with self.changed:
            self.starved += 1
            self.changed.wait_for(lambda: self.over or self.hash_queue.has_room(count), HASHER_S)
            self.starved -= 1

    def claim(self, task: RangeTask, count: int) -> int:
        """Return how many of the next `count` bytes are a task's to write; the rest was taken over by another.

        No byte is written twice: the second time, what lies on the disk would not be what was hashed.
        """
        with self.changed:
            mine = max(0, min(count, task.end - task.given))
            task.given += mine
            return mine

    def arrived(self, task: RangeTask, data: memoryview, buffer: memoryview) -> bool:
        """Note that `data`, which lies in `buffer`, was written at the task's place.

        Returns whether the buffer is the hasher's now.
        """
        with self.changed:
            state, count = task.state, len(data)
            self._check_current(task)
            begin, task.at = task.at, task.at + count
            task.got += count
            state.record.kept.add(begin, task.at)
            self.fetched += count
            self.unsynced += count
            if state.record.kept.total > state.best:
                state.best = state.record.kept.total
                self.faults, self.fruitless_s, self.gained_at = 0, 0.0, time.monotonic()
            state.dirty = True
            if state.one_go:
                self._tell_one_go(state)
            if state.kept_whole:
                self.wanting.pop(state.number, None)
            handed = self.hash_queue.hand(state, begin, data, buffer)
            self.hash_queue.look_at(state)
            self.fresh.notify()
            if self.unsynced >= COMMIT_AT > self.unsynced - count:
                self.due.notify_all()
            return handed

    # What a file is ------------------------------------------------------------------------------------------------

    def hear(self, state: FileState, hub: HubMetadata) -> None:
        """Hold the Hub's word against the catalog, before its redirect is followed. Raises as `bind` does."""
        with self.changed:
            check_hub_metadata(state, hub)

    def bind(self, task: RangeTask, answer: RangeAnswer, hub: HubMetadata | None, location: str | None) -> None:
        """Hold an answer against what is known of the file, before a byte of it is written.

        Raises SizeMismatch and DigestMismatch where the catalog is contradicted, SourceChanged where the content is
        another one than that of the kept bytes: then the file is begun anew.
        """
        with self.changed:
            state = task.state
            self._check_current(task)
            if hub is not None:  # None: asked where the Hub's word led, and what it said holds
                check_hub_metadata(state, hub)
            check_not_a_part(task, answer)
            check_size(state, answer.total)
            check_condition(task, answer, hub)
            if is_another_version(state, answer, hub):
                self.restart(state)
                raise SourceChanged(f"{state.file.path}: the file behind the address is another one now.")
            check_inside(task, answer)
            accept(task, answer, hub, location)
            task.answered, task.sized, task.coded = True, answer.total is not None, answer.coding is not None
            state.one_go = why_in_one_go(state, answer)
            if state.one_go:
                self._tell_one_go(state)
            self._look_again(state)  # its size may be known now
            self._wake_workers()

    def note_another_form(self, task: RangeTask, error: FlowhubError) -> None:
        """Note that a file is asked for in another form after a fault. The lock is held."""
        self.faults += error.retryable  # one of the tries that a source has which never sends the right bytes
        path = task.state.file.path
        about = "" if path in error.message else f"{path}: "
        text = f"{about}{error.message} flowhub asks for it in another form."
        self.notes.append(Note(EventKind.AGAIN, text, error.code))

    def _tell_one_go(self, state: FileState) -> None:
        """Tell the user, once a run, that an interruption costs all of a large file, known to be so or not."""
        if not state.one_go_told and (state.size or state.record.kept.total) >= ONE_GO_MIN:
            state.one_go_told = True
            self.notes.append(Note(EventKind.NO_RESUME, state.one_go))

    @staticmethod
    def _check_current(task: RangeTask) -> None:
        if task not in task.state.tasks:
            raise SourceChanged(f"{task.state.file.path} was started again.")

    def learn_end(self, task: RangeTask) -> None:
        """Note that an answer without a length has ended: its end is the file's."""
        with self.changed:
            state = task.state
            if task.at < task.end:
                check_end(task)
                if task.coded:
                    check_decoded(task)
            if state.size is None and task.end == WHOLE:
                check_size(state, task.at)
                state.ended_by_close = True
                state.record.size = task.end = task.at
                state.dirty = True
                self._look_again(state)
            state.form_faults = 0
            self._wake_workers()

    def drop_decoded(self, task: RangeTask) -> None:
        """Drop what was decoded from a damaged body: it would be the front of the next answer. The lock is held."""
        if task in task.state.tasks:
            self.restart(task.state)

    def restart(self, state: FileState) -> None:
        """Begin a file anew, in a new file. The lock is held."""
        if state.part is not None:
            self.retired.append(state.part)  # open until the end: a task may still be writing to it
        part = part_path(state.file.path, generation_of(state.record.part) + 1)
        state.record = FileRecord(part, size=state.file.size)
        state.part, state.bound, state.location, state.glanced = None, False, None, False
        state.unconditional = False
        state.expected, state.git_sha1, state.committed = state.file.sha256, state.file.git_sha1, 0
        self.tasks = [task for task in self.tasks if task not in state.tasks]
        state.tasks.clear()
        self._forget_digest(state)
        state.restarts += 1
        if not state.keyless and state.restarts <= RESTARTS_MAX:
            state.best = 0  # each byte is a new one again; not for ever, of a source that has another file for each try
        state.dirty = True
        self._look_again(state)
        self._wake_workers()

    def _forget_digest(self, state: FileState) -> None:
        self.hash_queue.forget(state)
        state.checks.clear()
        state.new_states.clear()
        state.record.states.clear()
        state.record.frontier, state.record.frontier_state = 0, None
        self.verified -= state.verified is not None
        self.finished = [other for other in self.finished if other is not state]
        state.digest, state.verified = Sha256(), None
        state.epoch += 1

    def rehash(self, state: FileState) -> None:
        """Hash a file again from its first byte, as it lies on the disk. The lock is held."""
        self._forget_digest(state)
        state.dirty = True
        self._look_again(state)

    def lost(self, state: FileState, start: int, end: int) -> None:
        """Note that bytes of a file are not what they should be: they are fetched again. The lock is held."""
        state.record.kept.remove(start, end)
        state.best = min(state.best, state.record.kept.total)
        state.dirty = True
        self._look_again(state)
        self._wake_workers()

    def found_right(self, state: FileState, digest: FileDigest) -> None:
        """Note that all of a file is there and right. The lock is held."""
        state.verified = digest
        self.verified += 1
        self.finished.append(state)
        if len(self.finished) == COMMIT_AT_FILES:
            self.due.notify_all()
        self.hash_queue.look_away(state)
        if self.done:
            self.due.notify_all()
