"""Memory limits of containers and services: Linux control groups, versions 1 and 2."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

CGROUP_ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class MemoryLimit:
    """The lowest limit, and the least that is left under any; in bytes. None where the use cannot be read.

    `found` names the kernel's file that says it.
    """

    limit_bytes: int
    available_bytes: int | None
    found: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class _Files:
    """File names of the kernel: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst."""

    version: str
    limit: str
    usage: str
    reclaimable: str


_V2 = _Files("v2", "memory.max", "memory.current", "inactive_file")
_V1 = _Files("v1", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def memory_limit(cgroup_root: Path = CGROUP_ROOT, membership: Path = MEMBERSHIP) -> MemoryLimit | None:
    """Return the memory that the control groups of this process leave it, or None without a limit.

    A limit binds all groups below it, so every group up to the root counts. Version 1 says "no limit" by a number
    that is larger than any memory; the caller compares with the machine's.
    """
    limits = [limit for group, files in _groups(cgroup_root, membership) if (limit := _read_limit(group, files))]
    if not limits:
        return None
    left = [limit.available_bytes for limit in limits if limit.available_bytes is not None]
    lowest = min(limits, key=lambda limit: limit.limit_bytes)
    return MemoryLimit(lowest.limit_bytes, min(left, default=None), lowest.found)


def _groups(cgroup_root: Path, membership: Path) -> Iterator[tuple[Path, _Files]]:
    """Yield the folders of the groups that bind this process, each with the names of its files."""
    for line in _text(membership).splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield from ((group, _V2) for group in _up_to_root(cgroup_root, path))
        elif "memory" in controllers.split(","):
            yield from ((group, _V1) for group in _up_to_root(cgroup_root / "memory", path))


def _up_to_root(root: Path, path: str) -> Iterator[Path]:
    # A path that the namespace hides begins with "/..": only the root can be read then.
    relative = PurePosixPath(path.lstrip("/"))
    if ".." not in relative.parts:
        yield from (root / part for part in (relative, *relative.parents) if part != PurePosixPath())
    yield root


def _read_limit(group: Path, files: _Files) -> MemoryLimit | None:
    limit = _number(_text(group / files.limit))  # "max" is no number
    if limit is None:
        return None
    used = _number(_text(group / files.usage))
    # A file just fetched is in the page cache and counts as used, but the kernel frees it on demand.
    idle = _number(_statistic(_text(group / "memory.stat"), files.reclaimable)) or 0
    left = None if used is None else max(0, limit - max(0, used - idle))
    return MemoryLimit(limit, left, f"cgroup {files.version} {files.limit}")


def _statistic(text: str, name: str) -> str:
    return next((value for key, _, value in (line.partition(" ") for line in text.splitlines()) if key == name), "")


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
