"""GPUs with their own memory: NVIDIA's from its library, AMD's from the kernel's files."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYSTEM = Path("/")
_AMD = "0x1002"  # PCI's number of the vendor
# Their driver leaves one of these where there is such a GPU, or where a container was given one.
_NVIDIA_SIGNS = ("proc/driver/nvidia", "dev/nvidiactl")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU; bytes of its own memory, None where they cannot be read. `source` is "nvml" or "sysfs"."""

    name: str | None = None
    vendor: str | None = None
    vram_total_bytes: int | None = None
    vram_free_bytes: int | None = None
    source: str | None = None


def read_gpus(root: Path = SYSTEM) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """Return the GPUs, and notes on those not found or not counted.

    A failure of a driver or a library becomes a note and raises nothing.
    """
    nvidia, why = read_nvidia(root)
    amd, shared = read_amd(root)
    return (*nvidia, *amd), (*why, *shared)


def read_nvidia(root: Path = SYSTEM) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """Return NVIDIA's GPUs. Without a trace of their driver nothing is loaded, and no note is made."""
    if not any((root / sign).exists() for sign in _NVIDIA_SIGNS):
        return (), ()
    try:
        import pynvml
    except ImportError:
        return (), ("nvidia-ml-py is not installed: NVIDIA GPUs were not looked for (pip install 'flowhub[gpu]').",)
    try:
        return _query_nvml(pynvml), ()
    except Exception as error:  # a foreign library over a driver: on any failure no GPU of its kind is counted
        return (), (f"NVIDIA's driver did not answer ({type(error).__name__}: {error}): no NVIDIA GPU is counted.",)


def _query_nvml(nvml: Any) -> tuple[Gpu, ...]:
    nvml.nvmlInit()
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(place) for place in range(nvml.nvmlDeviceGetCount())]
        return tuple(_nvidia(nvml, handle) for handle in handles)
    finally:
        nvml.nvmlShutdown()


def _nvidia(nvml: Any, handle: Any) -> Gpu:
    name = nvml.nvmlDeviceGetName(handle)
    text = name.decode(errors="replace") if isinstance(name, bytes) else str(name)  # bytes before version 11.5
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    except nvml.NVMLError:  # unified memory (Jetson, GB10) has no figure of its own
        return Gpu(text, "nvidia", None, None, "nvml")
    return Gpu(text, "nvidia", int(memory.total), int(memory.free), "nvml")


def read_amd(root: Path = SYSTEM) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """Return AMD's GPUs by the files of the amdgpu driver (kernel: Documentation/gpu/amdgpu/driver-misc.rst)."""
    gpus, notes = [], []
    for folder in _cards(root / "sys/class/drm"):
        if _text(folder / "vendor") != _AMD or (total := _number(folder / "mem_info_vram_total")) is None:
            continue
        used = _number(folder / "mem_info_vram_used")
        name = _text(folder / "product_name") or None
        gpus.append(Gpu(name, "amd", total, None if used is None else max(0, total - used), "sysfs"))
        if shared := _number(folder / "mem_info_gtt_total"):
            label = name or folder.parent.name
            notes.append(
                f"{label} may also use {shared / 2**30:.1f} GiB of the machine's memory: not counted as its own."
            )
    return tuple(gpus), tuple(notes)


def _cards(drm: Path) -> Iterator[Path]:
    """Yield the folders of the graphics cards; `card0-HDMI-A-1` is a connector."""
    try:
        names = sorted(path.name for path in drm.iterdir())
    except OSError:
        return
    yield from (drm / name / "device" for name in names if name.startswith("card") and name[4:].isdecimal())


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
