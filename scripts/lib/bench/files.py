"""The files to fetch: noise of any size, with its sha256 computed once."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lib.bench.figures import size_in_words
from lib.origin.content import Pattern

SMALL = 256 << 10
KEPT = 6 << 30  # the served files must stay in memory, else the disk is measured


@dataclass(frozen=True)
class Served:
    """A file under the root of the servers. `path` is relative to it."""

    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


class FileSet:
    """Makes files under `root` on their first use."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._made: dict[tuple[str, int], Served] = {}

    def one(self, name: str, size: int, *, seed: int = 0) -> Served:
        if (name, size) not in self._made:
            print(f"Making a file of {size_in_words(size)}.", flush=True)
            self._make_room(size)
            self._made[name, size] = self._write(f"{size}-{name}", size, seed)
        return self._made[name, size]

    def many(self, count: int) -> list[Served]:
        """Return `count` different files of 256 KiB."""
        return [self._small(number) for number in range(count)]

    def _small(self, number: int) -> Served:
        key = (f"small/{number:05}.bin", SMALL)
        if key not in self._made:
            self._made[key] = self._write(key[0], SMALL, seed=number)
        return self._made[key]

    def _make_room(self, size: int) -> None:
        """Remove the oldest files until there is space for one of this size."""
        while self._made and size + sum(file.size for file in self._made.values()) > KEPT:
            oldest = next(iter(self._made))
            (self.root / self._made.pop(oldest).path).unlink()

    def _write(self, path: str, size: int, seed: int) -> Served:
        target = self.root / path
        target.parent.mkdir(exist_ok=True)
        digest = hashlib.sha256()
        with target.open("wb") as file:
            for piece in Pattern(size, seed).pieces(0, size):
                digest.update(piece)
                file.write(piece)
        return Served(path, size, digest.hexdigest())
