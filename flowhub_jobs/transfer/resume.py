"""Continues the partial of an earlier run: the journal's claims, checked against the files on the disk."""

import errno
from collections.abc import Callable, Mapping
from pathlib import Path

from flowhub_jobs.errors import StorageFailed, StoreOffline
from flowhub_jobs.fs.disk_errors import disk_errors, refuse_links
from flowhub_jobs.pieces.ranges import Ranges, piece_size
from flowhub_jobs.pieces.resumable_sha256 import Sha256, can_save
from flowhub_jobs.transfer.file_state import FileState, PieceCheck
from flowhub_jobs.transfer.partial.journal import FileRecord, Journal, Record, load
from flowhub_jobs.transfer.partial.part_file import FILES, PartFile, generation_of, part_path
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.artifacts import ArtifactFile

_NO_PART = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR)


def resume_partial(
    transfer: TransferState,
    tag: str,
    fetched: int,
    check_owner: Callable[[], None] = lambda: None,
    fetched_by_origin: Mapping[str, int] | None = None,
) -> Journal:
    """Add all files with what is kept of them to the transfer; return the journal, rewritten, for this run alone.

    `fetched` is the job's own count, `fetched_by_origin` the same by origin; the journal's are used instead if it is of
    the same job and has more. `check_owner` raises if another run has taken the partial over: a run that was suspended
    here must change nothing of its successor's.
    """
    with disk_errors(transfer.folder):
        for folder in transfer.folder.glob(f"{FILES}*"):
            refuse_links(transfer.folder, folder)  # what a link leads to would be removed with the partial's own files
        last = load(transfer.folder)
    transfer.fetched = max(fetched, last.fetched if last.tag == tag else 0)
    use_journal = last.tag == tag and last.fetched >= fetched
    by_origin = dict(last.fetched_by_origin if use_journal else fetched_by_origin or {})
    transfer.fetched_by_origin_committed = by_origin
    transfer.fetched_by_origin.update(by_origin)
    transfer.fetched_before = transfer.fetched_committed = transfer.fetched
    for number, file in enumerate(transfer.artifact.files):
        transfer.add(_resume_file(transfer.folder, number, file, last))
    with disk_errors(transfer.folder):
        journal = Journal(transfer.folder, _record_of(transfer, tag), check_owner)
        try:
            _remove_unlisted(transfer, check_owner)
        except BaseException:
            journal.close()
            raise
    return journal


def _remove_unlisted(transfer: TransferState, check_owner: Callable[[], None]) -> None:
    """Remove the files that no record names: parts of files that started over, which would fill the disk unseen."""
    listed = {transfer.folder / state.record.part for state in transfer.files}
    for folder in transfer.folder.glob(f"{FILES}*"):
        for path in folder.rglob("*"):
            if path not in listed and (path.is_symlink() or not path.is_dir()):
                check_owner()
                path.unlink()


def _record_of(transfer: TransferState, tag: str) -> Record:
    files = {state.file.path: state.record for state in transfer.files}
    return Record(files=files, fetched=transfer.fetched, fetched_by_origin=dict(transfer.fetched_by_origin), tag=tag)


def _resume_file(folder: Path, number: int, file: ArtifactFile, last: Record) -> FileState:
    record = last.files.get(file.path)
    part = _open_part(folder, file.path, record)
    if record is None or part is None or not _is_same_content(record, file):
        if part is not None:
            part.close()
        generation = generation_of(record.part) + 1 if record else 0
        # For a file of unknown size the first response decides the size of a piece.
        piece = 0 if file.size is None else piece_size(file.size)
        fresh = FileRecord(part_path(file.path, generation), size=file.size, piece=piece)
        # Bytes that cannot be continued still came once: those of the next attempt are not new ones.
        if record is not None and (record.identity is None or _is_same_content(record, file)):
            fresh.restarts, fresh.most_kept = record.restarts, record.most_kept
        return _create_if_empty(_restore_counts(FileState.of(number, file, fresh)), folder)
    _fit_to_disk(record, part.size)
    part.close()  # until it is used
    state = _restore_counts(FileState.of(number, file, record, part))
    _restore_expected_digest(state)
    state.disk.committed = record.kept.total
    state.identity.head_checked = record.kept.reach(0) > 0
    _restore_digest(state, clean=last.clean)
    return _create_if_empty(state, folder)


def _restore_counts(state: FileState) -> FileState:
    """Take how often the file started over, and the most bytes that were kept, from the journal."""
    state.restarts = state.record.restarts
    state.disk.most_kept = max(state.record.kept.total, state.record.most_kept)
    return state


def _open_part(folder: Path, path: str, record: FileRecord | None) -> PartFile | None:
    """Return the part of a record, open; None if there is none, or a link or a folder in its place: it is fetched.

    Raises the disk's other errors: a part that only cannot be read now must not be fetched again.
    """
    if record is None:
        return None
    # An interrupted installation may have moved it next to the others already (store/install.py, `stage`).
    for part_name in dict.fromkeys((record.part, part_path(path, 0))):
        try:
            part = PartFile(folder, part_name, new=False)
        except (StoreOffline, StorageFailed) as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno not in _NO_PART:
                raise
        else:
            record.part = part_name
            return part
    return None


def _is_same_content(record: FileRecord, file: ArtifactFile) -> bool:
    """Return whether the kept bytes are of the content that is wanted now."""
    if record.size is not None and file.size is not None and record.size != file.size:
        return False
    if file.sha256 is not None:
        return record.identity == f"sha256:{file.sha256}"
    return record.identity is not None


def _restore_expected_digest(state: FileState) -> None:
    """Take the digest that the Hub named from the identity: a complete partial is verified without a request."""
    digest_name, _, digest = (state.record.identity or "").partition(":")
    if digest_name == "sha256":
        state.identity.expected_sha256 = digest
    elif digest_name == "git":
        state.identity.expected_git_sha1 = digest


def _fit_to_disk(record: FileRecord, on_disk: int) -> None:
    """Drop what the journal claims after the end of a part that was truncated."""
    record.kept.remove(on_disk, max(on_disk, record.size or 1 << 62))
    if record.frontier > record.kept.reach(0):
        piece = record.kept.reach(0) // record.piece if record.piece else 0
        record.states = {number: state for number, state in record.states.items() if number <= piece}
        record.frontier = piece * record.piece if piece in record.states else 0
        record.frontier_state = record.states.get(piece)


def _restore_digest(state: FileState, *, clean: bool) -> None:
    """Restore the digest at its frontier. After a crash each piece before the frontier must be checked."""
    record = state.record
    if record.frontier_state is None or not can_save():
        record.frontier, record.frontier_state = 0, None
        record.states.clear()
        return
    state.digest.running = Sha256(record.frontier_state)
    if not clean:
        state.digest.checks.extend(_checks(record))


def _checks(record: FileRecord) -> list[PieceCheck]:
    checks, start, before = [], 0, None
    for number in range(1, record.frontier // record.piece + 1):
        after = record.states.get(number)
        if after is None:
            continue  # this piece and the next are checked as one
        checks.append(PieceCheck(start, number * record.piece, before, after))
        start, before = number * record.piece, after
    if start < record.frontier and record.frontier_state is not None:
        checks.append(PieceCheck(start, record.frontier, before, record.frontier_state))
    return checks


def _create_if_empty(state: FileState, folder: Path) -> FileState:
    """Create the part of an empty file: there is nothing to request. Return the state."""
    if state.size == 0 and state.disk.part is None:
        state.disk.part = PartFile(folder, state.record.part, new=True)
        state.record.kept = Ranges()
    return state
