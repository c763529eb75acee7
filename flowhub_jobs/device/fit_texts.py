"""Texts of verdicts: one sentence each, with the arithmetic, without a full stop.

Memory is given in GiB, as it is sold; the disk in GB, as files and disks are.
"""

import math
from typing import TYPE_CHECKING

from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.enums import Fit

if TYPE_CHECKING:
    from flowhub_jobs.device.device_values import Device
    from flowhub_jobs.device.need import MemoryBudget, MemoryNeed

GIB = 2**30


def wrong_platform(mlx: bool, platforms: tuple[str, ...], device: "Device") -> str:
    """Return why it cannot run on this kind of machine."""
    machine = f"this machine is {device.platform or 'unknown'} on {device.architecture or 'an unknown processor'}"
    return f"MLX needs Apple silicon, {machine}" if mlx else f"made for {', '.join(platforms)}, {machine}"


def memory(fit: Fit, need: "MemoryNeed", budget: "MemoryBudget") -> str:
    """Return the sum, and the memory that it is compared with."""
    if need.total is None:
        return _without_sum(fit, need, budget)
    needed = f"{_sum(need)}; "
    if fit is Fit.UNKNOWN:
        return needed + _unknown_memory(budget)
    if fit is Fit.TOO_BIG:
        return needed + _all_memory(budget)
    if fit is Fit.SLOW:
        rest = need.total - budget.fast
        return (
            needed
            + f"{_fast_memory(budget)}, the other {_gib_rounded_up(rest)} GiB would be in the memory, which is slower"
        )
    return (
        needed + (_fast_memory(budget) if budget.kind != "ram" else _ram(budget)) + _remainder(fit, need.total, budget)
    )


def _without_sum(fit: Fit, need: "MemoryNeed", budget: "MemoryBudget") -> str:
    shares = f"{_gib(need.weights or 0)} GiB weights + {_gib(need.overhead)} GiB overhead, without the context"
    if fit is Fit.TOO_BIG:
        return f"{shares}; {_all_memory(budget)}"
    if fit is Fit.SLOW:
        return f"{shares}; {_fast_memory(budget)}, the rest would be in the memory, which is slower"
    if need.weights is None:
        return "its size is not known"
    return "the memory for its context is unknown: neither a header nor its parameters give it"


def _sum(need: "MemoryNeed") -> str:
    """Return the addition. The total is the sum of the rounded shares, so that it adds up on the screen."""
    shares = [_hundredths(share) for share in (need.weights or 0, need.context or 0, need.overhead)]
    weights, context, overhead = (f"{share / 100:g}" for share in shares)
    tokens = f"{need.tokens:,} tokens"
    if need.trained is not None and need.tokens > need.trained:
        tokens += f", trained for {need.trained:,}"
    if need.basis == "parameters":
        tokens += ", by its parameters"
    total = f"{sum(shares) / 100:g} GiB"
    return f"{weights} GiB weights + {context} GiB context ({tokens}) + {overhead} GiB overhead = {total}"


def _fast_memory(budget: "MemoryBudget") -> str:
    if budget.kind == "metal":
        return f"Metal may use {_gib(budget.fast)} of this machine's {_gib(budget.ram_total or 0)} GiB"
    subject = f"{_gpus(budget)} {'has' if budget.gpus == 1 else 'have'}"
    return f"{subject} {_gib(budget.fast_total)} GiB, less {_gib(budget.fast_total - budget.fast)} GiB in reserve"


def _ram(budget: "MemoryBudget") -> str:
    total = budget.ram_total or 0
    return f"{_machine_name(budget)} has {_gib(total)} GiB, less {_gib(total - (budget.slow or 0))} GiB in reserve"


def _all_memory(budget: "MemoryBudget") -> str:
    """Return all that the machine has, the memory and the GPU's."""
    if budget.kind == "ram":
        return _ram(budget)
    total, usable = budget.total or 0, budget.all or 0
    subject = (
        f"{_machine_name(budget)} has"
        if budget.kind == "metal"
        else f"{_machine_name(budget)} and {_gpus(budget)} have"
    )
    return f"{subject} {_gib(total)} GiB, less {_gib(max(0, total - usable))} GiB in reserve"


def _gpus(budget: "MemoryBudget") -> str:
    return "the GPU" if budget.gpus == 1 else f"the {budget.gpus} GPUs"


def _remainder(fit: Fit, need: int, budget: "MemoryBudget") -> str:
    if fit is not Fit.TIGHT:
        return ""
    room = budget.fast if budget.kind != "ram" else budget.slow or 0
    if budget.fast_free is not None and need > budget.fast_free:
        return f", and only {_gib(budget.fast_free)} GiB of it are free now"
    return f", which leaves {_gib(room - need)} GiB"


def _unknown_memory(budget: "MemoryBudget") -> str:
    return f"the memory of {budget.blind} is not known" if budget.blind else "this machine's memory is not known"


def _machine_name(budget: "MemoryBudget") -> str:
    return "this container" if budget.container else "this machine"


def catalog(fit: Fit, least: float | None, recommended: float | None, budget: "MemoryBudget") -> str:
    """Return the catalog's figure that decides, and this machine's."""
    if fit is Fit.UNKNOWN and budget.total is None:
        return "this machine's memory is not known"
    where = (
        f"{_machine_name(budget)} and {_gpus(budget)} have" if budget.kind == "gpu" else f"{_machine_name(budget)} has"
    )
    available = f"{where} {_gib_rounded_down(budget.total or budget.fast_total)} GiB"
    if fit is Fit.FITS or fit is Fit.TOO_BIG:
        return f"the catalog asks for {recommended if least is None else least:g} GiB of memory, {available}"
    missing = ", and states no minimum" if least is None else ""
    return f"the catalog recommends {recommended:g} GiB of memory{missing}, {available}"


def disk(needed: int | None, free: int | None, reserve: int) -> str:
    """Return the bytes needed on the disk, and those free."""
    if needed is None:
        return "its size is not known"
    if free is None:
        return "the free space of the store's disk is not known"
    left = max(0, free - reserve)
    needs, available = format_bytes(needed), format_bytes(left)
    if needs == available and needed != left:  # 5.21 and 5.24 GB read the same
        needs, available = f"{needed:,} bytes", f"{left:,}"
    note = f" besides the {format_bytes(reserve)} kept in reserve" if reserve else ""
    return f"needs {needs} of disk, the store's disk has {available} free{note}"


def _hundredths(count: int) -> int:
    """Return hundredths of a GiB; a size above 0 is never shown as 0."""
    return max(1, round(count * 100 / GIB)) if count else 0


def _gib(count: int) -> str:
    return f"{math.floor(count * 100 / GIB) / 100:g}"


def _gib_rounded_up(count: int) -> str:
    return f"{math.ceil(count * 100 / GIB) / 100:g}"


def _gib_rounded_down(count: int) -> str:
    """Return GiB with one decimal, rounded down: 15.96 is not shown as 16."""
    return f"{math.floor(count * 10 / GIB) / 10:g}"
