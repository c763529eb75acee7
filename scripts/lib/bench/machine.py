"""A description of the machine that the bench ran on."""

import os
import platform
import re
import shutil
import subprocess
import time
from pathlib import Path

from lib.bench.figures import GIB, MIB

VERSIONS = {
    "nginx": ("nginx", "-v"),
    "aria2c": ("aria2c", "--version"),
    "curl": ("curl", "--version"),
    "wget": ("wget", "--version"),
    "openssl": ("openssl", "version"),
}


def about_machine(folder: Path, trial: int) -> dict[str, str]:
    """Describe the machine; write `trial` bytes to measure the speed of the disk of `folder`."""
    return {
        "CPU": f"{cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / GIB:.0f} GiB",
        "disk": f"{filesystem_of(folder)}, {disk_speed(folder, trial):.0f} MiB/s written and synced",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def cpu_model() -> str:
    """Return the CPU's name as the system reports it."""
    try:
        names = re.findall(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        names = [said("sysctl", "-n", "machdep.cpu.brand_string")]
    return names[0] if names and names[0] else platform.processor() or platform.machine()


def filesystem_of(folder: Path) -> str:
    """Return the kind of the filesystem that holds `folder`, such as "ext4"; "unknown" outside Linux."""
    try:
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    except OSError:
        return "unknown"
    at = folder.resolve()
    holds = {
        Path(mount[4]): mount[mount.index("-") + 1] for mount in mounts
    }  # the last mount of a mount point is the visible one
    return holds[next(place for place in (at, *at.parents) if place in holds)]


def disk_speed(folder: Path, size: int) -> float:
    """Return the MiB per second of writing and syncing a new file of `size` bytes."""
    block = os.urandom(MIB)
    path = folder / "disk-speed"
    began = time.monotonic()
    with path.open("wb", buffering=0) as file:
        for _ in range(size // MIB):
            file.write(block)
        os.fsync(file.fileno())
    took = time.monotonic() - began
    path.unlink()
    return size / MIB / took


def versions(python: Path, hf: Path | None) -> dict[str, str]:
    """Return the first version number in each tool's output, without missing tools."""
    installed_tools = {name: command for name, command in VERSIONS.items() if shutil.which(name)}
    installed_tools["Python"] = (str(python), "--version")
    if hf is not None:
        installed_tools["hf"] = (str(hf), "version")
    return {name: version_in(said(*command)) for name, command in installed_tools.items()}


def version_in(text: str) -> str:
    found = re.search(r"\d+(\.\d+)+\w*", text)
    return found[0] if found else "?"


def said(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip()
