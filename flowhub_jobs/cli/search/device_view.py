"""The screens of `device` and `fits`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowhub_jobs.cli import output
from flowhub_jobs.device.gpu import Gpu
from flowhub_jobs.device.probe import Device
from flowhub_jobs.operations.search.fitting import Variant
from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.enums import Fit

_AFTER = " " * 13


def print_device(machine: Device, store: Path) -> None:
    """Print what was found, and how."""
    found = machine.found
    _line("machine", f"{machine.hostname or 'unknown'}, {machine.platform} on {machine.architecture or 'unknown'}")
    _line("processor", f"{machine.cpu or 'unknown'}, {machine.cores or 'unknown'} cores")
    limit = ", the container's limit" if machine.ram_source == "cgroup" else ""
    memory = f"{_gib(machine.ram_total_bytes)}{limit}, {_gib(machine.ram_available_bytes)} available"
    _line("memory", memory, found.get("ram_total_bytes"))
    if machine.unified_memory:
        _line("metal", f"may use {_gib(machine.metal_bytes)} of it", found.get("metal_bytes"))
    for gpu in machine.gpus:
        _line("gpu", _gpu(gpu), found.get("gpus"))
    if not machine.gpus and not machine.unified_memory:
        _line("gpu", "none found")
    free, total = machine.disk_free_bytes, machine.disk_total_bytes
    known = free is not None and total is not None
    room = f"{format_bytes(free or 0)} free of {format_bytes(total or 0)}" if known else "unknown"
    _line("store", f"{store}: {room}", found.get("disk_total_bytes"))
    for note in machine.notes:
        output.hint(output.fold(note, after="  "))


def _line(name: str, text: str, found: str | None = None) -> None:
    output.result(output.fold(f"{name:<10} {text}" + (f" ({found})" if found else ""), "  ", after=_AFTER))


def _gpu(gpu: Gpu) -> str:
    return f"{gpu.name or gpu.vendor or 'unknown'}, {_gib(gpu.vram_total_bytes)}, {_gib(gpu.vram_free_bytes)} free"


def _gib(count: int | None) -> str:
    return "unknown" if count is None else f"{count / 2**30:.1f} GiB"


def print_fits(variants: Sequence[Variant], machine: Device, profile: str | None) -> None:
    """Print each variant's verdict, and what to do next."""
    if profile:
        output.hint(output.fold(f"On {machine.hostname or 'the machine'} of {profile}:"))
    rows = [
        (
            variant.artifact.ref if variant.artifact.option is None else variant.artifact.option,
            "unknown" if variant.artifact.size is None else format_bytes(variant.artifact.size),
            str(variant.verdict.fit),
            variant.verdict.why,
        )
        for variant in variants
    ]
    if len(rows) == 1:
        output.result(output.fold(f"{variants[0].artifact.ref}: {rows[0][2]}: {rows[0][3]}.", after="  "))
    else:
        output.result(output.folded_table(("OPTION", "SIZE", "HERE", "WHY"), rows, right=(1,)))
    for note in dict.fromkeys(variant.note for variant in variants if variant.note):
        output.hint(output.fold(f"{note[:1].upper()}{note[1:]}.", after="  "))
    if not profile:
        _print_next(variants)


def _print_next(variants: Sequence[Variant]) -> None:
    runs = [variant for variant in variants if variant.verdict.fit in (Fit.FITS, Fit.TIGHT, Fit.SLOW)]
    model = variants[0].artifact.model
    if len(variants) > 1 and runs and model:
        output.hint(f"\n`flowhub enqueue {model} --best-fit` queues the best of them.")


def variant_object(variant: Variant) -> dict[str, Any]:
    """Return a variant as `flowhub/fits/1` has it."""
    artifact = variant.artifact
    named = {"ref": artifact.ref, "option": artifact.option, "bytes": artifact.size}
    return named | variant.verdict.as_dict() | {"note": variant.note}
