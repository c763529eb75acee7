"""What is known of one file of a running transfer, and of one range on its way. The transfer's lock guards both."""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from flowhub_jobs.pieces.digest import Sha256
from flowhub_jobs.transfer.content import Proof
from flowhub_jobs.transfer.partial.journal import FileRecord
from flowhub_jobs.transfer.partial.part_file import PartFile
from flowhub_jobs.transfer.range_forms import WHOLE, RangeForm, range_header
from flowhub_jobs.values.artifacts import ArtifactFile, FileDigest

BUFFER = 256 * 1024  # bytes; a read of the network, a write to the disk
BUFFER_DIRECT = 1 << 20  # the same where the disk is written past the system's cache, which is slow in small steps
UNDERWAY_MAX = 2  # of these that the writer of a transfer has at once
SILENT_S = 2.0  # without a first byte: somebody else takes all of it over
JUDGED_S = 0.5  # sooner, how fast a range begins says nothing of how fast it goes
SHARE_MIN = 4 << 20  # bytes that are worth a request of their own, and what is dropped that was on its way
SHARE_SLOW_MIN, SHARE_SLOW_S = 256 << 10, 4.0  # fewer bytes are, where they take longer than this
CATALOG = "the catalog"


@dataclass(slots=True)
class Check:
    """A piece that a crashed run left: from `before`, its bytes must lead to the digest state `after`."""

    start: int
    end: int
    before: str | None
    after: str
    tries: int = 0


@dataclass(frozen=True, slots=True)
class QueuedChunk:
    """Bytes on their way to the digest, from `begin`, and the buffer that they lie in."""

    begin: int
    data: memoryview
    buffer: memoryview


@dataclass(slots=True, eq=False)
class FileState:
    """One file of a running transfer."""

    number: int
    file: ArtifactFile
    record: FileRecord
    expected: str | None  # sha256: the catalog's, else what the Hub says
    git_sha1: str | None  # likewise, of a small file that has no sha256
    origin: str = ""  # where it is asked first
    said_by: str = CATALOG  # who pinned its digest and its size
    part: PartFile | None = None
    tasks: "list[RangeTask]" = field(default_factory=list)
    bound: bool = False  # an answer of this run has told what the content is
    single: bool = False  # its source knows no ranges: one connection, from the front
    keyless: bool = False  # nothing binds one answer to the next: all in one answer, or from the start
    form: RangeForm = RangeForm.BOUNDED  # how its next range is asked for
    form_faults: int = 0  # in a row, of how ranges were answered
    unconditional: bool = False  # its source does not answer If-Range as it should: the answer's validator is compared
    proof: Proof = Proof.NOTHING  # what will tell that it is the right file
    ended_by_close: bool = False  # its size was told by nothing but the end of the answer
    one_go: str = ""  # why an interruption costs all that is kept of it, for the user
    one_go_told: bool = False
    location: str | None = None  # where the last redirect led
    glanced: bool = False  # its first bytes were of its format
    digest: Sha256 = field(default_factory=Sha256)
    handed: "deque[QueuedChunk]" = field(default_factory=deque)
    handed_to: int = 0  # where the last of them ends
    checks: "deque[Check]" = field(default_factory=deque)
    best: int = 0  # the most bytes that were ever kept of it
    mismatches: int = 0
    restarts: int = 0
    replaced: int = 0  # slow connections
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
    def unhashed(self) -> int:
        """The bytes that lie there for the digest to go on with."""
        return self.record.kept.reach(self.record.frontier) - self.record.frontier

    @property
    def pinned(self) -> bool:
        return self.file.sha256 is not None

    @property
    def pinned_by_digest(self) -> bool:
        return self.file.sha256 is not None or self.file.git_sha1 is not None

    @property
    def alone(self) -> bool:
        """Whether one connection at a time may fetch of it."""
        return self.single or self.keyless or not self.bound or self.form is not RangeForm.BOUNDED

    @property
    def if_range(self) -> str | None:
        """The strong validator that the kept bytes belong to, where nothing better binds them (RFC 9110, 13.1.5)."""
        kind, _, validator = (self.record.identity or "").partition(":")
        usable = kind == "etag" or (kind == "modified" and " ETag " not in validator)
        return validator if usable and self.record.kept.total and not self.unconditional else None


class Body(Protocol):
    """The body of an answer that is being read."""

    def waited_s(self, now: float) -> float:
        """Return the seconds that were spent waiting for bytes; `now` is on the monotonic clock."""
        ...

    def cut(self) -> None:
        """End its connection."""
        ...


@dataclass(slots=True, eq=False)
class RangeTask:
    """A range on its way. Before `at` all is kept; from there to `given`, all is in the hands of who writes it."""

    state: FileState
    start: int
    end: int
    part: PartFile | None = None
    at: int = field(init=False)
    given: int = field(init=False)  # what lies behind it may still be taken over by another
    begun: float = field(default_factory=time.monotonic)
    form: RangeForm = RangeForm.BOUNDED  # how it is asked for
    conditional: bool = False  # with If-Range
    asked_end: int = -1  # where the range ended that was asked for
    sized: bool = False  # its answer told the size of the file
    coded: bool = False  # its answer is decoded
    location: str | None = None  # where it is asked, if not at the file's own address
    answered: bool = False  # its answer was found to be what was asked
    answer_end: int = 0  # where its answer ends; `end` may come nearer while it runs, when another takes the rest
    came: int = 0  # bytes that were read of its answer
    got: int = 0  # bytes that were kept
    body: "Body | None" = None  # what its answer is read with, once it is read
    replaced: bool = False  # its connection was ended for being slow, which is no fault

    def __post_init__(self) -> None:
        self.at = self.given = self.start

    @property
    def alone(self) -> bool:
        """Whether no other connection may fetch of its file."""
        return self.state.alone or self.end == WHOLE

    @property
    def proof(self) -> Proof:
        """What will tell whether its answer is of the right file; a size counts where the answer told it, too."""
        proof = self.state.proof
        return Proof.PUBLISHED if proof is Proof.PUBLISHED_WITH_SIZE and not self.sized else proof

    def ask(self) -> tuple[str | None, str | None]:
        """Return the Range and If-Range headers to ask with, and note that it is asked so. The lock is held."""
        state = self.state
        self.form, self.location, self.asked_end = state.form, state.location, self.end
        header = range_header(self.form, self.start, self.end, state.size)
        condition = state.if_range if header else None
        self.conditional = condition is not None
        return header, condition

    def left_s(self, now: float) -> float:
        """Return the seconds that it will still take, by its speed so far; `now` is on the monotonic clock."""
        spent, left = now - self.begun, self.end - self.given
        if left <= 0:
            return 0.0  # another has all that is left
        if not self.came:
            return 0.0 if spent < SILENT_S else float("inf")
        seconds = left * spent / self.came if spent >= JUDGED_S else 0.0
        return seconds if left > SHARE_MIN or (left > SHARE_SLOW_MIN and seconds > SHARE_SLOW_S) else 0.0

    @property
    def middle(self) -> int:
        """Where what is left is cut in two; at its very place if nothing comes."""
        return self.given + (self.end - self.given) // 2 if self.came else self.given
