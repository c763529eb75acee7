"""Verdict on whether a variant runs on a machine: memory, disk, platform, and the catalog's own figures.

Pure arithmetic over `need`; `fit_texts` puts a verdict into words.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from flowhub_jobs.device import fit_texts
from flowhub_jobs.device.device_values import GIB
from flowhub_jobs.device.need import MemoryBudget, MemoryNeed, ModelNeeds, memory_budget, memory_need
from flowhub_jobs.values.enums import Fit, HubFormat

if TYPE_CHECKING:
    from flowhub_jobs.device.device_values import Device

GB = 10**9
# Less than a tenth left is tight: a longer answer or one more program, and it no longer fits.
TIGHT_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a variant runs here, the numbers, and the reason as one sentence without a full stop.

    `need_bytes` is the sum of the three shares, `have_bytes` what this machine can give it, less the reserves; None is
    unknown. `context` is the number of tokens assumed; `basis` is the origin of the context's share: "header",
    "parameters" (the stated rule), "catalog" (its own memory figures decided), or "none".
    """

    fit: Fit
    sentence: str | Callable[[], str] = field(compare=False)
    need_bytes: int | None = None
    have_bytes: int | None = None
    weights_bytes: int | None = None
    context_bytes: int | None = None
    overhead_bytes: int | None = None
    context: int | None = None
    basis: str = "none"

    @property
    def why(self) -> str:
        """The reason, composed when it is read: a search makes twenty thousand verdicts and shows thirty."""
        return self.sentence if isinstance(self.sentence, str) else self.sentence()

    def as_dict(self) -> dict[str, Any]:
        names = ("need_bytes", "have_bytes", "weights_bytes", "context_bytes", "overhead_bytes", "context", "basis")
        return {"fit": str(self.fit), "why": self.why} | {name: getattr(self, name) for name in names}


PartVerdict = tuple[Fit, Callable[[], str]]
_RANK = {word: rank for rank, word in enumerate((Fit.TOO_BIG, Fit.UNKNOWN, Fit.SLOW, Fit.TIGHT, Fit.FITS))}


def fit(needs: ModelNeeds, device: "Device", *, reserve_bytes: int = 0, installed: bool = False) -> Verdict:
    """Return whether a variant runs on `device`. `reserve_bytes` of its disk are not to be used.

    Memory, the catalog's own figures, and (if it is not `installed`) the disk are each judged; the worst decides.
    A certain obstacle outranks an unknown, and an unknown outranks a fit:

    1. wrong platform: the platform is not among those listed, or it is MLX and this is not Apple silicon;
    2. too big: for GPU and memory together, for the catalog's minimum, or for the free disk less the reserve;
    3. unknown: a figure that would decide is missing on either side; the reason names it;
    4. slow: the GPU (or Metal) cannot hold all of it, and the rest goes into the memory. A machine without a GPU is
       never slow: "slow" compares with what this machine could do;
    5. tight: less than a tenth would be left, another program holds the GPU's memory now, or the catalog recommends
       more;
    6. fits.

    Memory is all that the machine (or the container) has, not what is free now: programs come and go, and give way.
    A GPU's memory does not give way, which is why what is free there counts. Swap is not memory.
    """
    need, budget = memory_need(needs), memory_budget(needs, device)
    platform = platform_finding(needs, device)
    if platform and platform[0] is Fit.WRONG_PLATFORM:
        return _verdict(*platform, need, None, need.basis)
    memory, have = memory_finding(need, budget)
    catalog = catalog_finding(needs, budget)
    disk = None if installed else disk_finding(needs, device.disk_free_bytes, reserve_bytes)
    basis = need.basis
    if catalog and memory[0] is Fit.UNKNOWN and need.total is None:
        # The catalog's figure decides; but weights alone that exceed the fast memory are certain.
        memory, basis = _spilled(need, budget) or catalog, "catalog"
    elif catalog and catalog[0] is Fit.UNKNOWN and budget.total is not None:
        catalog = (Fit.TIGHT, catalog[1])  # below the recommendation, and no minimum: the computed sum takes its place
    findings = [finding for finding in (memory, catalog, disk, platform) if finding]
    fit_word, why = min(findings, key=lambda finding: _RANK[finding[0]])
    return _verdict(fit_word, why, need, have, basis)


def _verdict(fit: Fit, text: Callable[[], str], need: MemoryNeed, have: int | None, basis: str) -> Verdict:
    return Verdict(fit, text, need.total, have, need.weights, need.context, need.overhead, need.tokens, basis)


def platform_finding(needs: ModelNeeds, device: "Device") -> PartVerdict | None:
    """Return the objection to this kind of machine, or Fit.UNKNOWN if its kind is unknown; None without one."""
    mlx = needs.format is HubFormat.MLX
    if mlx and not device.apple_silicon:
        unknown = device.platform in (None, "macos") and device.architecture in (None, "arm64")
    elif needs.platforms and device.platform not in needs.platforms:
        unknown = device.platform is None
    else:
        return None
    if unknown:
        return Fit.UNKNOWN, lambda: "the kind of machine is not known"
    return Fit.WRONG_PLATFORM, lambda: fit_texts.wrong_platform(mlx, needs.platforms or (), device)


def memory_finding(need: MemoryNeed, budget: MemoryBudget) -> tuple[PartVerdict, int | None]:
    """Return the verdict on the memory alone, and the bytes that the need was compared with."""
    fit, have = _memory(need, budget)
    return (fit, lambda: fit_texts.memory(fit, need, budget)), have


def _memory(need: MemoryNeed, budget: MemoryBudget) -> tuple[Fit, int | None]:
    if budget.all is not None and need.least > budget.all:
        return Fit.TOO_BIG, budget.all
    if need.total is None:
        return Fit.UNKNOWN, budget.all
    room = budget.fast if budget.kind != "ram" else budget.slow
    if room is not None and need.total <= room:
        held = budget.fast_free is not None and need.total > budget.fast_free
        return Fit.TIGHT if held or need.total > room * TIGHT_SHARE else Fit.FITS, room
    return (Fit.UNKNOWN if budget.all is None else Fit.SLOW), budget.all


def _spilled(need: MemoryNeed, budget: MemoryBudget) -> PartVerdict | None:
    if budget.kind == "ram" or need.least <= budget.fast:
        return None
    return Fit.SLOW, lambda: fit_texts.memory(Fit.SLOW, need, budget)


def catalog_finding(needs: ModelNeeds, budget: MemoryBudget) -> PartVerdict | None:
    """Return the verdict by the catalog's memory figures, GPU and memory together; None without figures."""
    least, recommended = needs.min_ram_gib, needs.recommended_ram_gib
    if least is None and recommended is None:
        return None
    fit = _catalog(least, recommended, budget)
    return fit, lambda: fit_texts.catalog(fit, least, recommended, budget)


def _catalog(least: float | None, recommended: float | None, budget: MemoryBudget) -> Fit:
    if budget.total is None:
        enough = budget.fast_total >= max(least or 0, recommended or 0) * GIB
        return Fit.FITS if enough else Fit.UNKNOWN
    have = budget.total / GIB
    if least is not None and have < least:
        return Fit.TOO_BIG
    if recommended is None or have >= recommended:
        return Fit.FITS
    return Fit.UNKNOWN if least is None else Fit.TIGHT


def disk_finding(needs: ModelNeeds, free: int | None, reserve: int) -> PartVerdict:
    """Return the verdict on the store's disk, its reserve left free."""
    size = needs.weights_bytes if needs.disk_bytes is None else needs.disk_bytes
    if size is None and needs.disk_gb is not None:
        size = math.ceil(needs.disk_gb * GB)
    if size is None or free is None:
        return Fit.UNKNOWN, lambda: fit_texts.disk(size, free, reserve)
    fit = Fit.TOO_BIG if size > max(0, free - reserve) else Fit.FITS
    return fit, lambda: fit_texts.disk(size, free, reserve)
