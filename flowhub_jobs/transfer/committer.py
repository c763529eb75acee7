"""Makes bytes durable, off the hot path: syncs the parts, then appends to the journal, four times a second or more.

The unsynced bytes of a transfer never exceed UNSYNCED_MAX: `admit` makes the fetchers wait.
"""

import copy
import threading
from dataclasses import dataclass
from typing import Any

from flowhub_jobs.fs.disk_errors import disk_errors
from flowhub_jobs.pieces.ranges import MIB
from flowhub_jobs.transfer.file_state import BUFFER_DIRECT, PENDING_WRITES_MAX, FileState
from flowhub_jobs.transfer.open_file_limit import closable_locked, close_verified
from flowhub_jobs.transfer.options import CancelToken
from flowhub_jobs.transfer.partial.journal import Journal, Record, file_entry
from flowhub_jobs.transfer.partial.part_file import PartFile, sync_all
from flowhub_jobs.transfer.state import COMMIT_AT, COMMIT_AT_FILES, TransferState

PERIOD_S = 0.25
UNSYNCED_MAX = 64 * MIB  # what a kill may cost


def unsynced_limit(writers: int) -> int:
    """Return the unsynced bytes at which a fetcher waits, while `writers` ranges are being received.

    `admit` reads the count without the lock, so each of them may add a buffer at once, and the writer's queue a few.
    """
    return max(BUFFER_DIRECT, UNSYNCED_MAX - (writers + PENDING_WRITES_MAX) * BUFFER_DIRECT)


@dataclass(slots=True)
class CommitSnapshot:
    """The state of the transfer at one instant, for one commit. With `record` the journal is rewritten."""

    parts: list[PartFile]
    entry: dict[str, Any]
    record: Record | None
    unsynced: int
    kept: list[tuple[FileState, PartFile | None, int]]
    fetched: int
    fetched_by_origin: dict[str, int]


class Committer(threading.Thread):
    """The committing thread of one transfer. Any thread may call `commit`; the calls take turns."""

    def __init__(self, transfer: TransferState, journal: Journal, tag: str, cancel: CancelToken) -> None:
        super().__init__(name="committer", daemon=True)
        self._transfer, self._journal, self._tag, self._cancel = transfer, journal, tag, cancel
        self._begun = {state.file.path: _begin_key(state) for state in transfer.files}
        self._commit_lock = threading.Lock()
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
        due_at = min(COMMIT_AT, unsynced_limit(len(transfer.tasks)) // 2)
        return transfer.unsynced >= due_at or len(closable_locked(transfer)) >= COMMIT_AT_FILES

    def admit(self, count: int) -> None:
        """Wait until `count` more bytes may be written before the next commit."""
        transfer = self._transfer
        if self._has_room(count):
            return
        with transfer.changed:
            while transfer.unsynced and not self._has_room(count) and not transfer.ended:
                transfer.commit_due.notify_all()
                transfer.changed.wait()

    def _has_room(self, count: int) -> bool:
        return self._transfer.unsynced + count <= unsynced_limit(len(self._transfer.tasks))

    def commit(self) -> None:
        """Sync all bytes that were written, then record them in the journal."""
        with self._commit_lock:
            if self._failed is not None:
                raise self._failed
            snapshot = self._snapshot()
            if snapshot is not None:
                try:
                    self._commit(snapshot)
                except Exception as error:
                    self._failed = error
                    raise
            close_verified(self._transfer)

    def _commit(self, snapshot: CommitSnapshot) -> None:
        """Write a snapshot down. After a failure nothing more is committed.

        The order is: snapshot, sync, journal. Bytes that are written after the snapshot may be synced too, but the
        journal does not name them, so it never claims a byte that is not on the disk.

        A later entry would build on the one that failed. And the bytes of a failed sync may be lost while the next sync
        reports success: the kernel marks the pages clean (LWN, "PostgreSQL's fsync() surprise", 2018).
        """
        sync_all(snapshot.parts)
        self._cancel.check_owner()
        for part in snapshot.parts:
            part.check_named()
        with disk_errors(self._transfer.folder):
            if snapshot.record is not None:
                self._journal.rewrite(snapshot.record)
            else:
                self._journal.commit(snapshot.entry)
        self._apply_commit(snapshot)

    def commit_clean(self) -> None:
        """Commit, and mark the journal clean: the next run need not read anything again.

        Not while pieces of a crashed run still have to be checked.
        """
        self.commit()
        self._cancel.check_owner()
        if not any(state.digest.checks for state in self._transfer.files):
            with disk_errors(self._transfer.folder):
                self._journal.commit({"clean": True})

    def _snapshot(self) -> CommitSnapshot | None:
        transfer = self._transfer
        with transfer.changed:
            dirty = [state for state in transfer.files if state.disk.dirty]
            if not dirty:
                return None
            snapshot = CommitSnapshot(
                parts=[state.disk.part for state in dirty if state.disk.part is not None],
                entry=self._entry(dirty),
                record=self._record() if self._journal.is_long else None,
                unsynced=transfer.unsynced,
                kept=[(state, state.disk.part, state.record.kept.total) for state in dirty],
                fetched=transfer.fetched,
                fetched_by_origin=dict(transfer.fetched_by_origin),
            )
            for state in dirty:
                state.disk.dirty, state.digest.new_states = False, {}
                self._begun[state.file.path] = _begin_key(state)
            return snapshot

    def _entry(self, dirty: list[FileState]) -> dict[str, Any]:
        new = {state.file.path for state in dirty if self._begun.get(state.file.path) != _begin_key(state)}
        begin = {state.file.path: state.record.begin() for state in dirty if state.file.path in new}
        files = {
            state.file.path: file_entry(
                state.record, dict(state.record.states if state.file.path in new else state.digest.new_states)
            )
            for state in dirty
        }
        transfer = self._transfer
        by_origin = dict(transfer.fetched_by_origin)
        return {"fetched": transfer.fetched, "sources": by_origin, "begin": begin, "files": files}

    def _record(self) -> Record:
        # A copy: the transfer continues while it is written, and it must be the state that was synced.
        files = {state.file.path: copy.deepcopy(state.record) for state in self._transfer.files}
        transfer = self._transfer
        return Record(
            files=files, fetched=transfer.fetched, fetched_by_origin=dict(transfer.fetched_by_origin), tag=self._tag
        )

    def _apply_commit(self, snapshot: CommitSnapshot) -> None:
        """Record what is committed, wake the fetchers that wait in `admit`, and remove the retired parts."""
        transfer = self._transfer
        with transfer.changed:
            retired = [part for part in transfer.retired_parts if part not in self._removed]
            transfer.unsynced -= snapshot.unsynced
            transfer.fetched_committed, transfer.fetched_by_origin_committed = (
                snapshot.fetched,
                snapshot.fetched_by_origin,
            )
            for state, part, committed in snapshot.kept:
                if state.disk.part is part:
                    state.disk.committed = committed
            transfer.changed.notify_all()
        for part in retired:
            # The journal no longer names the part of a file that started over: it must not fill the disk.
            self._cancel.check_owner()
            part.remove()
            self._removed.append(part)


def _begin_key(state: FileState) -> str:
    """Return a text that changes when the journal needs a new `begin`: another part, another epoch of the digest, …"""
    return f"{state.record.begin()}{state.digest.epoch}"
