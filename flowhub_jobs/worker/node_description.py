"""Writes the machine's description into its node's row: memory and GPUs once, free disk space regularly."""

from typing import Any

from flowhub_jobs.device.device_values import Device
from flowhub_jobs.device.probe import probe
from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.home import Home
from flowhub_jobs.jobs.node_registry import NodeRegistry
from flowhub_jobs.store.space import room_at

EVERY_S = 30.0


class NodeDescription:
    """One a worker. It is not written before the first job begins: finding the GPUs loads their library."""

    def __init__(self, home: Home, registry: NodeRegistry) -> None:
        self._home, self._registry = home, registry
        self._written_at = float("-inf")
        self._machine: dict[str, Any] | None = None

    def write_if_due(self) -> None:
        awake_s = self._home.clock.awake()
        if awake_s - self._written_at < EVERY_S:
            return
        self._written_at = awake_s
        if self._machine is None:
            self._machine = machine_values(probe())
        self._registry.describe(self._machine | {"disk_free": self._free()})

    def _free(self) -> int | None:
        try:
            return room_at(self._home.store.root, self._home.settings.disk_reserve).free
        except (OSError, FlowhubError):  # the disk is away
            return None


def machine_values(device: Device) -> dict[str, Any]:
    """Return the columns that describe a machine. Of unified memory, the part that a GPU may use counts as its own."""
    gpus = [{"name": gpu.name, "vendor": gpu.vendor, "vram_total_bytes": gpu.vram_total_bytes} for gpu in device.gpus]
    if device.metal_bytes:
        gpus.append({"name": device.cpu, "vendor": "Apple", "vram_total_bytes": device.metal_bytes})
    return {"ram": device.ram_total_bytes, "gpus": gpus}
