"""State of one file of a running transfer, and of one range in flight. The transfer's lock guards both.

The fields of a file are grouped by the thread that writes them:

    identity   what content the file must have     a fetcher, when it checks a response
    addresses  the file's addresses, in order, and how each serves it; `current_address` is the one in use
                                                   a fetcher, when it checks a response or handles a fault
    disk       which bytes are written             fetchers and the writer; the committer clears `dirty` and sets
                                                   `committed`
    digest     how far the file is hashed          the hasher; fetchers and the writer add to `queued` (`HashQueue`)
    record     what the journal will say           fetchers and the writer: `kept`; the hasher: `frontier`, `states`;
                                                   a fetcher, when it checks a response: `size`, `identity`

`TransferState.restart_locked` alone resets all of them.
"""

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Protocol

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.net.urls import shown_origin
from flowhub_jobs.pieces.resumable_sha256 import Sha256
from flowhub_jobs.transfer.first_bytes_check import Proof
from flowhub_jobs.transfer.mirror_choice import NOWHERE, UNTRIED, Address, AddressHealth
from flowhub_jobs.transfer.partial.journal import FileRecord
from flowhub_jobs.transfer.partial.part_file import PartFile
from flowhub_jobs.transfer.range_forms import WHOLE, RangeForm, range_header
from flowhub_jobs.values.artifacts import ArtifactFile, FileDigest

BUFFER = 256 * 1024  # This many bytes are read from the network and written to the disk at a time.
BUFFER_DIRECT = 1 << 20  # The same for direct I/O, which is slow in small steps.
PENDING_WRITES_MAX = 2  # The writer of a transfer holds this many buffers at once.
SILENT_S = 2.0  # Another connection takes over the whole range if no byte came for this long.
JUDGED_S = 0.5  # The rate of a younger connection is not known well enough.
SHARE_MIN = 4 << 20  # More bytes than this are worth a request of their own.
SHARE_SLOW_MIN = 256 << 10  # So are more than this, if they take longer than SHARE_SLOW_S.
SHARE_SLOW_S = 4.0
CATALOG = "the catalog"


@dataclass(slots=True)
class PieceCheck:
    """A piece that a crashed run left: hashing it from the state `before` must give the state `after`."""

    start: int
    end: int
    before: str | None
    after: str
    tries: int = 0


@dataclass(frozen=True, slots=True)
class QueuedChunk:
    """Bytes that wait for the hasher: they begin at `offset` of the file, and are part of `buffer`."""

    offset: int
    data: memoryview
    buffer: memoryview


@dataclass(slots=True)
class Identity:
    """The content that the file must have."""

    expected_sha256: str | None  # the catalog's, else the Hub's
    expected_git_sha1: str | None  # the same, for a small file that has no sha256
    commit: str | None = None  # of the Hub's repository, 40 hex digits
    pinned_by: str = CATALOG  # names the origin of the pinned digest and size in messages
    proof: Proof = Proof.NOTHING  # what will show that it is the right file
    identified: bool = False  # a response of this run has shown which content the address has
    head_checked: bool = False  # the first bytes suit the file's format


@dataclass(slots=True)
class AddressState:
    """How one address serves the file. `target` is where and how it is requested."""

    target: Address = NOWHERE
    origin: str = ""  # where the first request goes
    health: AddressHealth = UNTRIED
    fault: FlowhubError | None = None  # for which it was passed over
    location: str | None = None  # where the last redirect led
    no_ranges: bool = False  # it sends the whole file only: one connection, from the first byte
    no_validator: bool = False  # nothing shows that two responses are of one version: all in one response
    form: RangeForm = RangeForm.BOUNDED  # the form of the next Range header
    codings: int = 0  # an index into content_decoding.ACCEPTED, for the next request
    form_faults: int = 0  # faults in a row that were about ranges
    pages: int = 0  # error pages in a row, in the place of the file
    ignores_if_range: bool = False  # If-Range is not sent; the response's validator is compared instead
    mistrusted: bool = False  # its parts made a file of the wrong digest: as few responses as possible make the next
    size_from_close: bool = False  # only the end of a response has shown the size
    cut_at: int = -1  # where a body without a length ended last, over TLS and without the end of TLS
    no_resume_reason: str = ""  # why an interrupted download starts over, for the user
    no_resume_noted: bool = False
    connections_replaced: int = 0  # for being slow

    @property
    def url(self) -> str:
        return self.target.url

    @property
    def name(self) -> str:
        """The origin as people write it."""
        return shown_origin(self.origin)

    @property
    def mirror(self) -> str:
        """The mirror's prefix; "" for the file's own URL."""
        return self.target.mirror

    @property
    def one_connection(self) -> bool:
        """Whether only one connection at a time may fetch the file from here."""
        only_whole = self.no_ranges or self.no_validator or self.mistrusted
        return only_whole or self.form is not RangeForm.BOUNDED


@dataclass(slots=True)
class DiskState:
    """The bytes that are written. `part` is None until the first range of the file is fetched."""

    part: PartFile | None = None
    dirty: bool = True  # something changed since the last snapshot for the journal
    committed: int = 0  # bytes that the journal has
    most_kept: int = 0  # the most bytes that were ever kept: only more than that count as progress


@dataclass(slots=True)
class FileDigestState:
    """How far the file is hashed."""

    running: Sha256 = field(default_factory=Sha256)
    queued: deque[QueuedChunk] = field(default_factory=deque)  # in memory, in order, from the frontier on
    queued_to: int = 0  # where the last of them ends
    checks: deque[PieceCheck] = field(default_factory=deque)  # pieces of a crashed run that were not read again yet
    new_states: dict[int, str] = field(default_factory=dict)  # those that the journal does not have yet
    epoch: int = 0  # how often hashing started over
    mismatches: int = 0
    may_end_at: int = -1  # where a response broke off that cannot be resumed: its length may be wrong
    verified: FileDigest | None = None


@dataclass(slots=True, eq=False)
class FileState:
    """One file of a running transfer."""

    number: int
    file: ArtifactFile
    record: FileRecord
    identity: Identity
    current_address: AddressState = field(default_factory=AddressState)
    addresses: tuple[AddressState, ...] = ()  # all of them, in order
    suspect: str = ""  # the mirror whose bytes were fetched again from elsewhere, after a wrong digest
    disk: DiskState = field(default_factory=DiskState)
    digest: FileDigestState = field(default_factory=FileDigestState)
    tasks: "list[RangeTask]" = field(default_factory=list)
    restarts: int = 0

    @classmethod
    def of(cls, number: int, file: ArtifactFile, record: FileRecord, part: PartFile | None = None) -> "FileState":
        """Return the state of a file before anything of this run is known about it."""
        return cls(number, file, record, Identity(file.sha256, file.git_sha1), disk=DiskState(part))

    @property
    def size(self) -> int | None:
        return self.record.size

    @property
    def complete(self) -> bool:
        """Whether all bytes are kept; they may not be hashed yet."""
        return self.size is not None and self.record.kept.total == self.size

    @property
    def unhashed(self) -> int:
        """The bytes that the hasher can read next, without a gap."""
        return self.record.kept.reach(self.record.frontier) - self.record.frontier

    @property
    def pinned(self) -> bool:
        return self.file.sha256 is not None

    @property
    def pinned_by_digest(self) -> bool:
        return self.file.sha256 is not None or self.file.git_sha1 is not None

    @property
    def exclusive(self) -> bool:
        """Whether only one connection at a time may fetch the file."""
        return self.current_address.one_connection or not self.identity.identified

    def if_range_at(self, address: AddressState) -> str | None:
        """The strong validator of the kept bytes, if nothing better identifies them (RFC 9110, section 13.1.5)."""
        kind, _, validator = (self.record.identity or "").partition(":")
        usable = (kind == "etag" and validator.startswith('"')) or (kind == "modified" and " ETag " not in validator)
        return validator if usable and self.record.kept.total and not address.ignores_if_range else None


class Body(Protocol):
    """The body of a response that is being read."""

    def waited_s(self, now: float) -> float:
        """Return the seconds that were spent waiting for bytes; `now` is on the monotonic clock."""
        ...

    def abort(self) -> None:
        """Shut its connection."""
        ...


@dataclass(slots=True, eq=False)
class RangeTask:
    """A range in flight. All before `written_to` is written; from there to `reserved_to` the bytes are being written.

    Another connection may take over what is after `reserved_to`: then `end` moves closer. One fetcher runs the task and
    writes its fields; other threads change `end` and `replaced` alone.
    """

    state: FileState
    start: int
    end: int
    part: PartFile | None = None
    ended_at: float = 0.0
    address: AddressState = field(default_factory=AddressState)  # the address that it is requested from
    written_to: int = field(init=False)
    reserved_to: int = field(init=False)
    started_at: float = field(default_factory=time.monotonic)
    form: RangeForm = RangeForm.BOUNDED  # of the request
    codings: int = 0  # of the request
    conditional: bool = False  # the request had If-Range
    requested_end: int = -1  # of the range in the request
    total_stated: bool = False  # the response stated the size of the file
    encoded: bool = False  # the body must be decoded
    location: str | None = None  # where a redirect led, if the request did not go to the file's own URL
    accepted: bool = False  # the response was found to be what was requested
    response_end: int = 0  # where the response ends
    bytes_received: int = 0  # from the response
    bytes_written: int = 0
    body: "Body | None" = None  # while it is being read
    replaced: bool = False  # its connection was shut for being slow, which is no fault

    def __post_init__(self) -> None:
        self.written_to = self.reserved_to = self.start

    @property
    def exclusive(self) -> bool:
        """Whether no other connection may fetch the file."""
        return self.address.one_connection or not self.state.identity.identified or self.end == WHOLE

    @property
    def proof(self) -> Proof:
        """The proof that the response is of the right file; a size counts only if the response stated it too."""
        proof = self.state.identity.proof
        return Proof.PUBLISHED if proof is Proof.PUBLISHED_WITH_SIZE and not self.total_stated else proof

    def request_headers_locked(self) -> tuple[str | None, str | None]:
        """Return the Range and If-Range headers of the task's request, and record what is requested."""
        state = self.state
        self.form, self.location, self.requested_end = self.address.form, self.address.location, self.end
        self.codings = self.address.codings
        header = range_header(self.form, self.start, self.end, state.size)
        condition = state.if_range_at(self.address) if header else None
        self.conditional = condition is not None
        return header, condition

    def remaining_s(self, now: float) -> float:
        """Return the seconds that the rest will take at the rate so far; `now` is on the monotonic clock."""
        spent, missing = now - self.started_at, self.end - self.reserved_to
        if missing <= 0:
            return 0.0  # another connection has the rest
        if not self.bytes_received:
            return 0.0 if spent < SILENT_S else float("inf")
        seconds = missing * spent / self.bytes_received if spent >= JUDGED_S else 0.0
        return seconds if missing > SHARE_MIN or (missing > SHARE_SLOW_MIN and seconds > SHARE_SLOW_S) else 0.0

    @property
    def split_at(self) -> int:
        """Where another connection may take over: the middle of the rest, or all of it if nothing came yet."""
        return self.reserved_to + (self.end - self.reserved_to) // 2 if self.bytes_received else self.reserved_to


@dataclass(slots=True, eq=False)
class Probe:
    """A measurement of an address that is not in use; `task` is its request, once it was made."""

    state: FileState
    address: AddressState
    task: RangeTask | None = None
