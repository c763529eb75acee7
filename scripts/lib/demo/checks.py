"""Checks of flowhub's guarantees from outside, with the store's files and the origin's counts."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.demo.models import Model, check_files
from lib.demo.processes import Flowhub

SECONDS_LOST = 1.0  # the most that a kill may cost, at the origin's speed
IN_FLIGHT = 4_000_000  # bytes in the sockets when the worker died


@dataclass
class Demo:
    """One run. Rates are bytes per second."""

    flowhub: Flowhub
    models: list[Model]
    rate: float
    kills: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int:
        return sum(model.size for model in self.models)


class NotAsPromised(Exception):
    """flowhub broke a guarantee."""


def check(demo: Demo) -> None:
    """Compare the store's files with the published ones, without flowhub. Raises NotAsPromised, NotAsPublished."""
    jobs = demo.flowhub.jobs()
    unverified = [job["ref"] for job in jobs if (job["state"], job["sha256_state"]) != ("completed", "verified")]
    if unverified or len(jobs) != len(demo.models):
        raise NotAsPromised(f"not completed and verified: {', '.join(unverified) or 'a job is missing'}")
    installed = {f"{row['model']}@{row['option']}": Path(row["path"]) for row in demo.flowhub.ask("list")["models"]}
    print("\nRead again from the store, without flowhub; the sha256 of each file is as its catalog says:")
    for model in demo.models:
        check_files(model, installed[model.ref])
        for file in model.files:
            print(f"  {file.sha256[:16]}…  {installed[model.ref].name}{f'/{file.path}' if model.folder else ''}")
    leftovers = list(Path(demo.flowhub.environ["FLOWHUB_HOME"], "llms", ".partial").glob("*"))
    if leftovers:
        raise NotAsPromised(f"a partial is left: {leftovers[0]}")


def judged(demo: Demo, counts: dict[str, Any]) -> str:
    """Check the origin's counts, and return the last line of the output. Raises NotAsPromised."""
    again = counts["bytes_sent"] - demo.size
    allowed = demo.kills * SECONDS_LOST * demo.rate + IN_FLIGHT
    print(f"\nThe origin sent {megabytes(counts['bytes_sent'])} for {megabytes(demo.size)} of files.")
    if counts["leaked_tokens"]:
        raise NotAsPromised(f"a token reached the CDN {counts['leaked_tokens']} times")
    if again > allowed:
        raise NotAsPromised(f"{megabytes(again)} were fetched twice; at most {megabytes(allowed)} may be")
    return f"{len(demo.models)} models verified; {killed(demo)}; {megabytes(max(0, again))} fetched twice"


def killed(demo: Demo) -> str:
    return "the worker was killed once" if demo.kills else "the worker was too quick to be killed"


def megabytes(count: float) -> str:
    return f"{count / 1e6:.1f} MB"
