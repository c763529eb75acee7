"""What everyone in a running transfer knows: which bytes are kept, on their way, hashed. One lock guards all of it.

Fetchers take tasks from the board and tell it what arrived; the hasher follows the frontier; the committer takes
snapshots for the journal. Nobody reads or writes a disk or a socket while holding the lock.
"""

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from flowhub_jobs.errors import DigestMismatch, SizeMismatch, SourceChanged, WrongRange
from flowhub_jobs.records import Artifact, ArtifactFile, FileDigest
from flowhub_jobs.transfer.digest import Sha256
from flowhub_jobs.transfer.headers import Answer, HubWord
from flowhub_jobs.transfer.journal import FileRecord
from flowhub_jobs.transfer.partial import PartFile, generation_of, part_path
from flowhub_jobs.transfer.plan import MIB, Range, Ranges, next_range, piece_size

FIRST_ASK = 16 * MIB  # of a file whose size nobody told
HANDED_MAX = 32 * MIB  # bytes that wait in memory for the hasher; beyond, it reads them from the disk
RESTARTS_MAX = 2  # for another ETag, before it is no longer believed
WHOLE = 1 << 62  # the end of a file whose size is unknown, where it must be asked for in one go


@dataclass(slots=True)
class Check:
    """A piece that a crashed run left: from `before`, its bytes must lead to the digest state `after`."""

    start: int
    end: int
    before: str | None
    after: str
    tries: int = 0


@dataclass(slots=True, eq=False)
class FileState:
    """One file of a running transfer."""

    number: int
    file: ArtifactFile
    record: FileRecord
    expected: str | None  # sha256: the catalog's, else what the Hub says
    git_sha1: str | None  # likewise, of a small file that has no sha256
    part: PartFile | None = None
    tasks: "list[Task]" = field(default_factory=list)
    bound: bool = False  # an answer of this run has told what the content is
    single: bool = False  # its source knows no ranges: one connection, from the front
    keyless: bool = False  # nothing binds one answer to the next: all in one answer, or from the start
    location: str | None = None  # where the last redirect led
    glanced: bool = False  # its first bytes were of its format
    digest: Sha256 = field(default_factory=Sha256)
    handed: "deque[tuple[int, bytes]]" = field(default_factory=deque)
    checks: "deque[Check]" = field(default_factory=deque)
    best: int = 0  # the most bytes that were ever kept of it
    mismatches: int = 0
    restarts: int = 0
    verified: FileDigest | None = None
    dirty: bool = True
    epoch: int = 0  # how often its digest was begun anew
    new_states: dict[int, str] = field(default_factory=dict)
    committed: int = 0  # bytes that the journal has

    @property
    def size(self) -> int | None:
        return self.record.size

    @property
    def kept_whole(self) -> bool:
        return self.size is not None and self.record.kept.total == self.size

    @property
    def pinned(self) -> bool:
        return self.file.sha256 is not None

    @property
    def if_range(self) -> str | None:
        """The strong ETag that the kept bytes belong to, where nothing better binds them."""
        identity = self.record.identity or ""
        return identity.removeprefix("etag:") if identity.startswith("etag:") and self.record.kept.total else None


@dataclass(slots=True, eq=False)
class Task:
    """A range on its way. `at` is the next byte to keep."""

    state: FileState
    start: int
    end: int
    part: PartFile
    at: int = 0
    begun: float = field(default_factory=time.monotonic)
    head: bytes = b""
    got: int = 0


class Board:
    def __init__(self, artifact: Artifact, folder: Path) -> None:
        self.artifact, self.folder = artifact, folder
        self.changed = threading.Condition()
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

    # What the whole knows ------------------------------------------------------------------------------------------

    @property
    def active(self) -> int:
        return sum(len(state.tasks) for state in self.files)

    @property
    def done(self) -> bool:
        return all(state.verified for state in self.files)

    def end(self, error: BaseException | None = None) -> None:
        """End the transfer for everyone; the first error is the one that is told."""
        with self.changed:
            self.error = self.error or error
            self.over = True
            self.changed.notify_all()

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
            self.changed.notify_all()

    def arrived(self, task: Task, data: bytes) -> None:
        """Note that `data` lies at the task's place, and hand it to the hasher."""
        with self.changed:
            state = task.state
            if task.part is not state.part:
                raise SourceChanged(f"{state.file.path} was begun anew meanwhile.")
            begin, task.at = task.at, task.at + len(data)
            state.record.kept.add(begin, task.at)
            self.fetched += len(data)
            self.unsynced += len(data)
            if state.record.kept.total > state.best:
                state.best = state.record.kept.total
                self.faults = 0  # a byte that no try had before: the budget is fresh
            task.got += len(data)
            state.dirty = True
            expected_next = state.handed[-1][0] + len(state.handed[-1][1]) if state.handed else state.record.frontier
            if begin == expected_next and self.handed + len(data) <= HANDED_MAX:
                state.handed.append((begin, data))
                self.handed += len(data)
            self.changed.notify_all()

    # What a file is ------------------------------------------------------------------------------------------------

    def hear(self, state: FileState, hub: HubWord) -> None:
        """Hold the Hub's word against the catalog, before its redirect is followed. Raises as `bind` does."""
        with self.changed:
            self._check_digest(state, hub)
            self._check_size(state, hub.size)

    def bind(self, task: Task, answer: Answer, hub: HubWord | None, location: str | None) -> None:
        """Hold an answer against what is known of the file, before a byte of it is written.

        Raises SizeMismatch and DigestMismatch where the catalog is contradicted, SourceChanged where the content is
        another one than that of the kept bytes: then the file is begun anew.
        """
        with self.changed:
            state = task.state
            if task.part is not state.part:
                raise SourceChanged(f"{state.file.path} was begun anew meanwhile.")
            total = hub.size if hub and hub.size is not None else answer.total
            self._check_digest(state, hub)
            self._check_size(state, total)
            known = state.record.identity
            identity = known if answer.end == answer.start else identity_of(state, answer, hub)
            if state.record.kept.total and (identity != known or self._resized(state, total)):
                self._restart(state)
                raise SourceChanged(f"{state.file.path}: the file behind the address is another one now.")
            if answer.end == answer.start and total != answer.start:
                raise WrongRange(
                    f"{state.file.path}: its source says that it ends at byte {total}, not {answer.start}."
                )
            in_one_go = state.keyless
            self._accept(state, answer, total, identity, location)
            if answer.whole:
                self._take_whole(state, task, total)
            elif answer.end is not None:
                task.end = min(task.end, answer.end)
            if state.keyless and task.end < (WHOLE if total is None else total):
                if in_one_go:  # asked for, and not given: that would be asked for ever
                    raise WrongRange(f"{state.file.path} comes only in parts, and nothing tells its versions apart.")
                raise SourceChanged(f"{state.file.path}: nothing tells its versions apart; it is asked for in one go.")
            self.changed.notify_all()

    def _check_digest(self, state: FileState, hub: HubWord | None) -> None:
        if hub is None:
            return  # asked where the Hub's word led: what it said holds
        said = hub.sha256
        if said and state.file.sha256 and said != state.file.sha256:
            raise DigestMismatch(
                f"{state.file.path}: the source disagrees with the catalog, which pins sha256 {state.file.sha256}; "
                f"the source has {said}.",
                hint="The file was replaced at its source, or the catalog's entry is wrong: update the catalog.",
            )
        state.expected = state.file.sha256 or said
        state.git_sha1 = state.file.git_sha1 or hub.git_sha1

    def _check_size(self, state: FileState, total: int | None) -> None:
        if total is not None and state.file.size is not None and total != state.file.size:
            raise SizeMismatch(
                f"{state.file.path}: the catalog says {state.file.size} bytes, the source has {total} bytes."
            )

    @staticmethod
    def _resized(state: FileState, total: int | None) -> bool:
        return total is not None and state.size is not None and total != state.size

    def _accept(
        self, state: FileState, answer: Answer, total: int | None, identity: str | None, location: str | None
    ) -> None:
        record = state.record
        if total is not None and record.size is None:
            record.size = total
        record.piece = record.piece or piece_size(record.size)
        record.identity = identity
        state.single = state.single or answer.whole
        state.keyless = identity is None
        state.bound, state.dirty = True, True
        if location is not None:
            state.location = location

    @staticmethod
    def _take_whole(state: FileState, task: Task, total: int | None) -> None:
        """A 200 to a range: the kept front is skipped over, not written again; what is behind a gap comes anew."""
        state.record.kept.remove(task.start, WHOLE)
        size = state.size if total is None else total
        task.end = WHOLE if size is None else size

    def learn_end(self, task: Task) -> None:
        """Note that an answer without a length has ended: its end is the file's."""
        with self.changed:
            state = task.state
            if state.size is None and task.end == WHOLE:
                self._check_size(state, task.at)
                state.record.size = task.end = task.at
                state.dirty = True
            self.changed.notify_all()

    def restart(self, state: FileState) -> None:
        """Begin a file anew, in a new file."""
        with self.changed:
            self._restart(state)
            self.changed.notify_all()

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


def identity_of(state: FileState, answer: Answer, hub: HubWord | None) -> str | None:
    """Return what binds the bytes to one content, the strongest first; None if nothing does (DESIGN, section 6)."""
    if state.expected is not None:
        return f"sha256:{state.expected}"
    if state.git_sha1 is not None:
        return f"git:{state.git_sha1}"
    if hub is not None and hub.commit is not None:
        return f"commit:{hub.commit}/{state.file.path}"
    known = state.record.identity or ""
    if state.location is not None and known.startswith("commit:"):
        return known  # asked at the CDN, where the Hub's word led; its own ETag is worth nothing
    if state.restarts > RESTARTS_MAX or answer.etag is None:
        return None  # an ETag that changes with every answer binds nothing either
    return f"etag:{answer.etag}"
