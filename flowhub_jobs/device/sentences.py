"""Verdicts in words: one plain sentence each, with the arithmetic, without a full stop.

Memory is told in GiB, as it is sold; the disk in GB, as files and disks are.
"""

import math
from typing import TYPE_CHECKING

from flowhub_jobs.units import format_bytes
from flowhub_jobs.values.enums import Fit

if TYPE_CHECKING:
    from flowhub_jobs.device.fit import Need, Place
    from flowhub_jobs.device.probe import Device

GIB = 2**30


def wrong_platform(mlx: bool, platforms: tuple[str, ...], device: "Device") -> str:
    """Return why it cannot run on this kind of machine."""
    here = f"this machine is {device.platform or 'unknown'} on {device.architecture or 'an unknown processor'}"
    return f"MLX needs Apple silicon, {here}" if mlx else f"made for {', '.join(platforms)}, {here}"


def memory(word: Fit, need: "Need", place: "Place") -> str:
    """Return the sum, and what it stands against."""
    if need.total is None:
        return _without_sum(word, need, place)
    said = f"{_sum(need)}; "
    if word is Fit.UNKNOWN:
        return said + _unread(place)
    if word is Fit.TOO_BIG:
        return said + _everything(place)
    if word is Fit.SLOW:
        rest = need.total - place.fast
        return said + f"{_fast(place)}, the other {_up(rest)} GiB would be in the memory, which is slower"
    return said + (_fast(place) if place.kind != "ram" else _ram(place)) + _left(word, need.total, place)


def _without_sum(word: Fit, need: "Need", place: "Place") -> str:
    known = f"{_gib(need.weights or 0)} GiB weights + {_gib(need.overhead)} GiB overhead, without the context"
    if word is Fit.TOO_BIG:
        return f"{known}; {_everything(place)}"
    if word is Fit.SLOW:
        return f"{known}; {_fast(place)}, the rest would be in the memory, which is slower"
    if need.weights is None:
        return "its size is not known"
    return "the memory for its context is unknown: neither a header nor its parameters say it"


def _sum(need: "Need") -> str:
    """Return the addition. The total is that of the rounded shares, so that it adds up on the screen."""
    shares = [_hundredths(share) for share in (need.weights or 0, need.context or 0, need.overhead)]
    weights, context, overhead = (f"{share / 100:g}" for share in shares)
    tokens = f"{need.tokens:,} tokens"
    if need.trained is not None and need.tokens > need.trained:
        tokens += f", trained for {need.trained:,}"
    if need.basis == "parameters":
        tokens += ", by its parameters"
    total = f"{sum(shares) / 100:g} GiB"
    return f"{weights} GiB weights + {context} GiB context ({tokens}) + {overhead} GiB overhead = {total}"


def _fast(place: "Place") -> str:
    if place.kind == "metal":
        return f"Metal may use {_gib(place.fast)} of this machine's {_gib(place.ram_total or 0)} GiB"
    has = f"{_gpus(place)} {'has' if place.gpus == 1 else 'have'}"
    return f"{has} {_gib(place.fast_total)} GiB, less {_gib(place.fast_total - place.fast)} GiB in reserve"


def _ram(place: "Place") -> str:
    total = place.ram_total or 0
    return f"{_here(place)} has {_gib(total)} GiB, less {_gib(total - (place.slow or 0))} GiB in reserve"


def _everything(place: "Place") -> str:
    """Return all that the machine has, the memory and the GPU's."""
    if place.kind == "ram":
        return _ram(place)
    total, given = place.total or 0, place.all or 0
    has = f"{_here(place)} has" if place.kind == "metal" else f"{_here(place)} and {_gpus(place)} have"
    return f"{has} {_gib(total)} GiB, less {_gib(max(0, total - given))} GiB in reserve"


def _gpus(place: "Place") -> str:
    return "the GPU" if place.gpus == 1 else f"the {place.gpus} GPUs"


def _left(word: Fit, need: int, place: "Place") -> str:
    if word is not Fit.TIGHT:
        return ""
    room = place.fast if place.kind != "ram" else place.slow or 0
    if place.fast_free is not None and need > place.fast_free:
        return f", and only {_gib(place.fast_free)} GiB of it are free now"
    return f", which leaves {_gib(room - need)} GiB"


def _unread(place: "Place") -> str:
    return f"the memory of {place.blind} is not known" if place.blind else "this machine's memory is not known"


def _here(place: "Place") -> str:
    return "this container" if place.container else "this machine"


def catalog(word: Fit, least: float | None, wanted: float | None, place: "Place") -> str:
    """Return the catalog's figure that decides, and what is here."""
    if word is Fit.UNKNOWN and place.total is None:
        return "this machine's memory is not known"
    where = f"{_here(place)} and {_gpus(place)} have" if place.kind == "gpu" else f"{_here(place)} has"
    here = f"{where} {_below(place.total or place.fast_total)} GiB"
    if word is Fit.FITS or word is Fit.TOO_BIG:
        return f"the catalog asks for {wanted if least is None else least:g} GiB of memory, {here}"
    missing = ", and no minimum is said" if least is None else ""
    return f"the catalog recommends {wanted:g} GiB of memory{missing}, {here}"


def disk(needed: int | None, free: int | None, reserve: int) -> str:
    """Return what it takes of the disk, and what is free."""
    if needed is None:
        return "its size is not known"
    if free is None:
        return "the free space of the store's disk is not known"
    left = max(0, free - reserve)
    needs, has = format_bytes(needed), format_bytes(left)
    if needs == has and needed != left:  # 5.21 and 5.24 GB read the same
        needs, has = f"{needed:,} bytes", f"{left:,}"
    kept = f" beside the {format_bytes(reserve)} kept in reserve" if reserve else ""
    return f"needs {needs} of disk, the store's disk has {has} free{kept}"


def _hundredths(count: int) -> int:
    """Return hundredths of a GiB; what is there is never shown as nothing."""
    return max(1, round(count * 100 / GIB)) if count else 0


def _gib(count: int) -> str:
    return f"{math.floor(count * 100 / GIB) / 100:g}"


def _up(count: int) -> str:
    return f"{math.ceil(count * 100 / GIB) / 100:g}"


def _below(count: int) -> str:
    """Return GiB with one decimal, rounded down: 15.96 is not shown as the 16 that it is not."""
    return f"{math.floor(count * 10 / GIB) / 10:g}"
