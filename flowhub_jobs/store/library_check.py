"""Compares the library's entries with the store's files by name, size and time. Reads no bytes, writes nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from flowhub_jobs.file_systems import same_time, traits_of
from flowhub_jobs.store.desktop_files import is_desktop_file
from flowhub_jobs.store.layout import Store, files_in
from flowhub_jobs.times import moment
from flowhub_jobs.values.artifacts import InstalledModel, LocalLlm, claim_of
from flowhub_jobs.values.enums import Condition, HubFormat

InCatalog = Callable[[str, str], bool]
Damage = Mapping[str, Sequence[Sequence[int]]]  # ranges that differ, by the path of their file


class Presence(Enum):
    """State of the disk that an entry is on: whether it is at the store's path now."""

    HERE = "here"
    AWAY = "away"  # not mounted
    ANOTHER = "another"  # the path leads to a disk with another store's identity


@dataclass(frozen=True, slots=True)
class EntryFile:
    """One file as it was installed."""

    bytes: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LibraryEntry:
    """The library's row of one model. `files` are by path inside the folder; times are microseconds."""

    name: str
    key: str
    ref: str
    model: str | None
    option: str | None
    format: HubFormat | None
    bytes: int
    sha256: str | None
    linked_from: str | None
    damage: Damage | None
    installed_at: int
    verified_at: int
    files: Mapping[str, EntryFile]
    id: int = 0  # of its row
    job: int | None = None  # of the job that installed it; None where it is unknown
    store_id: str = ""  # of the store that it was installed in; '' where unknown

    @property
    def claim(self) -> str:
        """Return the owner of its name (artifacts.Artifact.claim): entries of one claim are versions of one model."""
        return claim_of(self.ref, self.model, self.key)


@dataclass(frozen=True, slots=True)
class Inventory:
    """Installed models by name, the entries whose files were removed by hand, and the names of old versions."""

    models: list[InstalledModel]
    gone: list[LibraryEntry]
    old: list[str]


def take_inventory(
    store: Store,
    entries: Sequence[LibraryEntry],
    in_catalog: InCatalog,
    presence_of: Callable[[LibraryEntry], Presence],
) -> Inventory:
    """Return the store's content joined to the library. A file on a disk that is away does not count as gone.

    A model of another store is listed next to the one that has its name here.
    """
    files = {local.name: local for local in store.models()}
    listed = {entry.name for entry in entries if presence_of(entry) is not Presence.ANOTHER}
    models, removed = [], []
    for entry in entries:
        presence = presence_of(entry)
        if is_gone(store, entry, presence):
            removed.append(entry)
        elif presence is not Presence.ANOTHER:
            models.append(installed_model(store, entry, files.get(entry.name), in_catalog, presence))
        elif entry.name not in listed and is_unchanged(entry, store.root / entry.name):
            listed.add(entry.name)  # a copy of that store
            models.append(installed_model(store, entry, files.get(entry.name), in_catalog, Presence.HERE))
        else:
            models.append(installed_model(store, entry, None, in_catalog, Presence.AWAY))
    models += [unknown_model(local) for name, local in files.items() if name not in listed]
    lost = {entry.id for entry in removed}
    present = [entry for entry in entries if entry.id not in lost and presence_of(entry) is not Presence.ANOTHER]
    return Inventory(sorted(models, key=lambda model: model.name), removed, sorted(old_versions(present)))


def is_gone(store: Store, entry: LibraryEntry, presence: Presence) -> bool:
    """Return whether its file or folder was removed. A dangling link counts as present."""
    path = store.root / entry.name
    return presence is Presence.HERE and not path.exists() and not path.is_symlink()


def unknown_model(local: LocalLlm) -> InstalledModel:
    """Return a model that was put into the store by hand."""
    return InstalledModel(local.name, None, None, local.format, local.path, local.bytes, None, None, None, False)


def installed_model(
    store: Store, entry: LibraryEntry, local: LocalLlm | None, in_catalog: InCatalog, presence: Presence
) -> InstalledModel:
    """Return one model of the library; `local` is the file or folder under its name, None if there is none."""
    path = store.root / entry.name
    return InstalledModel(
        name=entry.name,
        model=entry.model,
        option=entry.option,
        format=entry.format or (local.format if local else None),
        path=path,
        bytes=local.bytes if local else entry.bytes,
        sha256=entry.sha256,
        installed_at=moment(entry.installed_at),
        verified_at=moment(entry.verified_at),
        in_catalog=bool(entry.model and entry.option and in_catalog(entry.model, entry.option)),
        condition=condition_of(entry, path, presence),
        source=entry.ref,
        linked_from=entry.linked_from,
    )


def condition_of(entry: LibraryEntry, path: Path, presence: Presence = Presence.HERE) -> Condition:
    """Return the condition of an installed model. On another store's disk, a file of its name proves nothing."""
    if presence is Presence.AWAY or (presence is Presence.ANOTHER and not is_unchanged(entry, path)):
        return Condition.OFFLINE
    if entry.damage is not None:
        return Condition.DAMAGED
    return Condition.GOOD if is_unchanged(entry, path) else Condition.CHANGED


def is_unchanged(entry: LibraryEntry, path: Path) -> bool:
    """Return whether every file has the size and time that it was installed with, and a folder has no other file.

    Files that begin with a dot do not count: desktops create them in every folder they show.
    """
    if not has_its_files(entry, path):
        return False
    added = added_files(entry, path) if path.is_dir() else set()
    return all(Path(name).name.startswith(".") for name in added)


def has_its_files(entry: LibraryEntry, path: Path) -> bool:
    """Return whether every file has the size and time that it was installed with. A folder may have other files."""
    folder = path.is_dir()
    return all(is_as_installed(path / name if folder else path, f.bytes, f.mtime_ns) for name, f in entry.files.items())


def is_as_installed(path: Path, size: int, mtime_ns: int) -> bool:
    """Return whether a file has the size and the time that it was installed with, as its file system keeps times."""
    try:
        status = path.stat()
    except OSError:
        return False
    if status.st_size != size or status.st_mtime_ns == mtime_ns:
        return status.st_size == size
    return same_time(mtime_ns, status.st_mtime_ns, traits_of(path))


def is_lost(entry: LibraryEntry, top: Path) -> bool:
    """Return whether all that an entry lacks are dead links, and every other file is as installed."""
    paths = {top / path if top.is_dir() else top: file for path, file in entry.files.items()}
    intact = {path: file for path, file in paths.items() if not _is_dead_link(path)}
    return len(intact) < len(paths) and all(
        is_as_installed(path, file.bytes, file.mtime_ns) for path, file in intact.items()
    )


def _is_dead_link(path: Path) -> bool:
    return path.is_symlink() and not path.exists()


def added_files(entry: LibraryEntry, folder: Path) -> set[str]:
    """Return the paths of the files in an installed folder that were not installed with it, but for a desktop's own."""
    paths = {file.relative_to(folder) for file in files_in(folder)}
    return {str(path) for path in paths if not is_desktop_file(path)} - entry.files.keys()


def old_versions(entries: Sequence[LibraryEntry]) -> dict[str, LibraryEntry]:
    """Return the entries with a newer version under another name: the newest one, by the old one's name.

    The same bytes under two names are not two versions.
    """
    newest = {entry.claim: entry for entry in sorted(entries, key=lambda entry: entry.installed_at)}
    pairs = [(entry, newest[entry.claim]) for entry in entries]
    return {old.name: new for old, new in pairs if _digests(old) != _digests(new)}


def _digests(entry: LibraryEntry) -> list[str]:
    return sorted(file.sha256 for file in entry.files.values())
