"""The type of a program's layout: its folder, its plan for a model, and the needs of its own files."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.placement.values import InstalledForPlacement, Plan

DIRECTORY = "dir:"  # of the name of any other folder: `dir:PATH`


def nothing_needed(root: Path, targets: frozenset[Path]) -> frozenset[Path]:
    """Return no target: the program's other files need none of them."""
    return frozenset()


@dataclass(frozen=True, slots=True)
class App:
    """A program's layout.

    `default_root(environ, home)` returns the program's folder of models, for an environment and a home folder; it may
    read the program's own settings, and makes nothing. `plan(installed, root)` returns the plan of a placement; it
    reads nothing but headers of `installed.files`. It raises PlacementRefused for a model that the program cannot use.
    `needs_commit`: the layout names the commit of the Hub that the model is from.
    `still_needed(root, targets)` returns those of the targets, all made by flowhub, which files that the program made
    itself need: they stay when the placement is removed.
    """

    name: str
    default_root: Callable[[Mapping[str, str], Path], Path]
    plan: Callable[[InstalledForPlacement, Path], Plan]
    follows_symlinks: bool = True
    needs_commit: bool = False
    still_needed: Callable[[Path, frozenset[Path]], frozenset[Path]] = nothing_needed
