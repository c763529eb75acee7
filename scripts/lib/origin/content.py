"""Contents to serve: bytes, a file on disk, or a pattern of any size that needs no memory."""

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

Piece = bytes | memoryview

BLOCK = 1 << 20
# Odd, so that the first 2**20 blocks (1 TiB) begin at different places of the random block.
STRIDE = 648_055


class Content(ABC):
    """The bytes of an address. Offsets are bytes, ranges are half-open."""

    @property
    @abstractmethod
    def size(self) -> int: ...

    @property
    @abstractmethod
    def etag(self) -> str:
        """Return a strong validator with its quotes; equal only for equal bytes."""

    @abstractmethod
    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Yield the bytes of [start, end) in order, each piece at most 1 MiB."""

    def read(self, start: int = 0, end: int | None = None) -> bytes:
        return b"".join(self.pieces(start, self.size if end is None else min(end, self.size)))

    def sha256(self) -> str:
        return self._digest

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256()
        for piece in self.pieces(0, self.size):
            digest.update(piece)
        return digest.hexdigest()

    def git_sha1(self) -> str:
        """Return git's digest, which the Hub uses too: sha1 over "blob <size>\\0" and the bytes."""
        digest = hashlib.sha1(b"blob %d\0" % self.size)
        for piece in self.pieces(0, self.size):
            digest.update(piece)
        return digest.hexdigest()


@dataclass(frozen=True)
class Bytes(Content):
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def etag(self) -> str:
        return f'"{self.sha256()[:32]}"'

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        view = memoryview(self.data)
        return (view[at : min(at + BLOCK, end)] for at in range(start, end, BLOCK))


@dataclass(frozen=True)
class File(Content):
    """A file on disk, read again for each answer, with its current size and times."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    @property
    def etag(self) -> str:
        status = self.path.stat()
        return f'"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"'

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        with self.path.open("rb") as file:
            file.seek(start)
            while start < end and (piece := file.read(min(BLOCK, end - start))):
                start += len(piece)
                yield piece


@lru_cache(maxsize=16)
def _twice(seed: int) -> memoryview:
    block = random.Random(seed).randbytes(BLOCK)
    return memoryview(block + block)


class Pattern(Content):
    """Pseudo-random bytes that are the same for the same seed; 4 GiB of them cost 2 MiB of memory.

    Each block of 1 MiB is the same random block, rotated by its number, so that bytes at a wrong offset are detected.
    `head` replaces the first bytes, for a file format's header.
    """

    def __init__(self, size: int, seed: int = 0, *, head: bytes = b"") -> None:
        self.seed = seed
        self.head = head[:size]
        self._size = size

    def __repr__(self) -> str:
        return f"Pattern({self._size}, {self.seed})"

    @property
    def size(self) -> int:
        return self._size

    @property
    def etag(self) -> str:
        return f'"{self.seed:x}-{self._size:x}-{hashlib.sha256(self.head).hexdigest()[:16]}"'

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        if start < min(len(self.head), end):
            yield self.head[start:end]
            start = len(self.head)
        while start < end:
            index, offset = divmod(start, BLOCK)
            turned = (index * STRIDE + offset) % BLOCK
            length = min(BLOCK - offset, end - start)
            yield _twice(self.seed)[turned : turned + length]
            start += length


def content_of(thing: bytes | Path | Content) -> Content:
    if isinstance(thing, Content):
        return thing
    return File(thing) if isinstance(thing, Path) else Bytes(bytes(thing))
