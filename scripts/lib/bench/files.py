"""The files that are fetched: noise of any size, its sha256 known once for all."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from lib.bench.figures import size_in_words
from lib.origin.content import Pattern

SMALL = 256 << 10
KEPT = 6 << 30  # what is served must stay in memory, or the disk is what is measured


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
    """Makes files under `root` when they are first asked for."""

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
        """Return `count` files of 256 KiB, each another."""
        return [self._small(number) for number in range(count)]

    def _small(self, number: int) -> Served:
        key = (f"small/{number:05}.bin", SMALL)
        if key not in self._made:
            self._made[key] = self._write(key[0], SMALL, seed=number)
        return self._made[key]

    def _make_room(self, size: int) -> None:
        """Remove the oldest files until one of this size is not too much."""
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
