"""Probe of this machine: processor, memory, GPUs, and the disk of the store.

A figure that cannot be read is None, never 0.
"""

import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from flowhub_jobs.device.cgroup import CGROUP_ROOT, MEMBERSHIP, memory_limit
from flowhub_jobs.device.device_values import Device, metal_share
from flowhub_jobs.device.gpu import Gpu, read_gpus

CPU_INFO = Path("/proc/cpuinfo")

_GPU_WAYS = {"nvml": "NVML, through nvidia-ml-py", "sysfs": "the amdgpu driver's files in /sys/class/drm"}
_PLATFORMS = {"darwin": "macos", "win32": "windows"}  # WSL is Linux
_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes that this process may use. `source` is "system", or "cgroup" where its limit is lower.

    `found` names the file or the call that the figure is from.
    """

    total_bytes: int | None
    available_bytes: int | None
    source: str | None
    found: str | None = None


def probe(store: Path | None = None) -> Device:
    """Return the description of this machine; `store` names the disk to measure, and need not exist yet."""
    system, architecture = read_platform(), read_architecture()
    memory, disk = read_memory(), read_disk(store) if store else (None, None)
    unified = system == "macos" and architecture == "arm64"
    metal, metal_found = read_metal(memory.total_bytes) if unified else (None, None)
    gpus, notes = ((), ()) if unified else read_gpus()  # Apple's shares the memory: `metal_bytes` is its part
    return Device(
        hostname=platform.node() or None,
        platform=system,
        architecture=architecture,
        cpu=read_cpu(),
        cores=read_cores(),
        ram_total_bytes=memory.total_bytes,
        ram_available_bytes=memory.available_bytes,
        ram_source=memory.source,
        disk_total_bytes=disk[0],
        disk_free_bytes=disk[1],
        unified_memory=unified,
        metal_bytes=metal,
        gpus=gpus,
        notes=notes,
        found=_methods_by_figure(memory, disk[0], metal_found, gpus),
    )


def _methods_by_figure(memory: Memory, disk: int | None, metal: str | None, gpus: tuple[Gpu, ...]) -> dict[str, str]:
    """Return for each figure that was read the way it was read, as text."""
    methods = {
        "ram_total_bytes": memory.found,
        "disk_total_bytes": "statvfs of the store's folder" if disk is not None else None,
        "metal_bytes": metal,
        "gpus": ", ".join(dict.fromkeys(_GPU_WAYS[gpu.source] for gpu in gpus if gpu.source)) or None,
    }
    return {figure: method for figure, method in methods.items() if method}


def read_platform() -> str:
    return _PLATFORMS.get(sys.platform, sys.platform)


def read_architecture() -> str | None:
    machine = platform.machine().lower()
    return _ARCHITECTURES.get(machine, machine) or None


def read_memory(cgroup_root: Path = CGROUP_ROOT, membership: Path = MEMBERSHIP) -> Memory:
    """Return the memory that this process may use: a container's limit where it is lower than the machine's."""
    total, available = _system_memory()
    limit = memory_limit(cgroup_root, membership)
    if limit is None or (total is not None and limit.limit_bytes >= total):
        method = "sysctl hw.memsize" if sys.platform == "darwin" else "/proc/meminfo"
        return Memory(total, available, "system" if total else None, method if total else None)
    figures = [figure for figure in (available, limit.available_bytes) if figure is not None]
    return Memory(limit.limit_bytes, min(figures, default=None), "cgroup", limit.found)


def read_disk(path: Path) -> tuple[int | None, int | None]:
    """Return the size and the free bytes of the file system that holds `path`, or will hold it once it is made."""
    start = path.absolute()
    for folder in (start, *start.parents):
        try:
            disk = shutil.disk_usage(folder)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            break
        # Some network disks report 0 of 0, which is no figure; 0 free of a real size is one.
        return (disk.total, disk.free) if disk.total else (None, None)
    return None, None


def read_cores() -> int | None:
    import psutil

    try:
        return psutil.cpu_count(logical=False) or os.cpu_count()
    except (psutil.Error, OSError):
        return os.cpu_count()


def read_cpu(cpu_info: Path = CPU_INFO) -> str | None:
    """Return the processor's name, or None where the system does not give it: Linux on ARM."""
    if sys.platform == "darwin":
        return _macos_cpu()
    try:
        lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    names = (value.strip() for key, _, value in (line.partition(":") for line in lines) if key.strip() == "model name")
    return next(names, None) or None


def _macos_cpu() -> str | None:
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=2)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None


def _system_memory() -> tuple[int | None, int | None]:
    import psutil

    try:
        memory = psutil.virtual_memory()
    except (psutil.Error, OSError, ValueError, RuntimeError):  # /proc hidden, or not as psutil expects it
        return None, None
    return (memory.total, memory.available) if memory.total else (None, None)


MIB = 2**20


def read_metal(ram: int | None) -> tuple[int | None, str | None]:
    """Return the bytes that Metal may use, and the way this was found: the set limit, else the system's own share."""
    if (limit := _wired_limit()) is not None:
        return limit * MIB, "sysctl iogpu.wired_limit_mb"
    if ram is None:
        return None, None
    return metal_share(ram), "Metal's usual share of the memory: 2/3 below 36 GiB, else 3/4"


def _wired_limit() -> int | None:
    """Return the limit in MiB that the user set; 0 means "not set"."""
    command = ["/usr/sbin/sysctl", "-n", "iogpu.wired_limit_mb"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=2).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return int(answer) if answer.isascii() and answer.isdecimal() and 0 < int(answer) < 2**32 else None
