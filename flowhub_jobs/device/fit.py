"""Will it run here? Pure arithmetic over what the catalog says and what the machine is."""

import math
from dataclasses import dataclass

from flowhub_jobs.device.probe import Device
from flowhub_jobs.records import Fit, HubFormat
from flowhub_jobs.words import format_bytes

GIB = 2**30
GB = 10**9


@dataclass(frozen=True, slots=True)
class Needs:
    """A model's hardware figures: memory in GiB, disk in GB. None, or no platform at all, is not said."""

    min_ram_gib: float | None = None
    recommended_ram_gib: float | None = None
    disk_gb: float | None = None
    platforms: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it fits, and one plain sentence, without a full stop, that says why."""

    fit: Fit
    why: str


def fit(
    hardware: Needs, size_bytes: int | None, kind: HubFormat | None, device: Device, *, reserve_bytes: int = 0
) -> Verdict:
    """Return whether a variant of `size_bytes` runs on `device`. `reserve_bytes` of its disk are not to be used.

    What is certain comes first, what decides against it before what is unknown:

    1. wrong platform: the platform is not among those listed, or it is MLX and this is not Apple silicon;
    2. too big: the memory is below the minimum;
    3. too big: the size is more than the free disk less the reserve;
    4. unknown: a figure that would decide is missing on either side; the sentence names it;
    5. tight: the memory is between the minimum and what is recommended;
    6. fits.

    Memory is all that the machine (or the container) has, not what is free now: programs come and go. One of the two
    memory figures is enough where it decides. `disk_gb` stands in where the size is not known.
    """
    if wrong := platform_problem(hardware, kind, device):
        return Verdict(Fit.WRONG_PLATFORM, wrong)
    if size_bytes is None and hardware.disk_gb is not None:
        size_bytes = math.ceil(hardware.disk_gb * GB)
    memory = memory_verdict(hardware, device)
    disk = disk_verdict(size_bytes, device.disk_free_bytes, reserve_bytes)
    return next(
        verdict
        for decisive in (Fit.TOO_BIG, Fit.UNKNOWN, Fit.TIGHT, Fit.FITS)
        for verdict in (memory, disk)
        if verdict.fit == decisive
    )


def platform_problem(needs: Needs, kind: HubFormat | None, device: Device) -> str | None:
    """Return why it cannot run on this kind of machine, or None."""
    here = f"this machine is {device.platform} on {device.architecture or 'an unknown processor'}"
    if kind == HubFormat.MLX and not device.apple_silicon:
        return f"MLX needs Apple silicon, {here}"
    if needs.platforms and device.platform not in needs.platforms:
        return f"made for {', '.join(needs.platforms)}, {here}"
    return None


def memory_verdict(needs: Needs, device: Device) -> Verdict:
    """Return whether the machine's memory is enough."""
    least, wanted = needs.min_ram_gib, needs.recommended_ram_gib
    if least is None and wanted is None:
        return Verdict(Fit.UNKNOWN, "the catalog does not say how much memory it needs")
    if device.ram_total_bytes is None:
        return Verdict(Fit.UNKNOWN, "this machine's memory could not be read")
    have = device.ram_total_bytes / GIB
    here = f"this {'container' if device.ram_source == 'cgroup' else 'machine'} has {_gib_below(have)} GiB"
    if least is not None and have < least:
        return Verdict(Fit.TOO_BIG, f"needs {least:g} GiB of memory, {here}")
    if wanted is None or have >= wanted:
        return Verdict(Fit.FITS, f"needs {wanted if least is None else least:g} GiB of memory, {here}")
    if least is None:
        return Verdict(Fit.UNKNOWN, f"{wanted:g} GiB of memory are recommended, {here}, the minimum is not said")
    return Verdict(Fit.TIGHT, f"{wanted:g} GiB of memory are recommended, {here}")


def disk_verdict(needed_bytes: int | None, free_bytes: int | None, reserve_bytes: int = 0) -> Verdict:
    """Return whether `needed_bytes`, those still to be written, go on the disk and leave the reserve free."""
    if needed_bytes is None:
        return Verdict(Fit.UNKNOWN, "its size is not known")
    if free_bytes is None:
        return Verdict(Fit.UNKNOWN, "the free space of the store's disk could not be read")
    free = max(0, free_bytes - reserve_bytes)
    needs, has = format_bytes(needed_bytes), format_bytes(free)
    if needs == has and needed_bytes != free:  # 5.21 and 5.24 GB read the same
        needs, has = f"{needed_bytes:,} bytes", f"{free:,}"
    kept = f" beside the {format_bytes(reserve_bytes)} kept in reserve" if reserve_bytes else ""
    why = f"needs {needs} of disk, the store's disk has {has} free{kept}"
    return Verdict(Fit.TOO_BIG if needed_bytes > free else Fit.FITS, why)


def _gib_below(have: float) -> str:
    """Return GiB with one decimal, rounded down: 15.96 is not shown as the 16 that it is not."""
    return f"{math.floor(have * 10) / 10:g}"
