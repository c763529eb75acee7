"""Description of a machine: processor, memory, GPUs, disk. A figure that is not known is None, never 0."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from flowhub_jobs.device.gpu import Gpu

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Device:
    """This machine, and the disk that holds the store.

    `platform` is linux, macos or windows; `architecture` x86_64, arm64 or as the system says. `cores` are real ones
    where the system tells them from threads. `disk_free_bytes` is what a user without privileges may still write.
    `metal_bytes` is what a GPU may use of Apple's unified memory. Swap is not memory: it is not counted anywhere.
    `found` maps a figure to the way it was read; `notes` are for things not found, or found and not counted.
    """

    hostname: str | None = None
    platform: str | None = None
    architecture: str | None = None
    cpu: str | None = None
    cores: int | None = None
    ram_total_bytes: int | None = None
    ram_available_bytes: int | None = None
    ram_source: str | None = None
    disk_total_bytes: int | None = None
    disk_free_bytes: int | None = None
    unified_memory: bool = False
    metal_bytes: int | None = None
    gpus: tuple[Gpu, ...] = ()
    notes: tuple[str, ...] = ()
    found: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)

    @property
    def apple_silicon(self) -> bool:
        return self.platform == "macos" and self.architecture == "arm64"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def metal_share(ram: int) -> int:
    """Return the share of the unified memory that Metal takes by itself: two thirds below 36 GiB, else three quarters.

    Apple publishes no rule. These are the values of `recommendedMaxWorkingSetSize` in llama.cpp's logs: 10.67 GiB of
    16, 21.33 of 32, 27 of 36, 48 of 64. Newer systems give large machines more (107.5 of 128): that is not counted.
    """
    return ram * 2 // 3 if ram < 36 * GIB else ram * 3 // 4
