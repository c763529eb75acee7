"""A node's state, sizes and GPUs as text, for the screens."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from flowhub_jobs.units import format_bytes, format_duration

if TYPE_CHECKING:
    from flowhub_jobs.jobs.node_rows import NodeStatus


def state_text(node: "NodeStatus", now: datetime) -> str:
    """Return "alive", or "gone 3 h"."""
    if node.alive:
        return "alive"
    ago = format_duration((now - node.seen_at).total_seconds()).split()
    return f"gone {' '.join(ago[:2])}"  # the largest unit alone


def size_text(count: int | None) -> str:
    return "-" if count is None else format_bytes(count)


def gpus_text(gpus: Sequence[dict[str, object]]) -> str:
    """Return "2 x RTX 4090 (24.0 GB)"; GPUs of one name and size stand together."""
    counts = Counter((str(gpu.get("name") or "GPU"), gpu.get("vram_total_bytes")) for gpu in gpus)
    texts = []
    for (name, vram), count in counts.items():
        size = f" ({format_bytes(vram)})" if isinstance(vram, int) else ""
        texts.append(f"{f'{count} x ' if count > 1 else ''}{name}{size}")
    return ", ".join(texts) or "-"
