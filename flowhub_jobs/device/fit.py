"""Will it run here? Pure arithmetic over what a variant takes and what the machine has.

A model takes memory for its weights, for what it remembers of the text (the context: keys and values of every token
in every layer), and for the runtime's own buffers (the overhead). Nothing is measured here, and nothing is imported
that would cost a search over twenty thousand models its time. The rules, each with its source, stand beside their
numbers; `sentences` puts a verdict into words.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flowhub_jobs.device import sentences
from flowhub_jobs.values.enums import Fit, HubFormat, Offload

if TYPE_CHECKING:
    from flowhub_jobs.device.gpu import Gpu
    from flowhub_jobs.device.probe import Device
    from flowhub_jobs.formats.metadata import Anatomy

GIB = 2**30
GB = 10**9

# The tokens that are counted with where nobody says: what Ollama and LM Studio open a model with.
DEFAULT_CONTEXT = 4096
# Keys and values are kept as 16-bit floats unless a runtime is told otherwise (llama.cpp's --cache-type-k f16).
CACHE_NUMBER_BYTES = 2
# Where no header tells: bytes of keys and values a token, times the square root of the billions of parameters. Keys and
# values grow with layers times heads, parameters with layers times width squared. 72 KiB is at or above what these
# take by their own headers: Qwen2.5 0.5B 12 KiB, Llama 3.2 3B 112, Qwen3 4B 144, Llama 3.1 8B 128, Qwen3 8B 144,
# Phi-4 14B 200, Qwen2.5 32B 256, Llama 3.3 70B 320. Models without grouped heads (Llama 2 7B: 512) take more.
CACHE_PER_TOKEN = 72 * 2**10
BATCH = 512  # tokens that are read at once (llama.cpp's --ubatch-size)
# The runtime's buffers for a batch of 512 tokens. llama.cpp's largest is the table of scores, 512 x vocabulary x 4
# bytes: 0.29 GiB for 151,936 words (Qwen), 0.5 GiB for 262,144 (Gemma).
OVERHEAD = GIB // 2
# What stays out of reach of a GPU's memory: the driver's own (about 0.4 GiB a process with CUDA) and a screen.
GPU_RESERVE = 3 * GIB // 4
# A processor's own graphics lays claim to a little of the memory and is no faster than the processor: not counted.
GPU_LEAST = 2 * GIB
# What the system and its desktop hold; a container holds but its own processes. Never more than a quarter.
SYSTEM_RESERVE = 3 * GIB // 2
CONTAINER_RESERVE = GIB // 4
# Less than a tenth left is tight: a longer answer or one more program, and it no longer fits.
TIGHT_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a machine. None, or no platform at all, is not known.

    `weights_bytes` are those that a runtime loads; `disk_bytes` all that is fetched, where that is more. `context` is
    how many tokens are wanted, `context_max` for how many the model was trained. Memory figures of the catalog are
    GiB, its disk figure GB, which stands in where the size is not known.
    """

    weights_bytes: int | None = None
    format: HubFormat | None = None
    anatomy: "Anatomy | None" = None
    parameters: int | None = None
    context: int | None = None
    context_max: int | None = None
    offload: Offload | None = None
    min_ram_gib: float | None = None
    recommended_ram_gib: float | None = None
    disk_gb: float | None = None
    platforms: tuple[str, ...] | None = None
    disk_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it runs here, the numbers, and one plain sentence, without a full stop, that says why.

    `need_bytes` is the sum of the three shares, `have_bytes` what this machine can give it, reserves taken off; None is
    not known. `context` is the tokens that were counted with; `basis` is where the context's share is from: "header",
    "parameters" (the stated rule), "catalog" (its own memory figures decided), or "none".
    """

    fit: Fit
    say: str | Callable[[], str] = field(compare=False)
    need_bytes: int | None = None
    have_bytes: int | None = None
    weights_bytes: int | None = None
    context_bytes: int | None = None
    overhead_bytes: int | None = None
    context: int | None = None
    basis: str = "none"

    @property
    def why(self) -> str:
        """The sentence, made when it is read: a search makes twenty thousand verdicts and shows thirty."""
        return self.say if isinstance(self.say, str) else self.say()

    def as_dict(self) -> dict[str, Any]:
        names = ("need_bytes", "have_bytes", "weights_bytes", "context_bytes", "overhead_bytes", "context", "basis")
        return {"fit": str(self.fit), "why": self.why} | {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Need:
    """The three shares in bytes. Where one is not known, `total` is None too; `least` is what is certain."""

    weights: int | None
    context: int | None
    overhead: int
    tokens: int
    trained: int | None
    basis: str

    @property
    def total(self) -> int | None:
        return None if self.weights is None or self.context is None else self.weights + self.context + self.overhead

    @property
    def least(self) -> int:
        return (self.weights or 0) + (self.context or 0) + self.overhead


@dataclass(frozen=True, slots=True)
class Place:
    """Where it would go, in bytes. `fast` is what GPUs (or Metal) can give, `slow` what the memory can give besides.

    `kind` is "gpu", "metal" or "ram": without a GPU there is no `fast`, and the memory is all there is. `blind` names a
    GPU whose memory is not known.
    """

    kind: str
    fast: int
    slow: int | None
    gpus: int = 0
    fast_total: int = 0
    fast_free: int | None = None
    ram_total: int | None = None
    container: bool = False
    blind: str | None = None

    @property
    def all(self) -> int | None:
        return None if self.slow is None or self.blind else self.fast + self.slow

    @property
    def total(self) -> int | None:
        """What the machine has, reserves and all: the measure of the catalog's figures."""
        vram = self.fast_total if self.kind == "gpu" else 0
        return None if self.ram_total is None else self.ram_total + vram


Finding = tuple[Fit, Callable[[], str]]
_RANK = {word: rank for rank, word in enumerate((Fit.TOO_BIG, Fit.UNKNOWN, Fit.SLOW, Fit.TIGHT, Fit.FITS))}


def fit(asked: Asked, device: "Device", *, reserve_bytes: int = 0, installed: bool = False) -> Verdict:
    """Return whether a variant runs on `device`. `reserve_bytes` of its disk are not to be used.

    Memory, the catalog's own figures, and (if it is not `installed`) the disk are each judged; the worst decides.
    What is certain against it comes before what is unknown, and what is unknown before what speaks for it:

    1. wrong platform: the platform is not among those listed, or it is MLX and this is not Apple silicon;
    2. too big: for GPU and memory together, for the catalog's minimum, or for the free disk less the reserve;
    3. unknown: a figure that would decide is missing on either side; the sentence names it;
    4. slow: the GPU (or Metal) cannot hold all of it, and the rest goes into the memory. A machine without a GPU is
       never slow: the word compares it with what this machine could do;
    5. tight: less than a tenth would be left, another program holds the GPU's memory now, or the catalog recommends
       more;
    6. fits.

    Memory is all that the machine (or the container) has, not what is free now: programs come and go, and give way.
    A GPU's memory does not give way, which is why what is free there counts. Swap is not memory.
    """
    need, place = need_of(asked), place_of(asked, device)
    platform = platform_finding(asked, device)
    if platform and platform[0] is Fit.WRONG_PLATFORM:
        return _verdict(*platform, need, None, need.basis)
    memory, have = memory_finding(need, place)
    catalog = catalog_finding(asked, place)
    disk = None if installed else disk_finding(asked, device.disk_free_bytes, reserve_bytes)
    basis = need.basis
    if catalog and memory[0] is Fit.UNKNOWN and need.total is None:
        # One word on the memory is enough where it decides; but what the weights alone spill is certain.
        memory, basis = _spilled(need, place) or catalog, "catalog"
    elif catalog and catalog[0] is Fit.UNKNOWN and place.total is not None:
        catalog = (Fit.TIGHT, catalog[1])  # less than is recommended, and no minimum: our own sum stands in for it
    findings = [finding for finding in (memory, catalog, disk, platform) if finding]
    word, say = min(findings, key=lambda finding: _RANK[finding[0]])
    return _verdict(word, say, need, have, basis)


def _verdict(word: Fit, say: Callable[[], str], need: Need, have: int | None, basis: str) -> Verdict:
    return Verdict(word, say, need.total, have, need.weights, need.context, need.overhead, need.tokens, basis)


def platform_finding(asked: Asked, device: "Device") -> Finding | None:
    """Return what speaks against this kind of machine, or that it is not known of what kind it is."""
    mlx = asked.format is HubFormat.MLX
    if mlx and not device.apple_silicon:
        unknown = device.platform in (None, "macos") and device.architecture in (None, "arm64")
    elif asked.platforms and device.platform not in asked.platforms:
        unknown = device.platform is None
    else:
        return None
    if unknown:
        return Fit.UNKNOWN, lambda: "what kind of machine it is, is not known"
    return Fit.WRONG_PLATFORM, lambda: sentences.wrong_platform(mlx, asked.platforms or (), device)


def need_of(asked: Asked) -> Need:
    """Return the memory that a variant takes, for the tokens asked, else for 4,096 or what it was trained for."""
    anatomy = asked.anatomy
    trained = (anatomy.context_length if anatomy else None) or asked.context_max
    tokens = asked.context or min(DEFAULT_CONTEXT, trained or DEFAULT_CONTEXT)
    weights = asked.weights_bytes if asked.weights_bytes is not None or not anatomy else anatomy.weights_bytes
    context, basis = cache_bytes(anatomy, tokens) if anatomy else None, "header"
    if context is None:
        parameters = asked.parameters or (anatomy.parameters if anatomy else None)
        context, basis = (None, "none") if parameters is None else (cache_by_rule(parameters, tokens), "parameters")
    return Need(weights, context, OVERHEAD, tokens, trained, basis)


def cache_bytes(anatomy: "Anatomy", tokens: int) -> int | None:
    """Return what keys and values of `tokens` take, by the header; None where it does not tell enough.

    A windowed layer keeps its window and the batch that is being read, as llama.cpp's cache does.
    """
    if anatomy.kv_heads == 0:
        return 0
    if anatomy.kv_heads is None or anatomy.key_length is None or anatomy.value_length is None:
        return None
    each = anatomy.kv_heads * (anatomy.key_length + anatomy.value_length) * CACHE_NUMBER_BYTES
    if not (anatomy.layers and anatomy.sliding_window and anatomy.windowed_layers):
        return each * tokens
    kept = min(tokens, anatomy.sliding_window + BATCH)
    full = anatomy.layers - anatomy.windowed_layers
    return each * (full * tokens + anatomy.windowed_layers * kept) // anatomy.layers


def cache_by_rule(parameters: int, tokens: int) -> int:
    """Return what keys and values of `tokens` take in a model of so many parameters, by the rule above."""
    return int(CACHE_PER_TOKEN * math.sqrt(parameters / 10**9) * tokens)


def place_of(asked: Asked, device: "Device") -> Place:
    """Return where a variant would go on this machine."""
    return _place(device, asked.offload is not Offload.NONE)


@lru_cache(maxsize=16)  # a search judges thousands of variants for one machine
def _place(device: "Device", may_offload: bool) -> Place:
    ram, container = device.ram_total_bytes, device.ram_source == "cgroup"
    reserve = CONTAINER_RESERVE if container else SYSTEM_RESERVE
    slow = None if ram is None else ram - min(reserve, ram // 4)
    if not may_offload:
        return Place("ram", 0, slow, ram_total=ram, container=container)
    if device.apple_silicon and ram is not None and slow is not None:
        metal = min(ram, device.metal_bytes or metal_share(ram))
        return Place("metal", metal, max(0, slow - metal), 1, metal, ram_total=ram)
    counted = [gpu for gpu in device.gpus if gpu.vram_total_bytes is None or gpu.vram_total_bytes >= GPU_LEAST]
    if not counted:
        return Place("ram", 0, slow, ram_total=ram, container=container)
    return replace(_on_gpus(counted), slow=slow, ram_total=ram, container=container)


def _on_gpus(gpus: "Sequence[Gpu]") -> Place:
    """Return what these GPUs have together; one whose memory is not known adds nothing, and is named."""
    sizes = [gpu.vram_total_bytes for gpu in gpus if gpu.vram_total_bytes is not None]
    free = [gpu.vram_free_bytes for gpu in gpus if gpu.vram_total_bytes is not None]
    return Place(
        "gpu",
        fast=sum(sizes) - GPU_RESERVE * len(sizes),
        slow=None,
        gpus=len(sizes),
        fast_total=sum(sizes),
        fast_free=None if None in free else sum(size for size in free if size is not None),
        blind=next((gpu.name or "a GPU" for gpu in gpus if gpu.vram_total_bytes is None), None),
    )


def metal_share(ram: int) -> int:
    """Return how much of the unified memory Metal takes by itself: two thirds below 36 GiB, else three quarters.

    Apple publishes no rule. These are what `recommendedMaxWorkingSetSize` says in llama.cpp's logs: 10.67 GiB of 16,
    21.33 of 32, 27 of 36, 48 of 64. Newer systems give large machines more (107.5 of 128): that is not counted.
    """
    return ram * 2 // 3 if ram < 36 * GIB else ram * 3 // 4


def memory_finding(need: Need, place: Place) -> tuple[Finding, int | None]:
    """Return how the sum stands against the place, and the bytes that it was held against."""
    word, have = _memory(need, place)
    return (word, lambda: sentences.memory(word, need, place)), have


def _memory(need: Need, place: Place) -> tuple[Fit, int | None]:
    if place.all is not None and need.least > place.all:
        return Fit.TOO_BIG, place.all
    if need.total is None:
        return Fit.UNKNOWN, place.all
    room = place.fast if place.kind != "ram" else place.slow
    if room is not None and need.total <= room:
        held = place.fast_free is not None and need.total > place.fast_free
        return Fit.TIGHT if held or need.total > room * TIGHT_SHARE else Fit.FITS, room
    return (Fit.UNKNOWN if place.all is None else Fit.SLOW), place.all


def _spilled(need: Need, place: Place) -> Finding | None:
    if place.kind == "ram" or need.least <= place.fast:
        return None
    return Fit.SLOW, lambda: sentences.memory(Fit.SLOW, need, place)


def catalog_finding(asked: Asked, place: Place) -> Finding | None:
    """Return what the catalog's memory figures say, GPU and memory together; None where it has none."""
    least, wanted = asked.min_ram_gib, asked.recommended_ram_gib
    if least is None and wanted is None:
        return None
    word = _catalog(least, wanted, place)
    return word, lambda: sentences.catalog(word, least, wanted, place)


def _catalog(least: float | None, wanted: float | None, place: Place) -> Fit:
    if place.total is None:
        enough = place.fast_total >= max(least or 0, wanted or 0) * GIB
        return Fit.FITS if enough else Fit.UNKNOWN
    have = place.total / GIB
    if least is not None and have < least:
        return Fit.TOO_BIG
    if wanted is None or have >= wanted:
        return Fit.FITS
    return Fit.UNKNOWN if least is None else Fit.TIGHT


def disk_finding(asked: Asked, free: int | None, reserve: int) -> Finding:
    """Return whether it goes on the disk that holds the store, and leaves the reserve free."""
    size = asked.weights_bytes if asked.disk_bytes is None else asked.disk_bytes
    if size is None and asked.disk_gb is not None:
        size = math.ceil(asked.disk_gb * GB)
    if size is None or free is None:
        return Fit.UNKNOWN, lambda: sentences.disk(size, free, reserve)
    word = Fit.TOO_BIG if size > max(0, free - reserve) else Fit.FITS
    return word, lambda: sentences.disk(size, free, reserve)
