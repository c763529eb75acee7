"""Decides what a run does with a partial that another run has worked in. Pure: the facts are arguments.

A run continues a partial only if its last owner is dead. From a suspended run of its own job it takes the kept bytes
over as copies, in a partial with a new name: a file that the suspended run still has open is never installed. Another
owner's partial (a second home with the same node name) is left alone, and the run works in a separate partial.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from flowhub_jobs.file_systems import FileSystemTraits


@dataclass(frozen=True, slots=True)
class Owner:
    """A run: its machine, its process, and the home it works for. `run` is its lease's token."""

    host: str
    process: str
    home: str
    run: str


UNKNOWN_OWNER = Owner("", "", "", "")  # the lock file cannot be parsed


class LockStatus(Enum):
    FREE = "free"
    LOCKED = "locked"  # by a living process
    UNKNOWN = "unknown"  # the file system has no locks


class PartialUse(Enum):
    CONTINUE = "continue"
    COPY = "copy"  # copy the kept bytes: its owner may write again
    SEPARATE = "separate"  # leave it to its owner, and work in another partial


def decide_use(
    status: LockStatus,
    previous: Owner | None,
    owner: Owner,
    traits: FileSystemTraits,
    *,
    own_runs: Collection[str],
    is_alive: Callable[[str], bool | None],
    is_silent: Callable[[], bool],
) -> PartialUse:
    """Return how the run `owner` may use a partial whose last owner was `previous`; None: that run ended well.

    `is_alive` takes a process of this machine; None means that it cannot be known. `is_silent` returns whether nothing
    was written to the partial for SILENT_S. `own_runs` are the tokens of this job's earlier runs.

    A lock proves something about processes of this machine alone: over NFS a lock may be local to each machine
    (man 5 nfs, `local_lock`), over FUSE it mostly is. So a free lock on a shared disk is not enough where the last
    owner ran on another kernel: then only silence shows that it is gone, and its bytes are copied, never continued.
    """
    same_kernel = previous is not None and _boot(previous) == _boot(owner)
    # A home that was copied to another machine has the original's run tokens too.
    own_run = previous is not None and same_kernel and previous.home == owner.home and previous.run in own_runs
    if status is LockStatus.LOCKED:
        return PartialUse.COPY if own_run else PartialUse.SEPARATE
    if previous is None:
        return PartialUse.CONTINUE
    if status is LockStatus.FREE and (same_kernel or not traits.shared):
        return PartialUse.CONTINUE
    alive = is_alive(previous.process)
    if alive is None:  # a process of another machine, or of this one before its last boot
        return PartialUse.COPY if previous.host == owner.host or is_silent() else PartialUse.SEPARATE
    if not alive:
        return PartialUse.CONTINUE
    return PartialUse.COPY if own_run else PartialUse.SEPARATE


def _boot(owner: Owner) -> str:
    return owner.process.partition("/")[0]


def duplicate_node_message(other: Owner, node: str, home: Path) -> str:
    """Return the message about another home that has this node's name and works in the same store."""
    place = f"the home {other.home} on {other.host.partition('/')[0]}" if other.home else "another home or machine"
    return (
        f"A second flowhub with the node name {node} works on this model in the same store: {place}. This job "
        f"downloads into a folder of its own. Give one of the two another name: set FLOWHUB_NODE, or "
        f"remove {home / 'node'}."
    )
