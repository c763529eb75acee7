"""How much of Apple's unified memory its GPU may use."""

import subprocess

from flowhub_jobs.device.fit import metal_share

MIB = 2**20


def read_metal(ram: int | None) -> tuple[int | None, str | None]:
    """Return the bytes that Metal may use, and how that was found: the set limit, else the system's own share."""
    if (limit := _wired_limit()) is not None:
        return limit * MIB, "sysctl iogpu.wired_limit_mb"
    if ram is None:
        return None, None
    return metal_share(ram), "Metal's usual share of the memory: 2/3 below 36 GiB, else 3/4"


def _wired_limit() -> int | None:
    """Return the limit in MiB that somebody set; 0 is the system's word for "not set"."""
    command = ["/usr/sbin/sysctl", "-n", "iogpu.wired_limit_mb"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=2).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
    return int(answer) if answer.isascii() and answer.isdecimal() and 0 < int(answer) < 2**32 else None
