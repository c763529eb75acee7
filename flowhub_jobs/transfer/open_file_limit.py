"""Keeps no more part files open than a process may have: a model may have more files than that.

A part is created by the first task of its file. It stays open until its file is verified, synced, and used by no task.
"""

from flowhub_jobs.transfer.file_state import FileState, RangeTask
from flowhub_jobs.transfer.partial.part_file import PartFile
from flowhub_jobs.transfer.state import OPEN_FILES_MAX, TransferState, started_over


def open_part(transfer: TransferState, task: RangeTask) -> None:
    """Create the file for a task's bytes if it is the first task of its file; no other task runs before that.

    Raises SourceChanged if the file started over while it was created.
    """
    if task.part is not None:
        return
    part = PartFile(transfer.folder, task.state.record.part, new=True)
    with transfer.changed:
        if task in task.state.tasks:
            task.state.disk.part = task.part = part
            return
    part.close()
    raise started_over(task)


def wait_to_open(transfer: TransferState) -> None:
    """Wait until one more part may be opened: a commit closes the parts of verified files."""
    if len(transfer.verified_open) < OPEN_FILES_MAX:
        return
    with transfer.changed:
        transfer.changed.wait_for(lambda: transfer.ended or len(transfer.verified_open) < OPEN_FILES_MAX)


def closable_locked(transfer: TransferState) -> list[FileState]:
    """Return the verified files that no task uses: their parts can be closed once they are synced."""
    return [state for state in transfer.verified_open if not state.tasks]


def close_verified(transfer: TransferState) -> None:
    """Close the parts of verified and synced files that no task uses."""
    with transfer.changed:
        before, still_open = transfer.verified_open, []
        for state in before:
            if state.tasks or state.disk.dirty:
                still_open.append(state)
            elif state.disk.part is not None:
                state.disk.part.close()
        transfer.verified_open = still_open
        if len(still_open) < len(before):
            transfer.changed.notify_all()  # wakes `wait_to_open`
