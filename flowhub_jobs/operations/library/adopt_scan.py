"""Scan for models that `adopt` could take: unknown ones in the store, and those of other programs.

    names and first bytes ─► every byte of new files is read (several in parallel) ─► identify ─► offers

Nothing is changed. Only digests identify a model; names prove nothing.
"""

import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from flowhub_jobs.errors import NameTaken, NotFound, UsageInvalid
from flowhub_jobs.fs.names import name_problem, same_name_key
from flowhub_jobs.home import Home
from flowhub_jobs.operations.library.identify import Identified, Identifier, false_claim
from flowhub_jobs.operations.library.incomplete_model_files import truncation_problem
from flowhub_jobs.operations.library.placed import placed_files
from flowhub_jobs.store.file_hash import HashedFile, UnreadableFile, hash_file, read_error_text, stamp_of
from flowhub_jobs.store.folder_scan import (
    STORE,
    Candidate,
    FoundFile,
    ScanResult,
    Skipped,
    candidate_in_store,
    file_by_name,
)
from flowhub_jobs.store.install import choose_name
from flowhub_jobs.store.layout import PARTIAL
from flowhub_jobs.store.library_check import is_unchanged
from flowhub_jobs.store.links import LINKS, LinkKind, probe_link_kind
from flowhub_jobs.store.other_apps import FOLDER, PROGRAMS, app_folder_at, app_folders_of, scan_app_folder
from flowhub_jobs.values.artifacts import Artifact

AT_ONCE = min(8, os.cpu_count() or 1)
Inode = tuple[int, int]
OnProgress = Callable[[int, int], None]  # bytes read, of how many


@dataclass(frozen=True, slots=True)
class AdoptableModel:
    """A model that could be taken, and the `name` that it would have in the store.

    `how` is None for one that is in the store; `same_as` is the name of the same bytes that are there already. `shares`
    is the other program's file or folder whose bytes it has, as far as known.
    """

    candidate: Candidate
    recognized: Identified
    how: LinkKind | None
    same_as: str | None = None
    shares: str | None = None
    name: str = ""

    @property
    def in_place(self) -> bool:
        return self.candidate.program == STORE

    @property
    def size(self) -> int:
        return sum(file.stamp.size for file in self.recognized.files)


@dataclass(slots=True)
class AdoptScan:
    offers: list[AdoptableModel] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


class AdoptScanner:
    """One scan. `stop` may be set from another thread to end the reading."""

    def __init__(
        self, home: Home, recognizer: Identifier, environ: Mapping[str, str], kinds: Sequence[LinkKind] = LINKS
    ) -> None:
        self._home, self._recognizer, self._environ, self._kinds = home, recognizer, environ, kinds
        self._root = home.store.root.resolve()
        self._placed = placed_files(home)
        self._stop = threading.Event()

    def scan(self, targets: Sequence[str], on_progress: OnProgress = lambda read, total: None) -> AdoptScan:
        """Return what could be adopted from these programs, folders and files, all known places if none is named.

        The store is always looked through as well. Raises NotFound, UsageInvalid for a target that is nothing.
        """
        result = ScanResult()
        self._look_in_store(result)
        others_result = ScanResult()
        self._scan_programs(targets, others_result)
        result.skipped += others_result.skipped
        result.candidates += [
            candidate for candidate in _without_duplicates(others_result.candidates) if not self._is_of_store(candidate)
        ]
        hashes = self._read(result, on_progress)
        return AdoptScan(self._offers(result, hashes), result.skipped)

    # Look ----------------------------------------------------------------------------------------------------------

    def _look_in_store(self, result: ScanResult) -> None:
        installed_names = {same_name_key(entry.name) for entry in self._home.library.entries_here()}
        for path in sorted(self._root.iterdir()):
            if path.name.startswith(".") or same_name_key(path.name) in installed_names:
                continue
            if problem := name_problem(path.name):
                result.skip(path, f"has a name that is not taken: it {problem}")
            elif job := self._home.queries.working_on([str(self._home.store.root / path.name)]):
                result.skip(path, f"is being worked on by job {job}")
            else:
                try:
                    candidate = candidate_in_store(path, result)
                except OSError as error:
                    result.skip(path, read_error_text(error))
                    continue
                result.candidates += [candidate] if candidate else []

    def _scan_programs(self, targets: Sequence[str], result: ScanResult) -> None:
        app_folders = app_folders_of(self._environ)
        if not targets:
            for app in app_folders:
                scan_app_folder(app, result)
        for target in targets:
            if target in PROGRAMS:
                for app in app_folders:
                    if app.program == target:
                        scan_app_folder(app, result)
            elif target != STORE:
                self._look_at_path(target, result)

    def _look_at_path(self, target: str, result: ScanResult) -> None:
        try:
            path = Path(target).expanduser().resolve(strict=True)
        except (OSError, ValueError, RuntimeError):
            hint = f"Name a file, a folder, or one of {', '.join(PROGRAMS)}."
            raise NotFound(f"There is no file and no folder {target!r}.", hint=hint) from None
        try:
            if path.is_dir():
                scan_app_folder(app_folder_at(path), result)
            elif path.is_file():
                file_by_name(path, FOLDER, result)
            else:
                raise UsageInvalid(f"{target!r} is neither a file nor a folder.")
        except OSError as error:
            result.skip(path, read_error_text(error))

    def _is_of_store(self, candidate: Candidate) -> bool:
        """Return whether a model is the store's, or a placement of one that is."""
        return any(file.real.is_relative_to(self._root) or file.real in self._placed for file in candidate.files)

    # Read ----------------------------------------------------------------------------------------------------------

    def _read(self, result: ScanResult, on_progress: OnProgress) -> dict[Path, HashedFile]:
        """Return the digests of all files that were found; candidates that cannot be read are dropped."""
        sha256_by_inode = self._sha256_by_inode()
        by_path = {file.real: file for candidate in result.candidates for file in candidate.files}
        hashes = {path: hashed for path in by_path if (hashed := _without_reading(path, sha256_by_inode))}
        unread = [file for path, file in by_path.items() if path not in hashes]
        reading = _Reading(self._stop, on_progress, sum(file.size for file in unread))
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="read") as pool:
            try:
                answers = list(pool.map(reading.read, unread))
            except BaseException:
                self._stop.set()
                pool.shutdown(cancel_futures=True)
                raise
        hashes |= {answer.path: answer for answer in answers if isinstance(answer, HashedFile)}
        failed = {
            file.real: str(answer)
            for file, answer in zip(unread, answers, strict=True)
            if isinstance(answer, UnreadableFile)
        }
        for candidate in [
            candidate for candidate in result.candidates if any(file.real in failed for file in candidate.files)
        ]:
            result.candidates.remove(candidate)
            result.skip(candidate.where, next(failed[file.real] for file in candidate.files if file.real in failed))
        return hashes

    def _sha256_by_inode(self) -> dict[Inode, str]:
        """Return the sha256 of installed, unchanged files by inode: a hard link of one need not be read."""
        by_inode = {}
        for entry in self._home.library.entries_here():
            path = self._home.store.root / entry.name
            if is_unchanged(entry, path):
                for name, file in entry.files.items():
                    with suppress(UnreadableFile):
                        stamp = stamp_of(path / name if path.is_dir() else path)
                        if stamp.identity:
                            by_inode[stamp.identity] = file.sha256
        return by_inode

    # Recognize -----------------------------------------------------------------------------------------------------

    def _offers(self, result: ScanResult, hashes: Mapping[Path, HashedFile]) -> list[AdoptableModel]:
        installed = self._installed()
        others = {
            identity: file.real
            for candidate in result.candidates
            for file in candidate.files
            if candidate.program != STORE and (identity := hashes[file.real].stamp.identity)
        }
        offers: list[AdoptableModel] = []
        claims: dict[str, str] = {}  # the owner of each name, by the offers so far
        for candidate in result.candidates:
            files = [hashes[file.real] for file in candidate.files]
            if wrong := false_claim(candidate, files):
                result.skip(candidate.where, wrong)
                continue
            recognized = self._recognizer.identify(candidate, files, in_place=candidate.program == STORE)
            if recognized.artifact.option is None and (
                wrong := truncation_problem(candidate, files)
            ):  # no digest vouches for it
                result.skip(candidate.where, wrong)
                continue
            offer = self._offer(candidate, recognized, others)
            bytes_of = _bytes_of(file.sha256 for file in offer.recognized.files)
            same_as = None if offer.in_place else installed.get(bytes_of)
            name = candidate.name if offer.in_place else same_as or self._name(offer.recognized.artifact, claims)
            installed.setdefault(bytes_of, name)
            offers.append(AdoptableModel(candidate, offer.recognized, offer.how, same_as, offer.shares, name))
        return offers

    def _name(self, artifact: Artifact, claims: dict[str, str]) -> str:
        """Return the name that the artifact would get after the offers before it."""
        name = artifact.name
        if claims.get(same_name_key(name), artifact.claim) != artifact.claim:
            name = artifact.second_name()
        else:
            with suppress(NameTaken):  # adopting it says so
                name = choose_name(artifact, self._home.store, self._home.library.owner)
        claims.setdefault(same_name_key(name), artifact.claim)
        return name

    def _offer(self, candidate: Candidate, recognized: Identified, others: Mapping[Inode, Path]) -> AdoptableModel:
        first = recognized.files[0]
        if candidate.program != STORE:
            kind = probe_link_kind(first.path, self._home.store.root / PARTIAL, self._kinds)
            return AdoptableModel(candidate, recognized, kind, shares=_path_or_folder(first.path, candidate))
        outside = None if first.path.is_relative_to(self._root) else first.path
        shares = outside or (others.get(first.stamp.identity) if first.stamp.identity else None)
        return AdoptableModel(
            candidate, recognized, None, shares=_path_or_folder(shares, candidate) if shares else None
        )

    def _installed(self) -> dict[tuple[str, ...], str]:
        """Return the names of installed, unchanged models, by the digests of all files."""
        entries = self._home.library.entries_here()
        sound = [entry for entry in entries if is_unchanged(entry, self._home.store.root / entry.name)]
        return {_bytes_of(file.sha256 for file in entry.files.values()): entry.name for entry in sound}


class _Reading:
    """Reads files in parallel, and counts the bytes read."""

    def __init__(self, stop: threading.Event, on_progress: OnProgress, total: int) -> None:
        self._stop, self._on_progress, self._total = stop, on_progress, total
        self._read, self._lock = 0, threading.Lock()

    def read(self, file: FoundFile) -> HashedFile | UnreadableFile:
        try:
            return hash_file(
                file.real, self._check_stop, self._count, git=file.claim is not None and len(file.claim) == 40
            )
        except UnreadableFile as error:
            return error

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise UnreadableFile("was not read to its end")

    def _count(self, count: int) -> None:
        with self._lock:
            self._read += count
            self._on_progress(self._read, self._total)


def _without_reading(path: Path, sha256_by_inode: Mapping[Inode, str]) -> HashedFile | None:
    """Return the digests known of a file by its inode. A small file is always read: its git id may be needed."""
    with suppress(UnreadableFile):
        stamp = stamp_of(path)
        if stamp.size > 64 << 20 and stamp.identity and (sha256 := sha256_by_inode.get(stamp.identity)):
            return HashedFile(path, stamp, sha256, "")
    return None


def _without_duplicates(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates without those that are the same files as an earlier one, under other names."""
    return list(
        {tuple(file.real for file in candidate.files): candidate for candidate in reversed(candidates)}.values()
    )[::-1]


def _bytes_of(digests: Iterable[str]) -> tuple[str, ...]:
    """Return a key that is equal for models with the same bytes, whatever their files are called."""
    return tuple(sorted(digests))


def _path_or_folder(first: Path, candidate: Candidate) -> str:
    """Return the other program's file, or the folder of its files."""
    if not candidate.folder:
        return str(first)
    return str(candidate.where if candidate.where.is_dir() and candidate.program != STORE else first.parent)
