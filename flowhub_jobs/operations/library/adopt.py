"""Adopts models: links their files into the store, then records them in the library.

    link into a folder of partials ─► check that the file did not change ─► sync ─► rename ─► sync ─► the index

A crash before the rename leaves nothing under a name; one after it leaves a file that the library does not know, which
the next `adopt` finds in the store and records in place.
"""

import shutil
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.database.engine import writing
from flowhub_jobs.errors import Busy, NameTaken, StorageFailed
from flowhub_jobs.file_systems import mark_of, traits_of
from flowhub_jobs.fs.disk_errors import disk_errors, sync_tree
from flowhub_jobs.fs.locks import LockFile, held_lock
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.lease_store import LeaseStore
from flowhub_jobs.jobs.run_values import LEASE_S
from flowhub_jobs.operations.library.adopt_scan import AdoptableModel
from flowhub_jobs.store.file_hash import FileStamp, HashedFile, UnreadableFile, hash_file, stamp_of
from flowhub_jobs.store.install import InstallResult, choose_name, rename_into_place
from flowhub_jobs.store.layout import PARTIAL
from flowhub_jobs.store.links import LINKS, LinkKind, link
from flowhub_jobs.store.space import check_room
from flowhub_jobs.values.artifacts import Artifact, FileDigest


@dataclass(frozen=True, slots=True)
class Adopted:
    """Result of an adoption: the model's name in the store, and the kind of link; None: it was in the store already."""

    name: str
    path: Path
    how: LinkKind | None


class Adoption:
    """Adopts one offer at a time; no other `adopt` of this home runs concurrently. Raises Busy."""

    def __init__(self, home: Home, kinds: tuple[LinkKind, ...] = LINKS) -> None:
        self._home, self._kinds = home, kinds
        self._folder = home.store.root / PARTIAL / f"adopt.{home.node}"
        try:
            self._lock = LockFile(home.settings.locks / "adopt.lock")
        except OSError as error:
            raise Busy("Another `flowhub adopt` is at work.", hint="Wait for it, then try again.") from error

    def close(self) -> None:
        self._remove_leftovers()  # also what one that was killed has left
        self._lock.release()

    def _remove_leftovers(self) -> None:
        """Remove the staged links: flowhub's own names, never the files of other programs."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def adopt(self, offer: AdoptableModel) -> Adopted:
        """Take one model in. Raises NameTaken, Busy (as where it is written to), DiskFull, StorageFailed."""
        try:
            with disk_errors(self._home.store.root):
                if offer.in_place:
                    return self._record_in_place(offer)
                if LinkKind.COPY in self._kinds:
                    room = self._home.room()
                    check_room(room, offer.size, self._home.bytes_promised(), self._home.store.root)
                return self._link(offer)
        except UnreadableFile as error:
            message = f"{offer.candidate.where} {error}; it was not taken."
            raise Busy(message, hint="Wait until no program writes to it, then adopt it again.") from error

    # In the store --------------------------------------------------------------------------------------------------

    def _record_in_place(self, offer: AdoptableModel) -> Adopted:
        name, artifact = offer.candidate.name, offer.recognized.artifact
        path = self._home.store.root / name
        with self._installing():
            if self._owner(name) is not None:
                raise Busy(f"{name} was installed by another process.", hint="`flowhub list` shows it.")
            self._index(offer, InstallResult(name, path, _digests(offer), offer.shares), artifact)
        return Adopted(name, path, None)

    # In other folders ----------------------------------------------------------------------------------------------

    def _link(self, offer: AdoptableModel) -> Adopted:
        artifact = offer.recognized.artifact
        try:
            staged, kind = self._stage(offer)
            with self._installing():
                name = choose_name(artifact, self._home.store, self._owner)
                self._refuse_busy(name)
                replace_own = self._owner(name) == artifact.claim
                mark = mark_of(staged.lstat(), traits_of(staged.parent))
                try:
                    path = rename_into_place(
                        staged, name, self._home.store, replace_own=replace_own, may_write=lambda: None
                    )
                    self._index(offer, InstallResult(name, path, _digests(offer), _shared_path(offer, kind)), artifact)
                except NameTaken:
                    raise  # flowhub did not install what has the name
                except BaseException:  # also Ctrl-C: without a row, the file would count as put there by hand
                    self._take_back(name, mark)
                    raise
        except NameTaken as error:
            raise NameTaken(error.message, hint="Move or remove it, then adopt again.") from error
        return Adopted(name, path, kind)

    def _take_back(self, name: str, mark: tuple[int, ...]) -> None:
        """Remove the adopted model from its name, if the rename has happened."""
        with suppress(OSError):
            path = self._home.store.path_of(name)
            if mark_of(path.lstat(), traits_of(path.parent)) == mark:
                self._home.store.remove(name)

    def _stage(self, offer: AdoptableModel) -> tuple[Path, LinkKind]:
        """Link all files of the offer into the folder of partials; return the one thing to rename."""
        artifact = offer.recognized.artifact
        self._remove_leftovers()
        self._folder.mkdir(parents=True)
        kinds = []
        for file, source in zip(artifact.files, offer.recognized.files, strict=True):
            target = self._folder / "model" / file.path if artifact.folder else self._folder / "model"
            target.parent.mkdir(parents=True, exist_ok=True)
            kinds.append(_link_file(source, target, self._kinds))
        sync_tree(self._folder)
        return self._folder / "model", max(kinds, key=list(LinkKind).index)

    def _refuse_busy(self, name: str) -> None:
        job = self._home.queries.working_on([str(self._home.store.root / name)])
        if job is not None:
            raise Busy(f"{name} is being worked on by job {job}.", hint="Wait for it, then adopt again.")

    def _owner(self, name: str) -> str | None:
        leases = LeaseStore(self._home.engine, self._home.node, "adopt", self._home.clock)
        return self._home.library.owner(name) or leases.name_owner_by_intent(
            name, except_job=0, store=self._home.store.name
        )

    def _installing(self) -> AbstractContextManager[None]:
        """The lock that a worker holds between the choice of a name and its row."""
        return held_lock(self._home.settings.locks / "install", may_continue=lambda: None, at_most_s=2 * LEASE_S)

    def _index(self, offer: AdoptableModel, placed: InstallResult, artifact: Artifact) -> None:
        with writing(self._home.engine) as tx:
            self._home.library.record_installed(tx, artifact, placed, None, self._home.clock.now_us())
            # The index has taken each file's time: from here on a change is noticed, and until here there was none.
            for file, source in zip(artifact.files, offer.recognized.files, strict=True):
                _check_unchanged(placed.path / file.path if artifact.folder else placed.path, source.stamp)


def _link_file(source: HashedFile, target: Path, kinds: tuple[LinkKind, ...]) -> LinkKind:
    kind = link(source.path, source.stamp, target, kinds)
    if kind is None:
        raise StorageFailed(f"{source.path} cannot be linked with any of the allowed methods.")
    if kind is LinkKind.COPY and hash_file(target, lambda: None).sha256 != source.sha256:
        raise UnreadableFile("was written to while it was copied")
    return kind


def _check_unchanged(path: Path, expected: FileStamp) -> None:
    stamp = stamp_of(path)
    same_file = stamp.identity is not None and stamp.identity == expected.identity
    if stamp.size != expected.size or (same_file and stamp != expected):
        raise UnreadableFile("was written to since it was read")


def _digests(offer: AdoptableModel) -> tuple[FileDigest, ...]:
    pairs = zip(offer.recognized.artifact.files, offer.recognized.files, strict=True)
    return tuple(FileDigest(file.path, hashed.stamp.size, hashed.sha256, pinned=True) for file, hashed in pairs)


def _shared_path(offer: AdoptableModel, kind: LinkKind) -> str | None:
    return None if kind is LinkKind.COPY else offer.shares
