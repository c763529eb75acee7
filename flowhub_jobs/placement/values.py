"""An installed model as another program's layout needs it, and the plan of a placement: frozen values."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from flowhub_jobs.values.enums import HubFormat, RepoKind

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class PlacementFile:
    """One file of an installed model.

    `source` is its absolute path in the store, `path` its relative path in the artifact (a single file's is its name
    in the store), and `repository_path` its relative path in the Hub's repository, if it is from there. `size` is
    bytes. `git_sha1` is the id of its git blob, if the Hub publishes that in the place of a sha256.
    """

    source: Path
    path: str
    size: int
    sha256: str
    git_sha1: str | None = None
    repository_path: str | None = None


@dataclass(frozen=True, slots=True)
class InstalledForPlacement:
    """An installed model, as layouts need it. What is unknown is None.

    `name` is its name in the store; it is a folder there if `folder`. `repository` is "owner/name" at the Hub and
    `commit` 40 hex digits; the commit alone may be unknown. `revision` is the requested branch or tag, `quantization`
    e.g. "Q4_K_M".
    """

    name: str
    model: str | None
    option: str | None
    format: HubFormat | None
    folder: bool
    files: tuple[PlacementFile, ...]
    repository: str | None = None
    kind: RepoKind = RepoKind.MODEL
    revision: str | None = None
    commit: str | None = None
    quantization: str | None = None

    @property
    def bytes(self) -> int:
        return sum(file.size for file in self.files)

    @property
    def owner(self) -> str:
        """Return the repository's owner, or `flowhub`, as one component of a path."""
        return self.repository.partition("/")[0] if self.repository else "flowhub"

    @property
    def short_name(self) -> str:
        """Return a model's name that is one component of a path: the repository's, else flowhub's own."""
        if self.repository:
            return self.repository.rpartition("/")[2]
        return path_component(self.model or Path(self.name).stem)


def path_component(text: str) -> str:
    """Return a text as one component of a path: letters, digits, dot, underscore and hyphen; never empty or hidden."""
    return _NOT_IN_A_NAME.sub("-", text).strip("-.") or "model"


@dataclass(frozen=True, slots=True)
class PlannedLink:
    """A link to a file of the store: reflink, hard link, else a symbolic link if the program follows those.

    `by_digest`: the target's name tells the digest, so that an existing file of that name and of the same size, which
    the program made itself, serves as it is. Any other existing file that flowhub did not create refuses the plan.
    """

    source: Path
    target: Path
    by_digest: bool = False


@dataclass(frozen=True, slots=True)
class PlannedSymlink:
    """A symbolic link inside the program's own folder. `text` is its content: relative to the target's folder.

    An existing link of the same text, which the program made itself, serves as it is.
    """

    target: Path
    text: str


@dataclass(frozen=True, slots=True)
class PlannedText:
    """A small file that the layout needs, such as a reference or a manifest.

    An existing file of the same content serves as it is. `optional`: where the program has a file of another content,
    that one stays and the rest of the plan is carried out. `staged_in` is the folder for its temporary name, where the
    program reads every file next to the target.
    """

    target: Path
    content: bytes
    optional: bool = False
    staged_in: Path | None = None


Planned = PlannedLink | PlannedSymlink | PlannedText


@dataclass(frozen=True, slots=True)
class Plan:
    """All files of a placement, in the order in which they appear in the program's folder: what names others is last.

    Every target is inside the root that the plan was made for, and no two are equal. `path` is what
    `flowhub placements` shows: the file or folder to open. `notes` are sentences for the user, such as "Restart
    llama-server to see it."
    `without_symlinks` replaces `entries` on a file system that has no symbolic links; None: the same entries.
    """

    entries: tuple[Planned, ...]
    path: Path
    notes: tuple[str, ...] = ()
    without_symlinks: tuple[Planned, ...] | None = field(default=None)
