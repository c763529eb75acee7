"""The screen of `device`: memory, GPUs and disk, and the source of each figure."""

from pathlib import Path

from flowhub_jobs.cli import output
from flowhub_jobs.device.device_values import Device
from flowhub_jobs.device.gpu import Gpu
from flowhub_jobs.units import format_bytes

_AFTER = " " * 13


def print_device(machine: Device, store: Path) -> None:
    """Print each figure with its source."""
    sources = machine.found
    _line("machine", f"{machine.hostname or 'unknown'}, {machine.platform} on {machine.architecture or 'unknown'}")
    _line("processor", f"{machine.cpu or 'unknown'}, {machine.cores or 'unknown'} cores")
    limit = ", the container's limit" if machine.ram_source == "cgroup" else ""
    memory = f"{_gib(machine.ram_total_bytes)}{limit}, {_gib(machine.ram_available_bytes)} available"
    _line("memory", memory, sources.get("ram_total_bytes"))
    if machine.unified_memory:
        _line("metal", f"may use {_gib(machine.metal_bytes)} of it", sources.get("metal_bytes"))
    for gpu in machine.gpus:
        _line("gpu", _gpu(gpu), sources.get("gpus"))
    if not machine.gpus and not machine.unified_memory:
        _line("gpu", "none found")
    free, total = machine.disk_free_bytes, machine.disk_total_bytes
    is_known = free is not None and total is not None
    room = f"{format_bytes(free or 0)} free of {format_bytes(total or 0)}" if is_known else "unknown"
    _line("store", f"{store}: {room}", sources.get("disk_total_bytes"))
    for note in machine.notes:
        output.hint(output.fold(note, after="  "))


def _line(name: str, text: str, source: str | None = None) -> None:
    output.result(output.fold(f"{name:<10} {text}" + (f" ({source})" if source else ""), "  ", after=_AFTER))


def _gpu(gpu: Gpu) -> str:
    return f"{gpu.name or gpu.vendor or 'unknown'}, {_gib(gpu.vram_total_bytes)}, {_gib(gpu.vram_free_bytes)} free"


def _gib(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**30:.1f} GiB"
