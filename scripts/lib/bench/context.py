"""The context of a case: a server, files, an empty folder to run in, and the command line's options."""

from dataclasses import dataclass
from pathlib import Path

from lib.bench import competitors
from lib.bench.competitors import FetchSpec
from lib.bench.files import FileSet, Served
from lib.bench.nginx import Nginx
from lib.bench.runs import Runner


@dataclass(frozen=True)
class Context:
    """`size` is that of the large file, in bytes; `scale` is the factor for the sizes of the other cases."""

    folder: Path
    python: Path
    hf: Path | None
    nginx: Nginx
    files: FileSet
    runner: Runner
    size: int
    scale: float
    small_files: int

    def spec(self, base: str, size: int, *, ca: Path | None = None) -> FetchSpec:
        return self.spec_for(base, (self.files.one("model.bin", size),), ca=ca)

    def spec_for(self, base: str, files: tuple[Served, ...], *, ca: Path | None = None) -> FetchSpec:
        notes = self.folder / "notes"
        notes.mkdir(exist_ok=True)
        return FetchSpec(base, files, self.python, notes, ca)

    def warm_up(self) -> None:
        """Fetch a small file, so that no measured run compiles flowhub's modules."""
        spec = self.spec(self.nginx.plain, 1 << 20)
        self.runner.run(spec, competitors.flowhub(spec)[0])

    def scaled(self, size: int) -> int:
        """Return the size of a case, scaled down if --size is smaller than its default."""
        return max(1 << 20, int(size * self.scale) >> 20 << 20)
