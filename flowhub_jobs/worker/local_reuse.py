"""Finds an artifact's bytes on this machine before a download: in the store, or in the folders of other programs.

    candidates (by a digest in the name, or the exact size) ─► read and hashed ─► linked ─► the rest is downloaded

Links never go where the transfer writes: through a hard link there it would write into another program's file.

<partial>/linked/…     the files that were found; at the end, for a folder, the downloaded files too
"""

import logging
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from flowhub_jobs.file_systems import mark_of, traits_of
from flowhub_jobs.fs.disk_errors import disk_errors, refuse_links, sync_tree
from flowhub_jobs.store.file_hash import FileStamp, UnreadableFile, hash_file, stamp_of
from flowhub_jobs.store.install import ArtifactParts
from flowhub_jobs.store.links import IN_THE_STORE, LINKS, LinkKind, link
from flowhub_jobs.store.other_apps import WantedFile, app_folders_of, find_by_digest
from flowhub_jobs.transfer.fetch import Fetched, FileProgress, TransferProgress
from flowhub_jobs.transfer.partial import journal
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile, FileDigest
from flowhub_jobs.values.enums import DigestState, EventKind, Stage
from flowhub_jobs.values.jobs import NewEvent
from flowhub_jobs.worker.context import Run, WorkerContext
from flowhub_jobs.worker.progress import ProgressWriter

log = logging.getLogger("flowhub.job")

LINKED = "linked"
# Files that this process has read and that were not the wanted ones: a job that is tried again does not read them
# again.
_refuted: set[tuple[FileStamp, str]] = set()


@dataclass(frozen=True, slots=True)
class LinkedFile:
    """One file of the artifact that was found on this machine and linked. `source` is the file that was found.

    `stamp` is that of `part` when its bytes had been read; a later write changes it.
    """

    part: Path
    digest: FileDigest
    source: Path
    kind: LinkKind
    stamp: FileStamp

    @property
    def is_unchanged(self) -> bool:
        try:
            return stamp_of(self.part) == self.stamp
        except UnreadableFile:
            return False


@dataclass(frozen=True, slots=True)
class LocalCopies:
    """The linked files of an artifact, by their numbers."""

    artifact: Artifact
    partial: Path
    linked: Mapping[int, LinkedFile]
    root: Path  # the store's

    @property
    def missing(self) -> Artifact | None:
        """Return the artifact with only the files that are still to be fetched; None if there are none."""
        if not self.linked:
            return self.artifact
        unlinked = tuple(file for number, file in enumerate(self.artifact.files) if number not in self.linked)
        return replace(self.artifact, files=unlinked) if unlinked else None

    def still_valid(self) -> "LocalCopies":
        """Return these copies without the files that were written to since they were read: they are missing again."""
        valid = {number: linked for number, linked in self.linked.items() if linked.is_unchanged}
        if len(valid) == len(self.linked):
            return self
        with disk_errors(self.partial):
            for number in self.linked.keys() - valid.keys():
                self.linked[number].part.unlink(missing_ok=True)
        return replace(self, linked=valid)

    def whole_progress(self, progress: TransferProgress) -> TransferProgress:
        """Return the progress of the whole artifact, from that of the transfer of the missing files."""
        if not self.linked:
            return progress
        missing = [number for number in range(len(self.artifact.files)) if number not in self.linked]
        files = [replace(file, number=missing[file.number]) for file in progress.files]
        files += [
            _linked_progress(number, linked, self.artifact.files[number]) for number, linked in self.linked.items()
        ]
        linked_bytes = sum(linked.digest.bytes for linked in self.linked.values())
        total = None if progress.total is None else progress.total + linked_bytes
        return replace(
            progress, total=total, kept=progress.kept + linked_bytes, files=tuple(sorted(files, key=lambda f: f.number))
        )

    def combined(self, fetched: Fetched | None) -> ArtifactParts:
        """Return the linked and the fetched files together, in the artifact's order."""
        if not self.linked:
            assert fetched is not None
            return ArtifactParts(fetched.files, fetched.parts, fetched.marks)
        downloaded = iter(zip(fetched.files, fetched.parts, fetched.marks, strict=True) if fetched else ())
        rows = []
        with disk_errors(self.partial):
            for number, file in enumerate(self.artifact.files):
                if number in self.linked:
                    linked = self.linked[number]
                    mark = mark_of(linked.part.lstat(), traits_of(linked.part.parent))
                    rows.append((linked.digest, linked.part, mark))
                else:
                    digest, part, mark = next(downloaded)
                    rows.append((digest, _link_fetched(part, self.partial / LINKED / file.path), mark))
        files, parts, marks = zip(*rows, strict=True)
        linked_from = _linked_from(self.artifact, self.linked, self.root)
        return ArtifactParts(files, parts, marks, LINKED, linked_from)


def _link_fetched(part: Path, target: Path) -> Path:
    """Give a fetched file a second name among those that were linked. The journal's entry for the first name stays
    true."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(part, target)
    except OSError:  # a disk without hard links
        part.replace(target)
    return target


# Search --------------------------------------------------------------------------------------------------------------


def find_local_copies(context: WorkerContext, run: Run, progress: ProgressWriter) -> LocalCopies:
    """Link the files of the job's artifact that are on this machine, and record it. A forced job links none."""
    artifact, partial = run.claimed.artifact, run.partial
    assert partial is not None, "a run that looks for bytes has its partial"
    # A crashed run's links are dropped, found and read again: their files may have changed since.
    shutil.rmtree(partial / LINKED, ignore_errors=True)
    if run.claimed.forced or not run.home.settings.look_elsewhere:
        return LocalCopies(artifact, partial, {}, run.home.store.root)
    search = _Search(context, run, progress, partial)
    linked = search.run()
    if linked:
        with disk_errors(partial):
            sync_tree(partial / LINKED)
        context.leases.record_event(run.lease, NewEvent(EventKind.LINKED, _linked_text(artifact, linked)))
    return LocalCopies(artifact, partial, linked, run.home.store.root)


class _Search:
    def __init__(self, context: WorkerContext, run: Run, progress: ProgressWriter, partial: Path) -> None:
        self._context, self._run, self._progress, self._partial = context, run, progress, partial
        self._artifact = run.claimed.artifact
        self._record = journal.load(partial)
        self._root = run.home.store.root.resolve()

    def run(self) -> dict[int, LinkedFile]:
        linked: dict[int, LinkedFile] = {}
        missing = {number: file for number, file in enumerate(self._artifact.files) if self._is_missing(file)}
        by_digest: dict[str, list[int]] = {}
        for number, file in missing.items():
            by_digest.setdefault(file.sha256 or file.git_sha1 or "", []).append(number)
        for wanted_file, path in self._candidates(missing):
            self._run.cancel.check()
            for number in by_digest[wanted_file.digest]:
                if number not in linked and (new_link := self._link(self._artifact.files[number], path)):
                    linked[number] = new_link
        return linked

    def _is_missing(self, file: ArtifactFile) -> bool:
        record = self._record.files.get(file.path)
        is_complete = record is not None and file.size is not None and record.kept.total == file.size
        return bool(file.sha256 or file.git_sha1) and not is_complete and file.size != 0

    def _candidates(self, missing: Mapping[int, ArtifactFile]) -> Iterator[tuple[WantedFile, Path]]:
        """Yield candidates: first those of the library, then files of other programs by their names and sizes."""
        wanted = [WantedFile(file.sha256 or file.git_sha1 or "", file.size) for file in missing.values()]
        wanted = list(dict.fromkeys(wanted))
        if wanted:
            yield from self._library_copies({want.digest: want for want in wanted})
            yield from find_by_digest(app_folders_of(os.environ), wanted)

    def _library_copies(self, wanted: Mapping[str, WantedFile]) -> Iterator[tuple[WantedFile, Path]]:
        for digest, path in self._run.home.library.by_digest(list(wanted)):
            yield wanted[digest], path

    def _link(self, file: ArtifactFile, path: Path) -> LinkedFile | None:
        """Read a file, and link it if it is the one that is wanted."""
        try:
            real = path.resolve(strict=True)
            stamp = stamp_of(real)
            if (stamp, file.identity) in _refuted or file.size not in (None, stamp.size):
                return None
            self._progress.show(self._journal_progress())
            hashed = hash_file(real, self._run.cancel.check, git=file.sha256 is None)
            if (hashed.sha256 if file.sha256 else hashed.git_sha1) != (file.sha256 or file.git_sha1):
                _refuted.add((hashed.stamp, file.identity))
                return None
            return self._link_read_file(file, real, hashed.stamp, hashed.sha256)
        except (OSError, UnreadableFile, RuntimeError) as error:
            job = self._run.lease.job
            log.info("Job %d: %s is not used: %s", job, path, error, extra={"job": job})
            return None

    def _link_read_file(self, file: ArtifactFile, real: Path, stamp: FileStamp, sha256: str) -> LinkedFile | None:
        part = self._partial / LINKED / file.path
        self._run.cancel.check()
        refuse_links(self._partial.parent, self._partial)
        part.parent.mkdir(parents=True, exist_ok=True)
        kind = link(real, stamp, part, IN_THE_STORE if real.is_relative_to(self._root) else LINKS)
        if kind is None:
            return None
        # A reflink is a new file with its own time; the other kinds are the very file that was read.
        stamp = stamp_of(part) if kind is LinkKind.REFLINK else stamp
        digest = FileDigest(file.path, stamp.size, sha256, pinned=True, mtime_ns=stamp.mtime_ns)
        return LinkedFile(part, digest, real, kind, stamp)

    def _journal_progress(self) -> TransferProgress:
        """Return the progress while other programs' files are read: the journal's, without a transfer."""
        nothing = journal.FileRecord("")
        records = [self._record.files.get(file.path, nothing) for file in self._artifact.files]
        state = DigestState.RUNNING
        files = tuple(
            FileProgress(number, file.size or record.size, record.kept.total, file.sha256, record.identity, state)
            for number, (file, record) in enumerate(zip(self._artifact.files, records, strict=True))
        )
        kept = sum(file.kept for file in files)
        return TransferProgress(Stage.VERIFY, self._artifact.size, kept, self._run.claimed.fetched, 0, 0, files)


def _linked_progress(number: int, linked: LinkedFile, file: ArtifactFile) -> FileProgress:
    size = linked.digest.bytes
    return FileProgress(number, size, size, file.sha256 or linked.digest.sha256, None, DigestState.VERIFIED)


# Text ----------------------------------------------------------------------------------------------------------------


def _linked_text(artifact: Artifact, linked: Mapping[int, LinkedFile]) -> str:
    first = next(iter(linked.values()))
    copy = f"a {first.kind.text} of {first.source}" + (f" and {len(linked) - 1} more" if len(linked) > 1 else "")
    if len(linked) == len(artifact.files):
        return f"Its bytes were on this machine already: linked from there, {copy}; nothing was downloaded."
    return f"{len(linked)} of its {len(artifact.files)} files were on this machine already: linked from there, {copy}."


def changed_text(before: LocalCopies, after: LocalCopies) -> str:
    """Return the event's text for linked files that are downloaded after all."""
    changed = [before.linked[number].source for number in sorted(before.linked.keys() - after.linked.keys())]
    more_text = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    return f"{changed[0]}{more_text} was written to after it had been read: flowhub downloads it instead."


def _linked_from(artifact: Artifact, linked: Mapping[int, LinkedFile], root: Path) -> str | None:
    """Return the file of another program, or the folder of the first such file, whose bytes the artifact shares."""
    outside = [file.source for file in linked.values() if not file.source.is_relative_to(root.resolve())]
    return str(outside[0].parent if artifact.folder else outside[0]) if outside else None
