"""Goes on with what an earlier run left: the journal's word, held against what lies there."""

import errno
from collections.abc import Callable
from pathlib import Path

from flowhub_jobs.errors import StorageFailed, StoreOffline
from flowhub_jobs.fs.disk_errors import disk_errors, refuse_links
from flowhub_jobs.pieces.digest import Sha256, can_save
from flowhub_jobs.pieces.ranges import Ranges, piece_size
from flowhub_jobs.transfer.file_state import FileState, PieceCheck
from flowhub_jobs.transfer.partial.journal import FileRecord, Journal, Record, load
from flowhub_jobs.transfer.partial.part_file import FILES, PartFile, generation_of, part_path
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.artifacts import ArtifactFile

_NO_PART = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR)


def resume_partial(
    transfer: TransferState, tag: str, fetched: int, may_write: Callable[[], None] = lambda: None
) -> Journal:
    """Fill the transfer with what is kept, and return the journal, written anew: from now on it is ours alone.

    `fetched` is what the job has counted itself; the journal knows better, if it speaks of the same job. `may_write`
    raises where the partial is another's by now: who was suspended in here must take nothing from its successor.
    """
    with disk_errors(transfer.folder):
        for folder in transfer.folder.glob(f"{FILES}*"):
            refuse_links(transfer.folder, folder)  # what it led to would be taken for ours, and tidied away
        old = load(transfer.folder)
    transfer.fetched = max(fetched, old.fetched if old.tag == tag else 0)
    transfer.fetched_before = transfer.fetched_committed = transfer.fetched
    for number, file in enumerate(transfer.artifact.files):
        transfer.add(_reopen_file(transfer.folder, number, file, old))
    with disk_errors(transfer.folder):
        log = Journal(transfer.folder, _record_of(transfer, tag), may_write)
        try:
            _sweep(transfer, may_write)
        except BaseException:
            log.close()
            raise
    return log


def _sweep(transfer: TransferState, may_write: Callable[[], None]) -> None:
    """Remove what no record speaks of: parts that were begun anew since, which would fill the disk unseen."""
    spoken_of = {transfer.folder / state.record.part for state in transfer.files}
    for folder in transfer.folder.glob(f"{FILES}*"):
        for path in folder.rglob("*"):
            if path not in spoken_of and (path.is_symlink() or not path.is_dir()):
                may_write()
                path.unlink()


def _record_of(transfer: TransferState, tag: str) -> Record:
    return Record(files={state.file.path: state.record for state in transfer.files}, fetched=transfer.fetched, tag=tag)


def _reopen_file(folder: Path, number: int, file: ArtifactFile, old: Record) -> FileState:
    record = old.files.get(file.path)
    part = _open_part(folder, file.path, record)
    if record is None or part is None or not _goes_on(record, file):
        if part is not None:
            part.close()
        generation = generation_of(record.part) + 1 if record else 0
        # The piece of a file of unknown size is settled by its first answer.
        piece = 0 if file.size is None else piece_size(file.size)
        fresh = FileRecord(part_path(file.path, generation), size=file.size, piece=piece)
        return _empty_or_waiting(FileState.of(number, file, fresh), folder)
    _fit_to_disk(record, part.size)
    part.close()  # until it is its turn
    state = FileState.of(number, file, record, part)
    _remember_word(state)
    state.disk.most_kept = state.disk.committed = record.kept.total
    state.identity.head_checked = record.kept.reach(0) > 0
    _go_on_hashing(state, clean=old.clean)
    return _empty_or_waiting(state, folder)


def _open_part(folder: Path, path: str, record: FileRecord | None) -> PartFile | None:
    """Return the part of a record, open; None if it is not there, or is a link or a folder: then it is fetched.

    Raises the disk's other errors: what only cannot be read now is not to be fetched again.
    """
    if record is None:
        return None
    # An installation that was cut short may have moved it among the others already (store/install.py, `stage`).
    for place in dict.fromkeys((record.part, part_path(path, 0))):
        try:
            part = PartFile(folder, place, new=False)
        except (StoreOffline, StorageFailed) as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno not in _NO_PART:
                raise
        else:
            record.part = place
            return part
    return None


def _goes_on(record: FileRecord, file: ArtifactFile) -> bool:
    """Return whether what is kept belongs to the content that is wanted now."""
    if record.size is not None and file.size is not None and record.size != file.size:
        return False
    if file.sha256 is not None:
        return record.identity == f"sha256:{file.sha256}"
    return record.identity is not None


def _remember_word(state: FileState) -> None:
    """Take the digest that the Hub named from the identity: a partial that is whole is not asked for any more."""
    kind, _, digest = (state.record.identity or "").partition(":")
    if kind == "sha256":
        state.identity.expected_sha256 = digest
    elif kind == "git":
        state.identity.expected_git_sha1 = digest


def _fit_to_disk(record: FileRecord, on_disk: int) -> None:
    """Forget what the journal claims behind the end of a partial that was cut short."""
    record.kept.remove(on_disk, max(on_disk, record.size or 1 << 62))
    if record.frontier > record.kept.reach(0):
        piece = record.kept.reach(0) // record.piece if record.piece else 0
        record.states = {number: state for number, state in record.states.items() if number <= piece}
        record.frontier = piece * record.piece if piece in record.states else 0
        record.frontier_state = record.states.get(piece)


def _go_on_hashing(state: FileState, *, clean: bool) -> None:
    """Restore the digest at its frontier. After a crash, what lies before it waits to be checked, piece by piece."""
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
            continue  # two pieces in one, then
        checks.append(PieceCheck(start, number * record.piece, before, after))
        start, before = number * record.piece, after
    if start < record.frontier and record.frontier_state is not None:
        checks.append(PieceCheck(start, record.frontier, before, record.frontier_state))
    return checks


def _empty_or_waiting(state: FileState, folder: Path) -> FileState:
    # A file without a byte has nothing to ask for: it is there as soon as it is made.
    if state.size == 0 and state.disk.part is None:
        state.disk.part = PartFile(folder, state.record.part, new=True)
        state.record.kept = Ranges()
    return state
