"""Hashes files while they are fetched: one thread follows each file's frontier, so that a file is verified when its
last byte arrives.

The next bytes come from memory (`HashQueue`); all others are read from the disk, where they were just written. At the
end of each piece the state of the digest is recorded. After a crash the pieces before the frontier are read once, each
from its recorded state to the next one. A piece that does not match is fetched and checked again; the file is not
verified before that.
"""

import threading
import time
from collections.abc import Callable
from functools import partial

from flowhub_jobs.errors import CutShort, FlowhubError
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.pieces.resumable_sha256 import PieceDigest, Sha256, pieces_of
from flowhub_jobs.transfer.file_state import FileState, PieceCheck
from flowhub_jobs.transfer.first_bytes_check import check_not_cut_short
from flowhub_jobs.transfer.form_fallback import mistrust_parts
from flowhub_jobs.transfer.identity_check import address_host, contradiction
from flowhub_jobs.transfer.mirror_switching import distrust, name_bad_mirror
from flowhub_jobs.transfer.open_file_limit import wait_to_open
from flowhub_jobs.transfer.partial.part_file import PartFile
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.artifacts import FileDigest, git_sha1
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import NewEvent

READ = MIB
FINISH_S = 1.0  # the longest that a stop waits for the digest to catch up


class Hasher(threading.Thread):
    """The hashing thread of one transfer.

    It works without the lock, and a file may start over at any time. So each result is recorded only if the file still
    has the part, or the running digest, that the work began with.
    """

    def __init__(self, transfer: TransferState) -> None:
        super().__init__(name="hasher", daemon=True)
        self._transfer = transfer
        self._buffer = bytearray(READ)

    def run(self) -> None:
        try:
            while self._step():
                pass
        except Exception as error:
            self._transfer.end(error)

    def _step(self) -> bool:
        """Do one piece of work; False when the transfer has ended."""
        transfer = self._transfer
        with transfer.changed:
            while (work := self._next_work()) is None or self._stop_timed_out():
                if transfer.ended:
                    return False
                transfer.hash_ready.wait()
        wait_to_open(transfer)
        work()
        return True

    def _stop_timed_out(self) -> bool:
        """Return whether a stop has waited long enough: the next run reads what was not hashed."""
        return self._transfer.ended and time.monotonic() - self._transfer.ended_at > FINISH_S

    def _next_work(self) -> Callable[[], None] | None:
        """Return what to do next: new bytes and the ends of files first, then the pieces of a crashed run."""
        check: Callable[[], None] | None = None
        for state in self._transfer.hash_queue.ready:
            if state.disk.part is not None and state.unhashed:
                return partial(self._advance, state)
            if state.disk.part is not None and self._is_to_finish(state):
                return partial(self._finish, state)
            if state.digest.may_end_at == state.record.frontier:
                if not state.tasks:  # nothing is written after the end
                    return partial(self._check_end, state)
                continue
            if state.disk.part is None or not state.digest.checks:
                self._transfer.hash_queue.mark_idle(state)  # until something is written
            elif check is None and not self._transfer.ended:
                check = self._ready_check(state)
        return check

    def _is_to_finish(self, state: FileState) -> bool:
        return state.complete and not state.digest.checks and not state.digest.verified and not self._transfer.ended

    def _ready_check(self, state: FileState) -> Callable[[], None] | None:
        """Return the check of the first piece that waits for one and is kept whole."""
        complete = (check for check in state.digest.checks if state.record.kept.reach(check.start) >= check.end)
        return next((partial(self._check, state, check) for check in complete), None)

    def _advance(self, state: FileState) -> None:
        """Continue at the frontier: with the queued chunks, or with a stretch from the disk."""
        transfer = self._transfer
        with transfer.changed:
            part, digest, record = state.disk.part, state.digest.running, state.record
            if part is None:
                return  # the file started over
            begin = record.frontier
            chunks = transfer.hash_queue.drain(state)
            end = min(record.kept.reach(begin), begin + READ)
        started, pieces = time.monotonic(), PieceDigest(digest, begin, record.piece)
        if not chunks:
            view = memoryview(self._buffer)[: end - begin]
            _read_full(part, view, begin)
            pieces.update(view)
        for chunk in chunks:
            pieces.update(chunk.data)
            transfer.hash_queue.recycle(chunk.buffer)
        self._record(state, digest, pieces, pieces.at - begin, time.monotonic() - started)

    def _record(self, state: FileState, digest: Sha256, pieces: PieceDigest, hashed: int, seconds: float) -> None:
        """Record the new frontier, and the states at the ends of pieces."""
        transfer = self._transfer
        with transfer.changed:
            transfer.hash_queue.record_work(hashed, seconds)
            if state.digest.running is not digest:
                return  # the file started over
            state.record.frontier, state.record.frontier_state = pieces.at, digest.save()
            state.record.states |= pieces.states
            state.digest.new_states |= pieces.states
            state.disk.dirty = True
            transfer.hash_queue.mark_ready(state)
            if transfer.waiting_for_hash or transfer.hash_bound:
                transfer.changed.notify_all()

    # Pieces of a crashed run ---------------------------------------------------------------------------------------

    def _check(self, state: FileState, check: PieceCheck) -> None:
        part = state.disk.part
        if part is None:
            return  # the file started over
        after = self._hash_stretch(part, check)
        with self._transfer.changed:
            if state.disk.part is not part or check not in state.digest.checks:
                return
            if after == check.after:
                state.digest.checks.remove(check)
            elif check.tries:
                # The bytes differ from the recorded state for the second time: so the first ones, or the chain of
                # states, were wrong.
                self._transfer.rehash_locked(state)
            else:
                self._discard_piece_locked(state, check)
            self._transfer.changed.notify_all()

    def _hash_stretch(self, part: PartFile, check: PieceCheck) -> str | None:
        digest, at = Sha256(check.before), check.start
        while at < check.end:
            view = memoryview(self._buffer)[: min(READ, check.end - at)]
            _read_full(part, view, at)
            digest.update(view)
            at += len(view)
        return digest.save()

    def _discard_piece_locked(self, state: FileState, check: PieceCheck) -> None:
        check.tries += 1
        self._transfer.discard_locked(state, check.start, check.end)
        piece = f"{state.file.path}: bytes {check.start}-{check.end - 1}"
        text = f"{piece} are not what was received; that piece is fetched again."
        self._transfer.notes.append(NewEvent(EventKind.PIECE_AGAIN, text))

    # The end of a file ---------------------------------------------------------------------------------------------

    def _finish(self, state: FileState) -> None:
        """Verify a file whose last byte is hashed."""
        with self._transfer.changed:
            part, size, running = state.disk.part, state.record.frontier, state.digest.running
        if part is None or size != state.size:
            return  # the file started over
        if part.size < size:
            self._refetch_lost_end(state, part)
            return
        digest, identity = running.hexdigest(), state.identity
        by_git = identity.expected_sha256 is None and identity.expected_git_sha1 is not None
        git = self._git_digest(part, size) if by_git else None
        pinned = identity.expected_sha256 is not None or by_git
        wrong = contradiction(state, digest, git) if pinned else _cut_short(state, part, size)
        with self._transfer.changed:
            if state.disk.part is not part:
                return
            if wrong is None:
                if part.size != size:  # a crash may leave bytes after the end
                    part.truncate(size)
                    state.disk.dirty = True
                pieces = pieces_of(state.record.states, state.record.piece, size)
                verified = FileDigest(state.file.path, size, digest, pinned, pieces, commit=identity.commit)
                self._transfer.mark_verified_locked(state, verified)
                if state.suspect:
                    name_bad_mirror(self._transfer, state)
            else:
                self._mismatch_locked(state, wrong)

    def _check_end(self, state: FileState) -> None:
        """Accept a file as complete if its digest is right, although its source announced more bytes.

        Some servers count the bytes of a text before they change its line ends, or a proxy takes bytes out (curl's
        "transfer closed with 1 bytes remaining"). Each try would bring the same bytes, and none would be the last.
        """
        transfer = self._transfer
        with transfer.changed:
            digest, state.digest.may_end_at = state.digest.running, -1
            if (
                state.disk.part is None
                or state.complete
                or state.tasks
                or digest.hexdigest() != state.identity.expected_sha256
            ):
                return
            announced, state.record.size = state.size, state.record.frontier
            state.disk.dirty = True
            host = address_host(state.current_address)
            text = f"{host} announced {announced} bytes and sent {state.size}: the digest is right."
            transfer.notes.append(NewEvent(EventKind.AGAIN, f"{state.file.path}: {text}"))
            transfer.file_changed_locked(state)
            transfer.wake_workers_locked()

    def _refetch_lost_end(self, state: FileState, part: PartFile) -> None:
        """Fetch the end of a file again that another program has truncated, and hash all of it again."""
        with self._transfer.changed:
            if state.disk.part is part:
                self._transfer.discard_locked(state, part.size, state.record.frontier)
                self._transfer.rehash_locked(state)

    def _git_digest(self, part: PartFile, size: int) -> str:
        digest, at = git_sha1(size), 0
        while at < size:
            view = memoryview(self._buffer)[: min(READ, size - at)]
            _read_full(part, view, at)
            digest.update(view)
            at += len(view)
        return digest.hexdigest()

    def _mismatch_locked(self, state: FileState, wrong: FlowhubError) -> None:
        """Start a file with wrong bytes over; the second time, or if it is empty, end the transfer.

        If the server itself announces the short length, a second fetch brings no more bytes: then the transfer ends at
        the first mismatch.
        """
        if distrust(self._transfer, state, wrong):
            return
        state.suspect = ""
        state.digest.mismatches += 1
        address = state.current_address
        announced_short = isinstance(wrong, CutShort) and not address.size_from_close
        final = state.digest.mismatches > 1 or state.size == 0 or announced_short
        size = state.size or 0
        self._transfer.restart_locked(state)
        mistrust_parts(address, size)
        if final:
            self._transfer.end(wrong)
        else:
            text = f"{wrong.message} flowhub downloads it once more."
            self._transfer.notes.append(NewEvent(EventKind.FILE_AGAIN, text, wrong.code))


def _cut_short(state: FileState, part: PartFile, size: int) -> FlowhubError | None:
    """Return CutShort for a file without a digest that ends before its own header says."""
    try:
        with disk_errors(part.path):
            check_not_cut_short(state.file.path, part.path, size, address_host(state.current_address))
    except CutShort as error:
        return error
    return None


def _read_full(part: PartFile, view: memoryview, offset: int) -> None:
    at = 0
    while at < len(view):
        count = part.read(view[at:], offset + at)
        if not count:
            # The part is shorter than the journal says. Zeros hash to something else, so the piece is fetched again.
            view[at:] = bytes(len(view) - at)
            return
        at += count
