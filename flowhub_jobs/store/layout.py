"""Paths of the store, and the checks that keep every name inside it.

<store>/<name>               a model: a file, or a folder
<store>/.partial/<…>/        transfers in progress (transfer/partial/part_file.py)
<store>/.store-id            the store's identity: an unmounted one does not have it
"""

import contextlib
import errno
import glob
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from flowhub_jobs.errors import NotFound, StoreOffline, StoreUnusable, UsageInvalid
from flowhub_jobs.fs.atomic_write import write_whole
from flowhub_jobs.fs.disk_errors import disk_error
from flowhub_jobs.fs.names import name_problem, same_name_key
from flowhub_jobs.fs.safe_read import read_regular
from flowhub_jobs.system import rename_new
from flowhub_jobs.values.artifacts import Artifact, LocalLlm
from flowhub_jobs.values.enums import HubFormat
from flowhub_jobs.values.store_settings import DEFAULT_STORE

PARTIAL = ".partial"
DIRECT_DOWNLOAD = "download"  # in place of a node's name in the partials of `download()`, which uses no queue
STORE_ID = ".store-id"
TAKEN_OVER = "taken-"
IDENTITY_BYTES = 1000
# Another folder is needed. Any other error comes from the disk: it is full, away, busy or broken.
_NO_FOLDER = frozenset(
    {
        *(errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
        *(errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.ENOTSUP, errno.EMLINK, errno.EXDEV),
    }
)
_IDENTITY = re.compile(r"[\w.-]{1,32}", re.ASCII)


class Store:
    """A folder of models, by its name in the settings. Nothing is made before `open`.

    `others` are the node's other stores: what the library has of them is not this one's.
    """

    def __init__(self, root: Path, name: str = DEFAULT_STORE) -> None:
        self.root, self.name = root, name
        self.others: tuple[Store, ...] = ()

    def open(self, known_id: str | None, *, own: bool, is_same: Callable[[str], bool] = lambda identity: False) -> str:
        """Make the store ready and return its identity.

        `own`: the store is in flowhub's home. If it is missing there, it was removed: it is made again with its id.
        A store without an identity is accepted, too, where `is_same(known_id)`. Raises StoreOffline where the store
        `known_id` is not there, or a link to it leads to nothing; StoreUnusable where the folder cannot be made or
        written.
        """
        try:
            return self._open_folder(known_id, own=own, is_same=is_same)
        except OSError as error:
            if error.errno == errno.EROFS:
                raise StoreOffline(f"The disk that holds the store {self.root} is read-only now.") from error
            if error.errno not in _NO_FOLDER:
                raise disk_error(self.root, error) from error
            is_file = error.errno in (errno.EEXIST, errno.ENOTDIR) and self.root.is_file()
            problem = "it is a file, not a folder" if is_file else error.strerror or error
            raise StoreUnusable(f"The store {self.root} cannot be used: {problem}.") from error
        except ValueError as error:  # a NUL, or what no file system could write
            raise StoreUnusable(f"{str(self.root)!r} is not a path of a folder: {error}.") from error

    def _open_folder(self, known_id: str | None, *, own: bool, is_same: Callable[[str], bool]) -> str:
        if (link := _link_to_nothing(self.root)) is not None:
            subject = f"The store {self.root}" if link == self.root else f"{link}, which the store {self.root} is in,"
            raise StoreOffline(f"{subject} is a link to {os.readlink(link)}, which is not there.")
        identity, exists = self.identity(), self.root.exists()
        # A copy of `store/*` is without the names that begin with a dot: the models in it identify it.
        if self.is_away(known_id, own=own) and not (known_id is not None and is_same(known_id)):
            raise StoreOffline(
                f"The store {self.root} is not there: nothing of flowhub's is in it, unlike when it was last used. "
                f"If it was emptied on purpose, make the folder {PARTIAL} in it."
            )
        self.root.mkdir(0o775, parents=True, exist_ok=True)
        (self.root / PARTIAL).mkdir(0o775, exist_ok=True)
        if identity is not None:
            return identity
        same_store = known_id is not None and (not exists or is_same(known_id))
        return self._identify(known_id if same_store and known_id else secrets.token_hex(8))

    def _identify(self, identity: str) -> str:
        """Write the store's identity, unless another machine does so first; return the one that it has."""
        path, temporary = self.root / STORE_ID, self.root / PARTIAL / f"mend-{secrets.token_hex(4)}"
        if path.is_symlink():
            raise StoreUnusable(f"{path} is a symbolic link; nothing is written through it.", hint="Remove the link.")
        if path.exists() and self.identity() is None:
            path.unlink()  # empty or damaged
        write_whole(temporary, f"{identity}\n".encode(), mode=0o644)
        try:
            rename_new(temporary, path)
        except FileExistsError:
            temporary.unlink()
        return self.identity() or identity

    def identity(self) -> str | None:
        """Return the store's identity; None where there is none, or an invalid one."""
        try:
            text = read_regular(self.root / STORE_ID, IDENTITY_BYTES, follow=False).decode("ascii").strip()
        except (OSError, ValueError):
            return None
        return text if _IDENTITY.fullmatch(text) else None

    def is_away(self, known_id: str | None, *, own: bool) -> bool:
        """Return whether the store's disk is away: there is no identity now, and there was one before.

        A missing folder in flowhub's own home was removed; an existing empty one is a mount point.
        """
        a_disk = self.root.is_symlink() or not own or self.root.is_dir()
        return known_id is not None and self.identity() is None and a_disk and self._is_bare()

    def _is_bare(self) -> bool:
        """Return whether flowhub made nothing here. The folder under an unmounted disk may hold other files."""
        return not (self.root / PARTIAL).is_dir()

    def path_of(self, name: str) -> Path:
        """Return the path of a bare name. Raises UsageInvalid for anything else."""
        problem = name_problem(name)
        if problem is not None:
            raise UsageInvalid(
                f"{name!r} is not a name of a model: it {problem}.", hint="`flowhub list` shows the names."
            )
        return self.root / name

    def partial_of(self, artifact: Artifact, node: str) -> Path:
        """Return the partial that an attempt of this node left for the artifact; a free path if there is none."""
        partials = self.partials_of(artifact, node)
        return partials[0] if partials else self.root / PARTIAL / _partial_name(artifact, node)

    def partials_of(self, artifact: Artifact, node: str) -> list[Path]:
        """Return all partials of this node for the artifact, the one last written to first.

        There is more than one only while a late run, or another home with this node's name, works in its own.
        """
        name = _partial_name(artifact, node)
        try:
            listed = os.listdir(self.root / PARTIAL)
        except OSError:
            return []
        partials = [self.root / PARTIAL / entry for entry in listed if entry == name or entry.startswith(f"{name}+")]
        return sorted(partials, key=_touched_at, reverse=True) if len(partials) > 1 else partials

    def copies_of(self, artifact: Artifact, node: str) -> list[Path]:
        """Return the remains of partials of the artifact that were copied (transfer/partial/ownership_decision.py)."""
        return sorted((self.root / PARTIAL).glob(f"{TAKEN_OVER}{glob.escape(_partial_name(artifact, node))}*"))

    def new_partial(self, artifact: Artifact, node: str) -> Path:
        """Return the path for a new partial. No path is used twice: a late run may still know it."""
        return self.root / PARTIAL / f"{_partial_name(artifact, node)}+{secrets.token_hex(4)}"

    def taken(self, name: str) -> Path | None:
        """Return the path that has this name, or one that differs only in case; None if it is free."""
        exact = self.root / name
        if exact.exists() or exact.is_symlink():
            return exact
        key = same_name_key(name)
        return next((entry for entry in self._entries() if same_name_key(entry.name) == key), None)

    def _entries(self) -> Iterator[Path]:
        try:
            yield from sorted(entry for entry in self.root.iterdir() if not _is_no_model(entry.name))
        except (FileNotFoundError, NotADirectoryError):
            return

    def models(self) -> list[LocalLlm]:
        """Return the models in the store, by name: files and folders, installed or put there by hand."""
        return [model for entry in self._entries() if (model := local_model(entry)) is not None]

    def remove(self, name: str) -> int:
        """Remove a model, a folder whole; return the bytes that it had. Of a link only the link is removed.

        Raises NotFound, UsageInvalid.
        """
        path = self.path_of(name)
        model = local_model(path)
        if model is None and not path.is_symlink():  # a link may lead to what has gone
            raise NotFound(f"There is no model {name!r} in the store.", hint="`flowhub list` shows the names.")
        if path.is_dir() and not path.is_symlink():
            # Renamed first: an interrupted removal leaves no half model under the name.
            removed = self.root / PARTIAL / f"removed-{secrets.token_hex(4)}"
            removed.parent.mkdir(exist_ok=True)
            path.rename(removed)
            with contextlib.suppress(FileNotFoundError):  # `prune` removed it first
                shutil.rmtree(removed)
        else:
            path.unlink()
        return model.bytes if model else 0


def stores_named(default: Path, others: Mapping[str, Path]) -> list[Store]:
    """Return the stores of a node, the default one first; each knows the others."""
    stores = [Store(default), *(Store(path, name) for name, path in others.items())]
    for store in stores:
        store.others = tuple(other for other in stores if other is not store)
    return stores


def _link_to_nothing(root: Path) -> Path | None:
    """Return the symbolic link on the way to `root` whose target does not exist: as a rule, on a disk not mounted."""
    for path in (root, *root.parents):
        if path.is_symlink():
            try:
                path.stat()
            except FileNotFoundError:
                return path
    return None


def _partial_name(artifact: Artifact, node: str) -> str:
    readable = artifact.name.encode()[:120].decode(errors="ignore")
    return f"{readable}.{artifact.key}.{node}"


def _touched_at(partial: Path) -> float:
    """Return the time of the last write to a partial; its journal is written within a second of each byte."""
    times = [0.0]
    for path in (partial, partial / "journal"):
        with contextlib.suppress(OSError):
            times.append(path.lstat().st_mtime)
    return max(times)


def _is_no_model(name: str) -> bool:
    """Return whether the name is not a model's: it begins with a dot, or is ext4's `lost+found`."""
    return name.startswith(".") or name == "lost+found"


def local_model(entry: Path) -> LocalLlm | None:
    """Return the model at a path of the store; None where there is none."""
    try:
        if entry.is_dir():
            files = [file.stat() for file in entry.rglob("*") if file.is_file()]
            modified = max((file.st_mtime for file in files), default=entry.stat().st_mtime)
            size = sum(file.st_size for file in files)
        elif entry.is_file():
            size, modified = entry.stat().st_size, entry.stat().st_mtime
        else:
            return None
    except OSError:
        return None  # it was removed during the call, or may not be read
    return LocalLlm(entry.name, entry, size, format_of(entry), datetime.fromtimestamp(modified, UTC))


def files_in(folder: Path) -> list[Path]:
    """Return all files of a folder, at any depth, links included. Links to folders are not followed."""
    return [path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()]


def format_of(path: Path) -> HubFormat | None:
    """Return the format of a suffix; of a folder, that of its weights. A suffix does not tell MLX from safetensors."""
    suffixes = {".gguf": HubFormat.GGUF, ".safetensors": HubFormat.SAFETENSORS}
    if path.is_dir():
        kinds = {suffixes.get(file.suffix.lower()) for file in path.rglob("*")} - {None}
        return kinds.pop() if len(kinds) == 1 else None
    return suffixes.get(path.suffix.lower())
