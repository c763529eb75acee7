"""What every case is given: a server, files, an empty folder to run in, and what was asked for on the command line."""

from dataclasses import dataclass
from pathlib import Path

from bench_parts import rivals
from bench_parts.files import Served, Shelf
from bench_parts.nginx import Nginx
from bench_parts.race import Track
from bench_parts.rivals import Errand


@dataclass(frozen=True)
class Course:
    """`size` is that of the large file, in bytes; `scale` is what the other cases' sizes are multiplied with."""

    folder: Path
    python: Path
    hf: Path | None
    nginx: Nginx
    shelf: Shelf
    track: Track
    size: int
    scale: float
    small_files: int

    def errand(self, base: str, size: int, *, ca: Path | None = None) -> Errand:
        return self.errand_for(base, (self.shelf.one("model.bin", size),), ca=ca)

    def errand_for(self, base: str, files: tuple[Served, ...], *, ca: Path | None = None) -> Errand:
        notes = self.folder / "notes"
        notes.mkdir(exist_ok=True)
        return Errand(base, files, self.python, notes, ca)

    def warm_up(self) -> None:
        """Fetch something small, so that no measured run is the one that compiles flowhub's modules."""
        errand = self.errand(self.nginx.plain, 1 << 20)
        self.track.run(errand, rivals.flowhub(errand)[0])

    def scaled(self, size: int) -> int:
        """Return the size of a case as it is run: a smaller one where --size is smaller than by default."""
        return max(1 << 20, int(size * self.scale) >> 20 << 20)
