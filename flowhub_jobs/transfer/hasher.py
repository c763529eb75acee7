"""The digest beside the transfer: one thread that follows each file's frontier, so that a file is verified when its
last byte arrives.

Bytes come handed from the network where they are next in line, else from the disk, where they were just written.
At each piece's end the state is kept. After a crash the pieces before the frontier are read once, each from its state
to the next: one that does not match what came is given up, fetched again, and checked again; the name waits for it.
"""

import threading
import time
from collections.abc import Callable
from functools import partial

from flowhub_jobs.errors import CutShort, FlowhubError
from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.pieces.digest import Reached, Sha256, pieces_of
from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.transfer.content import check_not_cut_short
from flowhub_jobs.transfer.file_state import FileState, PieceCheck
from flowhub_jobs.transfer.form_fallback import ask_without_range
from flowhub_jobs.transfer.identity import contradiction
from flowhub_jobs.transfer.partial.part_file import PartFile
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.artifacts import FileDigest, git_sha1
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import Note

READ = MIB
FINISH_S = 1.0  # how long a stop waits for the digest to come up with what is kept


class Hasher(threading.Thread):
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
        """Hash what there is of one file; False when the transfer is over."""
        transfer = self._transfer
        with transfer.changed:
            while (work := self._work()) is None or self._late():
                if transfer.ended:
                    return False
                transfer.hash_ready.wait()
        transfer.wait_to_open()
        work()
        return True

    def _late(self) -> bool:
        """Whether a stop has waited long enough for us: what was not hashed yet is read by the next run."""
        return self._transfer.ended and time.monotonic() - self._transfer.ended_at > FINISH_S

    def _work(self) -> Callable[[], None] | None:
        """Return what to do next: new bytes and the ends of files first, then the pieces of a crashed run."""
        waiting: Callable[[], None] | None = None
        for state in self._transfer.hash_queue.ready:
            if state.disk.part is not None and state.unhashed:
                return partial(self._advance, state)
            if state.disk.part is not None and self._is_to_finish(state):
                return partial(self._finish, state)
            if state.disk.part is None or not state.digest.checks:
                self._transfer.hash_queue.mark_idle(state)  # until something comes
            elif waiting is None and not self._transfer.ended:
                waiting = self._ready_check(state)
        return waiting

    def _is_to_finish(self, state: FileState) -> bool:
        return state.complete and not state.digest.checks and not state.digest.verified and not self._transfer.ended

    def _ready_check(self, state: FileState) -> Callable[[], None] | None:
        """Return the check of the first piece that waits for it and lies there whole."""
        whole = (check for check in state.digest.checks if state.record.kept.reach(check.start) >= check.end)
        return next((partial(self._check, state, check) for check in whole), None)

    def _advance(self, state: FileState) -> None:
        """Hash on from the frontier: what waits in memory there, else a stretch from the disk."""
        transfer = self._transfer
        with transfer.changed:
            part, digest, record = state.disk.part, state.digest.running, state.record
            if part is None:
                return  # begun anew meanwhile
            begin = record.frontier
            handed = transfer.hash_queue.drain(state)
            end = min(record.kept.reach(begin), begin + READ)
        started, reached = time.monotonic(), Reached(begin, record.piece)
        if not handed:
            view = memoryview(self._buffer)[: end - begin]
            _read_full(part, view, begin)
            reached.feed(digest, view)
        for entry in handed:
            reached.feed(digest, entry.data)
            transfer.hash_queue.recycle(entry.buffer)
        self._note(state, digest, reached, reached.at - begin, time.monotonic() - started)

    def _note(self, state: FileState, digest: Sha256, reached: Reached, hashed: int, seconds: float) -> None:
        """Note how far the digest has come, and its states at the ends of pieces."""
        transfer = self._transfer
        with transfer.changed:
            transfer.hash_queue.record_work(hashed, seconds)
            if state.digest.running is not digest:
                return  # begun anew meanwhile
            state.record.frontier, state.record.frontier_state = reached.at, digest.save()
            state.record.states |= reached.states
            state.digest.new_states |= reached.states
            state.disk.dirty = True
            transfer.hash_queue.mark_ready(state)
            if transfer.waiting_for_hash or transfer.hash_bound:
                transfer.changed.notify_all()

    # Pieces of a crashed run ---------------------------------------------------------------------------------------

    def _check(self, state: FileState, check: PieceCheck) -> None:
        part = state.disk.part
        if part is None:
            return  # begun anew meanwhile
        found = self._hash_stretch(part, check)
        with self._transfer.changed:
            if state.disk.part is not part or check not in state.digest.checks:
                return
            if found == check.after:
                state.digest.checks.remove(check)
            elif check.tries:
                # Twice not what came at first: then what came at first was wrong, and the chain of states with it.
                self._transfer.rehash_locked(state)
            else:
                self._give_up_piece(state, check)
            self._transfer.changed.notify_all()

    def _hash_stretch(self, part: PartFile, check: PieceCheck) -> str | None:
        digest, at = Sha256(check.before), check.start
        while at < check.end:
            view = memoryview(self._buffer)[: min(READ, check.end - at)]
            _read_full(part, view, at)
            digest.update(view)
            at += len(view)
        return digest.save()

    def _give_up_piece(self, state: FileState, check: PieceCheck) -> None:
        check.tries += 1
        self._transfer.discard_locked(state, check.start, check.end)
        where = f"{state.file.path}: bytes {check.start}-{check.end - 1}"
        text = f"{where} are not what was received; that piece is fetched again."
        self._transfer.notes.append(Note(EventKind.PIECE_AGAIN, text))

    # The end of a file ---------------------------------------------------------------------------------------------

    def _finish(self, state: FileState) -> None:
        with self._transfer.changed:
            part, size, running = state.disk.part, state.record.frontier, state.digest.running
        if part is None or size != state.size:
            return  # begun anew meanwhile
        if part.size < size:
            self._cut_short(state, part)
            return
        digest = running.hexdigest()
        git = (
            self._git_digest(part, size)
            if state.identity.expected_sha256 is None and state.identity.expected_git_sha1
            else None
        )
        pinned = state.identity.expected_sha256 is not None or git is not None
        wrong = contradiction(state, digest, git) if pinned else _cut_short(state, part, size)
        with self._transfer.changed:
            if state.disk.part is not part:
                return
            if wrong is None:
                if part.size != size:  # a crash may leave more than was ever said
                    part.truncate(size)
                    state.disk.dirty = True
                pieces = pieces_of(state.record.states, state.record.piece, size)
                self._transfer.mark_verified_locked(state, FileDigest(state.file.path, size, digest, pinned, pieces))
            else:
                self._mismatch(state, wrong)

    def _cut_short(self, state: FileState, part: PartFile) -> None:
        """Somebody cut the file while it was fetched: what is gone is fetched again, and all of it hashed again."""
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

    def _mismatch(self, state: FileState, wrong: FlowhubError) -> None:
        """The bytes came wrong: once more from the start; the second time, or if there are none, it is an error.

        A file that the source itself calls complete, and that is cut short, comes no longer the second time.
        """
        state.digest.mismatches += 1
        final = (
            state.digest.mismatches > 1
            or state.size == 0
            or (isinstance(wrong, CutShort) and not state.source.size_from_close)
        )
        whole_answers = state.source.no_ranges
        self._transfer.restart_locked(state)
        if whole_answers:
            ask_without_range(state)  # what was called the whole may have been a part
        if final:
            self._transfer.end(wrong)
        else:
            text = f"{wrong.message} It is fetched once more."
            self._transfer.notes.append(Note(EventKind.FILE_AGAIN, text, wrong.code))


def _cut_short(state: FileState, part: PartFile, size: int) -> FlowhubError | None:
    """Return CutShort where a file that nothing pins ends before its own header says."""
    try:
        with disk_errors(part.path):
            check_not_cut_short(state.file.path, part.path, size, host_of(state.source.location or state.file.url))
    except CutShort as error:
        return error
    return None


def _read_full(part: PartFile, view: memoryview, offset: int) -> None:
    at = 0
    while at < len(view):
        count = part.read(view[at:], offset + at)
        if not count:
            # Shorter than the journal says: zeros hash to something else, and the piece is fetched again.
            view[at:] = bytes(len(view) - at)
            return
        at += count
