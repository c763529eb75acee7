"""Shared state of a running transfer: which bytes are kept, in flight, hashed. One lock guards all changes.

Fetchers take tasks, claim the bytes that they write, and report what was written, or the writer does. The hasher
follows each file's frontier, the committer takes snapshots for the journal. No thread waits for a disk or a socket
while it holds the lock. A method whose name ends in `_locked` requires the lock; every other method takes it itself (it
is reentrant). A number may be read without it where an older value does no harm.
"""

import threading
import time
from collections import Counter
from pathlib import Path

from flowhub_jobs.errors import SourceChanged
from flowhub_jobs.net.urls import request_origin
from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.pieces.resumable_sha256 import Sha256
from flowhub_jobs.transfer.concurrency import TransferSample
from flowhub_jobs.transfer.file_state import AddressState, FileState, Probe, RangeTask
from flowhub_jobs.transfer.hash_queue import HashQueue
from flowhub_jobs.transfer.identity_check import RESTARTS_MAX, proof_of
from flowhub_jobs.transfer.mirror_choice import NO_MIRRORS, Mirrors
from flowhub_jobs.transfer.partial.bytes_by_mirror import note_bytes_of_mirror
from flowhub_jobs.transfer.partial.journal import FileRecord
from flowhub_jobs.transfer.partial.part_file import PartFile, generation_of, part_path
from flowhub_jobs.transfer.retry import PriorFaults
from flowhub_jobs.values.artifacts import Artifact, FileDigest
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import NewEvent

HASHER_S = 1.0  # A fetcher waits no longer for the hasher, which may be busy with another file.
COMMIT_AT = 24 * MIB  # This many unsynced bytes wake the committer before its period is over.
NO_RESUME_MIN = 64 * MIB  # A smaller file is soon fetched again.
COMMIT_AT_FILES = 64  # This many verified files with open parts wake the committer.
OPEN_FILES_MAX = 128  # With this many, no other part is opened: a Mac allows a process 256 descriptors.


class TransferState:
    """The state of one transfer. `changed` is the lock; the other conditions share it."""

    def __init__(self, artifact: Artifact, folder: Path, hub_endpoint: str, mirrors: Mirrors = NO_MIRRORS) -> None:
        self.artifact, self.folder, self._hub_endpoint, self._mirrors = artifact, folder, hub_endpoint, mirrors
        lock = threading.RLock()
        self.changed = threading.Condition(lock)  # wakes fetchers: there may be a range, or room for bytes
        self.pool_resized = threading.Condition(lock)  # wakes surplus fetchers
        self.hash_ready = threading.Condition(lock)  # wakes the hasher, with every chunk
        self.commit_due = threading.Condition(lock)  # wakes the committer and the watching thread
        self.files: list[FileState] = []
        self.incomplete: dict[int, FileState] = {}  # files with missing bytes, by number
        self.tasks: list[RangeTask] = []
        self.hash_queue = HashQueue()
        self.verified = 0  # files
        self.hash_bound = False  # the network is faster than the digest: no new range is started
        self.waiting_for_hash = 0  # fetchers that wait for the hasher
        self.retired_parts: list[PartFile] = []  # of files that started over
        self.verified_open: list[FileState] = []  # verified files whose parts are still open
        self.fetched = 0  # bytes, with those of earlier attempts
        self.fetched_before = 0  # by earlier attempts
        self.fetched_by_origin: Counter[str] = Counter()  # `fetched` by the origin that sent it
        self.fetched_committed = 0  # as the journal has it
        self.fetched_by_origin_committed: dict[str, int] = {}
        self.unsynced = 0  # bytes written since the last commit
        # Progress is a byte that no try had before. Faults, and the seconds that earlier attempts spent, since then:
        self.faults = 0
        self.no_progress_s = 0.0
        self.progress_at = time.monotonic()  # the last progress, else the start of this attempt
        self.one_try = False  # no fault is waited out: this run tries the host for all jobs that wait for it
        self.connections = 1
        self.probing = False  # more connections than are known to help: they get short ranges
        self.rate_bps = 0.0
        self.notes: list[NewEvent] = []  # events for the job's history
        self.bad_mirrors: set[str] = set()  # mirrors that sent wrong bytes
        self.probe: Probe | None = None  # a measurement that is wanted, or under way
        # By origin, of the addresses that give bytes concurrently with the current one: how many connections each has,
        # and the bytes a second of one connection.
        self.extra_connections: dict[str, int] = {}
        self.connection_bps: dict[str, float] = {}
        self.error: BaseException | None = None
        self.ended = False
        self.ended_at = 0.0
        self.fetcher_hung = False  # a fetcher could not be joined and may still use a part

    def add(self, state: FileState) -> None:
        """Add a file, before the threads start."""
        state.addresses = tuple(
            AddressState(address, request_origin(address.url, self._hub_endpoint))
            for address in self._mirrors.addresses(state.file.url, state.file.sha256)
        )
        state.current_address = next(address for address in state.addresses if not address.mirror)
        published = self.artifact.option is not None or self.artifact.hub is not None
        state.identity.proof = proof_of(state, published=published)
        if self.artifact.option is None:  # a URL, or a repository, with a digest
            state.identity.pinned_by = "what was asked for"
        self.files.append(state)
        self.file_changed_locked(state)

    def file_changed_locked(self, state: FileState) -> None:
        """Update what is derived from a file: whether it is complete, and whether the hasher should look at it."""
        self.hash_queue.mark_ready(state)
        if state.complete:
            self.incomplete.pop(state.number, None)
        else:
            self.incomplete[state.number] = state

    # The whole transfer --------------------------------------------------------------------------------------------

    @property
    def origins_locked(self) -> set[str]:
        """The origins of the incomplete files."""
        return {state.current_address.origin for state in self.incomplete.values()}

    @property
    def fetched_now(self) -> int:
        """The bytes that this attempt has fetched."""
        return self.fetched - self.fetched_before

    def prior_faults_locked(self) -> PriorFaults:
        """Return the faults since the last progress, and the seconds that passed."""
        return PriorFaults(self.faults, self.no_progress_s + time.monotonic() - self.progress_at)

    @property
    def active(self) -> int:
        return len(self.tasks)

    @property
    def done(self) -> bool:
        return self.verified == len(self.files)

    def sample_locked(self, at: float) -> TransferSample:
        """Return what `concurrency` needs to know, at the time `at`."""
        flowing = sum(task.bytes_written > 0 for task in self.tasks)
        return TransferSample(at, self.fetched, flowing, self.hash_bound, digest_bps=self.hash_queue.rate_bps)

    def wake_workers_locked(self) -> None:
        """Wake the fetchers and the hasher."""
        self.changed.notify_all()
        self.hash_ready.notify_all()

    def end(self, error: BaseException | None = None) -> None:
        """End the transfer for all threads. The first error is the one that `fetch` raises."""
        with self.changed:
            self.error = self.error or error
            if not self.ended:
                self.ended, self.ended_at = True, time.monotonic()
            self.wake_workers_locked()
            self.pool_resized.notify_all()
            self.commit_due.notify_all()

    def close(self) -> None:
        """Close every part.

        Not while a hung fetcher may still write to one: the number of a closed descriptor may be another file's by
        then, and the late bytes would go into that file.
        """
        if not self.fetcher_hung:
            for part in [*self.retired_parts, *(state.disk.part for state in self.files if state.disk.part)]:
                part.close()

    # Tasks ---------------------------------------------------------------------------------------------------------

    def start_locked(self, task: RangeTask, address: AddressState | None = None) -> RangeTask:
        """Record that a range is in flight from `source`, or from the address that the file uses now."""
        task.address = address or task.state.current_address
        task.state.tasks.append(task)
        self.tasks.append(task)
        return task

    def withdraw(self, task: RangeTask) -> None:
        """Record that a range is no longer in flight. It wakes no thread."""
        with self.changed:
            task.ended_at = time.monotonic()
            for tasks in (task.state.tasks, self.tasks):
                if task in tasks:
                    tasks.remove(task)

    def release(self, task: RangeTask) -> None:
        """End a task and wake all fetchers: another one can fetch the rest of its range."""
        with self.changed:
            self.withdraw(task)
            self.wake_workers_locked()

    @staticmethod
    def check_current_locked(task: RangeTask) -> None:
        """Raise SourceChanged if the task's file started over."""
        if task not in task.state.tasks:
            raise started_over(task)

    def wait_for_hasher(self, task: RangeTask, count: int) -> None:
        """Wait while the hash queue has no room for `count` bytes: the hasher would have to read them from the disk."""
        if self.hash_queue.has_room(count) or not self.hash_queue.is_next(task.state, task.written_to):
            return
        with self.changed:
            self.waiting_for_hash += 1
            self.changed.wait_for(lambda: self.ended or self.hash_queue.has_room(count), HASHER_S)
            self.waiting_for_hash -= 1

    def reserve(self, task: RangeTask, count: int) -> int:
        """Return how many of the next `count` bytes the task may write; another task has taken over the rest.

        No byte is written twice. A response with other bytes could otherwise overwrite bytes that are hashed already,
        and the digest would no longer describe what is on the disk.
        """
        with self.changed:
            granted = max(0, min(count, task.end - task.reserved_to))
            task.reserved_to += granted
            return granted

    def note_written(self, task: RangeTask, data: memoryview, buffer: memoryview) -> bool:
        """Record that `data`, which is part of `buffer`, was written at `task.written_to`.

        Returns whether the hash queue has taken the buffer. Raises SourceChanged if the file started over.
        """
        with self.changed:
            state, count = task.state, len(data)
            self.check_current_locked(task)
            begin, task.written_to = task.written_to, task.written_to + count
            task.bytes_written += count
            state.record.kept.add(begin, task.written_to)
            self.fetched += count
            self.fetched_by_origin[task.address.name] += count
            note_bytes_of_mirror(state.record, task.address.mirror, begin, task.written_to)
            self.unsynced += count
            disk = state.disk
            if state.record.kept.total > disk.most_kept:
                disk.most_kept = state.record.most_kept = state.record.kept.total
                self.faults, self.no_progress_s, self.progress_at = 0, 0.0, time.monotonic()
            disk.dirty = True
            if task.address.no_resume_reason:
                self.note_no_resume_locked(task)
            if state.complete:
                self.incomplete.pop(state.number, None)
            queued = self.hash_queue.offer(state, begin, data, buffer)
            self.hash_queue.mark_ready(state)
            self.hash_ready.notify()
            if self.unsynced >= COMMIT_AT > self.unsynced - count:
                self.commit_due.notify_all()
            return queued

    def note_no_resume_locked(self, task: RangeTask) -> None:
        """Add the event, once a run, that an interruption costs all of a large file."""
        state, address = task.state, task.address
        if not address.no_resume_noted and (state.size or state.record.kept.total) >= NO_RESUME_MIN:
            address.no_resume_noted = True
            self.notes.append(NewEvent(EventKind.NO_RESUME, address.no_resume_reason))

    # A file --------------------------------------------------------------------------------------------------------

    def restart_locked(self, state: FileState) -> None:
        """Start a file over, in a new part.

        The old part is never truncated: a fetcher or the writer may be writing to it at this moment, and would put the
        old version's bytes into the new one. It stays open and is removed by the committer once no journal names it.
        A task of the old part finds out in `check_current_locked`.
        """
        if state.disk.part is not None:
            self.retired_parts.append(state.disk.part)
        part = part_path(state.file.path, generation_of(state.record.part) + 1)
        state.restarts += 1
        state.record = FileRecord(
            part, size=state.file.size, bad_mirrors=state.record.bad_mirrors, restarts=state.restarts
        )
        state.disk.part, state.disk.committed = None, 0
        identity = state.identity
        identity.expected_sha256, identity.expected_git_sha1 = state.file.sha256, state.file.git_sha1
        identity.identified = identity.head_checked = False
        for address in state.addresses:
            address.location, address.ignores_if_range = None, False
        self.tasks = [task for task in self.tasks if task not in state.tasks]
        state.tasks.clear()
        self._restart_digest_locked(state)
        # Each byte counts as progress again. Not for ever: a source may have another version for each try.
        if not state.current_address.no_validator and state.restarts <= RESTARTS_MAX:
            state.disk.most_kept = 0
        state.record.most_kept = state.disk.most_kept
        state.disk.dirty = True
        self.file_changed_locked(state)
        self.wake_workers_locked()

    def _restart_digest_locked(self, state: FileState) -> None:
        digest = state.digest
        self.hash_queue.clear(state)
        digest.checks.clear()
        digest.new_states.clear()
        state.record.states.clear()
        state.record.frontier, state.record.frontier_state = 0, None
        self.verified -= digest.verified is not None
        self.verified_open = [other for other in self.verified_open if other is not state]
        digest.running, digest.verified = Sha256(), None
        digest.epoch += 1

    def rehash_locked(self, state: FileState) -> None:
        """Hash a file again from its first byte, from the disk."""
        self._restart_digest_locked(state)
        state.disk.dirty = True
        self.file_changed_locked(state)

    def discard_locked(self, state: FileState, start: int, end: int) -> None:
        """Record that bytes of a file are wrong or missing: they are fetched again."""
        state.record.kept.remove(start, end)
        state.disk.most_kept = min(state.disk.most_kept, state.record.kept.total)
        state.disk.dirty = True
        self.file_changed_locked(state)
        self.wake_workers_locked()

    def mark_verified_locked(self, state: FileState, digest: FileDigest) -> None:
        """Record that a file is complete and its digest is right."""
        state.digest.verified = digest
        self.verified += 1
        self.verified_open.append(state)
        if len(self.verified_open) == COMMIT_AT_FILES:
            self.commit_due.notify_all()
        self.hash_queue.mark_idle(state)
        if self.done:
            self.commit_due.notify_all()


def started_over(task: RangeTask) -> SourceChanged:
    """Return the error for a task whose file started over: its bytes belong to a retired part."""
    return SourceChanged("the download was started over.", path=task.state.file.path)
