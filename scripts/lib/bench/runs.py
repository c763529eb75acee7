"""Runs programs in turn, each in an empty folder, so that other load on the machine affects all equally."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lib.bench.competitors import FetchSpec, Method
from lib.bench.figures import Row, Run
from lib.bench.processes import BenchFailed, added, measured


@dataclass(frozen=True)
class Runner:
    """The place of the runs: an empty folder for each, on the measured disk, with this environment."""

    folder: Path
    environ: Mapping[str, str]
    rounds: int

    def compare(self, spec: FetchSpec, runners: Mapping[str, list[Method]]) -> tuple[Row, ...]:
        """Return a row for each usable runner: the best of its ways, run in every round."""
        chosen = {who: self._best(spec, who, ways) for who, ways in runners.items() if ways}
        runs: dict[str, list[Run]] = {who: [] for who in chosen}
        for number in range(self.rounds):
            for who in turned(list(chosen), number):
                runs[who].append(self.run(spec, chosen[who]))
                print(f"  round {number + 1}: {who:10} {runs[who][-1].wall_s:6.2f} s", flush=True)
        return tuple(Row(who, way.what, spec.size, tuple(runs[who])) for who, way in chosen.items())

    def _best(self, spec: FetchSpec, who: str, ways: list[Method]) -> Method:
        if len(ways) == 1 or self.rounds == 1:
            return ways[0]
        walls = [self.run(spec, way).wall_s for way in ways]
        tried = ", ".join(f"{way.what} {wall:.2f} s" for way, wall in zip(ways, walls, strict=True))
        print(f"  {who}: {tried}", flush=True)
        return ways[walls.index(min(walls))]

    def run(self, spec: FetchSpec, way: Method) -> Run:
        """Run one way in an empty folder, after all earlier writes have reached the disk."""
        place = self.folder / "run"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        os.sync()
        environ = {**self.environ, "SSL_CERT_FILE": str(spec.ca)} if spec.ca else self.environ
        took = added([measured(command, place, environ) for command in way.commands])
        if way.fetches:
            check_sizes(spec, place)
        shutil.rmtree(place)
        return took


def turned(names: list[str], by: int) -> list[str]:
    """Return the names in the order of this round: each round starts with another."""
    by %= len(names)
    return names[by:] + names[:by]


def check_sizes(spec: FetchSpec, place: Path) -> None:
    """Raise BenchFailed unless every file is complete: else a fast failure would win."""
    sizes = {path.name: path.stat().st_size for path in place.rglob("*") if path.is_file()}
    for file in spec.files:
        if sizes.get(file.name) != file.size:
            raise BenchFailed(f"{file.name} should have {file.size} bytes, and has {sizes.get(file.name)}")
