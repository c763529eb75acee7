"""Memory that a model needs, and memory that a machine can give it. Pure arithmetic.

A model takes memory for its weights, for its context (keys and values of every token in every layer), and for the
runtime's own buffers (the overhead). Nothing is measured here, and nothing is imported that would slow down a search
over twenty thousand models. Each rule has its source next to its number.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from flowhub_jobs.device.device_values import GIB, metal_share
from flowhub_jobs.values.enums import HubFormat, Offload

if TYPE_CHECKING:
    from flowhub_jobs.device.device_values import Device
    from flowhub_jobs.device.gpu import Gpu
    from flowhub_jobs.formats.metadata import ModelMetadata

# The default number of tokens: Ollama and LM Studio open a model with it.
DEFAULT_CONTEXT = 4096
# Runtimes keep keys and values as 16-bit floats by default (llama.cpp's --cache-type-k f16).
CACHE_NUMBER_BYTES = 2
# Without a header: bytes of keys and values a token, times the square root of the billions of parameters. Keys and
# values grow with layers times heads, parameters with layers times width squared. 72 KiB is at or above what these
# take by their own headers: Qwen2.5 0.5B 12 KiB, Llama 3.2 3B 112, Qwen3 4B 144, Llama 3.1 8B 128, Qwen3 8B 144,
# Phi-4 14B 200, Qwen2.5 32B 256, Llama 3.3 70B 320. Models without grouped heads (Llama 2 7B: 512) take more.
CACHE_PER_TOKEN = 72 * 2**10
BATCH = 512  # tokens that are read together (llama.cpp's --ubatch-size)
# The runtime's buffers for a batch of 512 tokens. llama.cpp's largest is the table of scores, 512 x vocabulary x 4
# bytes: 0.29 GiB for 151,936 words (Qwen), 0.5 GiB for 262,144 (Gemma).
OVERHEAD = GIB // 2
# Part of a GPU's memory that no model gets: the driver's own (about 0.4 GiB a process with CUDA) and a screen.
GPU_RESERVE = 3 * GIB // 4
# A processor's integrated graphics reserves a little memory and is no faster than the processor: not counted.
GPU_LEAST = 2 * GIB
# Memory of the system and its desktop; a container holds only its own processes. Never more than a quarter.
SYSTEM_RESERVE = 3 * GIB // 2
CONTAINER_RESERVE = GIB // 4


@dataclass(frozen=True, slots=True)
class ModelNeeds:
    """What a model needs of a machine. None, or an empty `platforms`, is unknown.

    `weights_bytes` are those that a runtime loads; `disk_bytes` all that is fetched, where that is more. `context` is
    the number of tokens wanted, `context_max` the number for which the model was trained. Memory figures of the catalog
    are GiB; its disk figure is GB, and is used where the size is unknown.
    """

    weights_bytes: int | None = None
    format: HubFormat | None = None
    metadata: "ModelMetadata | None" = None
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
class MemoryNeed:
    """The three shares in bytes. Where one is unknown, `total` is None too; `least` is the sum of the known ones."""

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
class MemoryBudget:
    """Memory for a model, in bytes. `fast` is that of the GPUs (or Metal), `slow` the rest of the machine's memory.

    `kind` is "gpu", "metal" or "ram": without a GPU there is no `fast`, and `slow` is all memory. `blind` names a GPU
    whose memory is unknown.
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
        """All memory, reserves included: the catalog's figures are compared with it."""
        vram = self.fast_total if self.kind == "gpu" else 0
        return None if self.ram_total is None else self.ram_total + vram


def memory_need(needs: ModelNeeds) -> MemoryNeed:
    """Return the memory that a variant takes, for the tokens wanted, else for 4,096 or its trained context."""
    metadata = needs.metadata
    trained = (metadata.context_length if metadata else None) or needs.context_max
    tokens = needs.context or min(DEFAULT_CONTEXT, trained or DEFAULT_CONTEXT)
    weights = needs.weights_bytes if needs.weights_bytes is not None or not metadata else metadata.weights_bytes
    context, basis = cache_bytes(metadata, tokens) if metadata else None, "header"
    if context is None:
        parameters = needs.parameters or (metadata.parameters if metadata else None)
        context, basis = (None, "none") if parameters is None else (cache_by_rule(parameters, tokens), "parameters")
    return MemoryNeed(weights, context, OVERHEAD, tokens, trained, basis)


def cache_bytes(metadata: "ModelMetadata", tokens: int) -> int | None:
    """Return the bytes of keys and values of `tokens`, by the header; None where it lacks a figure.

    A windowed layer keeps its window and the current batch, as llama.cpp's cache does.
    """
    if metadata.kv_heads == 0:
        return 0
    if metadata.kv_heads is None or metadata.key_length is None or metadata.value_length is None:
        return None
    each = metadata.kv_heads * (metadata.key_length + metadata.value_length) * CACHE_NUMBER_BYTES
    if not (metadata.layers and metadata.sliding_window and metadata.windowed_layers):
        return each * tokens
    cached = min(tokens, metadata.sliding_window + BATCH)
    full = metadata.layers - metadata.windowed_layers
    return each * (full * tokens + metadata.windowed_layers * cached) // metadata.layers


def cache_by_rule(parameters: int, tokens: int) -> int:
    """Return the bytes of keys and values of `tokens`, estimated from the parameters by the rule above."""
    return int(CACHE_PER_TOKEN * math.sqrt(parameters / 10**9) * tokens)


def memory_budget(needs: ModelNeeds, device: "Device") -> MemoryBudget:
    """Return the memory that this machine can give a variant."""
    return _budget(device, needs.offload is not Offload.NONE)


@lru_cache(maxsize=16)  # a search judges thousands of variants for one machine
def _budget(device: "Device", may_offload: bool) -> MemoryBudget:
    ram, container = device.ram_total_bytes, device.ram_source == "cgroup"
    reserve = CONTAINER_RESERVE if container else SYSTEM_RESERVE
    slow = None if ram is None else ram - min(reserve, ram // 4)
    if not may_offload:
        return MemoryBudget("ram", 0, slow, ram_total=ram, container=container)
    if device.apple_silicon and ram is not None and slow is not None:
        metal = min(ram, device.metal_bytes or metal_share(ram))
        return MemoryBudget("metal", metal, max(0, slow - metal), 1, metal, ram_total=ram)
    counted = [gpu for gpu in device.gpus if gpu.vram_total_bytes is None or gpu.vram_total_bytes >= GPU_LEAST]
    if not counted:
        return MemoryBudget("ram", 0, slow, ram_total=ram, container=container)
    return replace(_on_gpus(counted), slow=slow, ram_total=ram, container=container)


def _on_gpus(gpus: "Sequence[Gpu]") -> MemoryBudget:
    """Return the sum of these GPUs; one whose memory is unknown adds nothing, and is named in `blind`."""
    sizes = [gpu.vram_total_bytes for gpu in gpus if gpu.vram_total_bytes is not None]
    free = [gpu.vram_free_bytes for gpu in gpus if gpu.vram_total_bytes is not None]
    return MemoryBudget(
        "gpu",
        fast=sum(sizes) - GPU_RESERVE * len(sizes),
        slow=None,
        gpus=len(sizes),
        fast_total=sum(sizes),
        fast_free=None if None in free else sum(size for size in free if size is not None),
        blind=next((gpu.name or "a GPU" for gpu in gpus if gpu.vram_total_bytes is None), None),
    )
