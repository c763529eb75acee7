"""Makes bytes durable, off the hot path: sync the files, then say so in the journal, four times a second or more often.

What is unsynced never exceeds 64 MiB a transfer: `admit` makes the fetchers wait.
"""

import copy
import threading
from dataclasses import dataclass
from typing import Any

from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.transfer.file_state import FileState
from flowhub_jobs.transfer.options import CancelToken
from flowhub_jobs.transfer.partial.journal import Journal, Record, file_entry
from flowhub_jobs.transfer.partial.part_file import PartFile, sync_all
from flowhub_jobs.transfer.state import COMMIT_AT, COMMIT_AT_FILES, TransferState

PERIOD_S = 0.25
UNSYNCED_MAX = 44 * MIB


@dataclass(slots=True)
class Snapshot:
    """What one commit is about: the state of the transfer at one instant. `whole`: the journal is written anew."""

    parts: list[PartFile]
    entry: dict[str, Any]
    whole: Record | None
    unsynced: int
    kept: list[tuple[FileState, PartFile | None, int]]
    fetched: int


class Committer(threading.Thread):
    def __init__(self, transfer: TransferState, journal: Journal, tag: str, control: CancelToken) -> None:
        super().__init__(name="committer", daemon=True)
        self._transfer, self._journal, self._tag, self._control = transfer, journal, tag, control
        self._begun = {state.file.path: _begun(state) for state in transfer.files}
        self._turn = threading.Lock()
        self._removed: list[PartFile] = []
        self._failed: Exception | None = None

    def run(self) -> None:
        transfer = self._transfer
        try:
            while True:
                with transfer.commit_due:
                    transfer.commit_due.wait_for(lambda: transfer.ended or self._is_due(), PERIOD_S)
                    if transfer.ended:
                        return
                self.commit()
        except Exception as error:
            transfer.end(error)

    def _is_due(self) -> bool:
        transfer = self._transfer
        return transfer.unsynced >= COMMIT_AT or len(transfer.closable_locked()) >= COMMIT_AT_FILES

    def admit(self, count: int) -> None:
        """Wait until `count` more bytes may be written before the next commit."""
        transfer = self._transfer
        if transfer.unsynced + count <= UNSYNCED_MAX:
            return  # looked at without the lock: sixteen at once pass the line by a buffer each, and it lies below
        with transfer.changed:
            while transfer.unsynced and transfer.unsynced + count > UNSYNCED_MAX and not transfer.ended:
                transfer.changed.wait()

    def commit(self) -> None:
        """Put all that has come on the disk, then say so in the journal."""
        with self._turn:
            if self._failed is not None:
                raise self._failed
            snapshot = self._snapshot()
            if snapshot is not None:
                try:
                    self._commit(snapshot)
                except Exception as error:
                    self._failed = error
                    raise
            self._transfer.close_verified()

    def _commit(self, snapshot: Snapshot) -> None:
        """Write down what a snapshot took. Once that has failed nothing more is committed.

        A later entry would speak as if this one stood before it; and what a failed sync was for may be lost, while the
        next one says that all is well (LWN, "PostgreSQL's fsync() surprise").
        """
        sync_all(snapshot.parts)
        self._control.check_owner()
        with disk_errors(self._transfer.folder):
            if snapshot.whole is not None:
                self._journal.rewrite(snapshot.whole)
            else:
                self._journal.commit(snapshot.entry)
        self._settle(snapshot)

    def commit_clean(self) -> None:
        """The last words of a graceful stop: nothing has to be read again. Not said while pieces wait to be checked."""
        self.commit()
        self._control.check_owner()
        if not any(state.digest.checks for state in self._transfer.files):
            with disk_errors(self._transfer.folder):
                self._journal.commit({"clean": True})

    def _snapshot(self) -> Snapshot | None:
        transfer = self._transfer
        with transfer.changed:
            dirty = [state for state in transfer.files if state.disk.dirty]
            if not dirty:
                return None
            snapshot = Snapshot(
                parts=[state.disk.part for state in dirty if state.disk.part is not None],
                entry=self._entry(dirty),
                whole=self._whole() if self._journal.is_long else None,
                unsynced=transfer.unsynced,
                kept=[(state, state.disk.part, state.record.kept.total) for state in dirty],
                fetched=transfer.fetched,
            )
            for state in dirty:
                state.disk.dirty, state.digest.new_states = False, {}
                self._begun[state.file.path] = _begun(state)
            return snapshot

    def _entry(self, dirty: list[FileState]) -> dict[str, Any]:
        new = {state.file.path for state in dirty if self._begun.get(state.file.path) != _begun(state)}
        begin = {state.file.path: state.record.begin() for state in dirty if state.file.path in new}
        files = {
            state.file.path: file_entry(
                state.record, dict(state.record.states if state.file.path in new else state.digest.new_states)
            )
            for state in dirty
        }
        return {"fetched": self._transfer.fetched, "begin": begin, "files": files}

    def _whole(self) -> Record:
        # A copy: the transfer goes on while it is written, and what is written must be what was synced.
        files = {state.file.path: copy.deepcopy(state.record) for state in self._transfer.files}
        return Record(files=files, fetched=self._transfer.fetched, tag=self._tag)

    def _settle(self, snapshot: Snapshot) -> None:
        transfer = self._transfer
        with transfer.changed:
            old = [part for part in transfer.retired_parts if part not in self._removed]
            transfer.unsynced -= snapshot.unsynced
            transfer.fetched_committed = snapshot.fetched
            for state, part, kept in snapshot.kept:
                if state.disk.part is part:
                    state.disk.committed = kept
            transfer.changed.notify_all()
        for part in old:
            # The journal no longer speaks of what was begun anew since: it must not fill the disk.
            self._control.check_owner()
            part.remove()
            self._removed.append(part)


def _begun(state: FileState) -> str:
    """Return what makes a new `begin` necessary: another part, something learned of it, a digest begun anew."""
    return f"{state.record.begin()}{state.digest.epoch}"
