"""Who runs: flowhub, the limit and each rival that is installed, as commands for an empty folder.

Each is called in the ways of `ways`, which are tried once: what is compared is the best of them.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench_parts.files import Served

PARTS = Path(__file__).parent
LIMIT_WAYS = ((256, 64), (512, 64), (1024, 64), (256, 0))  # KiB of a buffer, MiB between two fdatasync
DIRECT_WAYS = (1024, 2048)  # KiB of a buffer
Command = list[str]


@dataclass(frozen=True)
class Errand:
    """What is to be fetched: one file or more, from `base`. `ca` is for TLS alone; `python` is one that has flowhub."""

    base: str
    files: tuple[Served, ...]
    python: Path
    notes: Path  # a folder for lists and options
    ca: Path | None = None
    hf: Path | None = None
    hub: str | None = None

    @property
    def one(self) -> Served:
        return self.files[0]

    def url(self, file: Served) -> str:
        return f"{self.base}/{file.path}"

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class Way:
    """One way to call a program: what is special about it, and the commands that run one after the other."""

    what: str
    commands: tuple[Command, ...]
    fetches: bool = True


def installed(*tools: str) -> bool:
    return all(shutil.which(tool) for tool in tools)


def flowhub(errand: Errand) -> list[Way]:
    option = errand.notes / "option.json"
    option.write_text(json.dumps(option_of(errand.base, errand.files)))
    return [Way("download()", ([str(errand.python), str(PARTS / "program_us.py"), str(option)],))]


def option_of(base: str, files: Sequence[Served]) -> dict[str, Any]:
    """Return a catalog's option of one file, or of a folder of them."""
    if len(files) == 1:
        file = files[0]
        about = {"filename": file.name, "url": f"{base}/{file.path}", "sizeBytes": file.size, "sha256": file.sha256}
        return {"id": "bench", "format": "gguf", **about}
    rows = [{"path": f.name, "url": f"{base}/{f.path}", "sizeBytes": f.size, "sha256": f.sha256} for f in files]
    return {"id": "bench", "format": "mlx", "files": rows}


def limit(errand: Errand) -> list[Way]:
    url, file, program = errand.url(errand.one), errand.one, str(PARTS / "program_limit.py")
    return [
        Way(
            f"buffers of {kib} KiB, fdatasync " + (f"each {mib} MiB" if mib else "at the end"),
            ([str(errand.python), program, url, file.name, file.sha256, str(kib), str(mib)],),
        )
        for kib, mib in LIMIT_WAYS
    ]


def limit_direct(errand: Errand) -> list[Way]:
    """The same loop past the page cache, of which no aim speaks."""
    url, file, program = errand.url(errand.one), errand.one, str(PARTS / "program_direct.py")
    return [
        Way(f"O_DIRECT, buffers of {kib} KiB", ([str(errand.python), program, url, file.name, file.sha256, str(kib)],))
        for kib in DIRECT_WAYS
    ]


def digest(errand: Errand) -> list[Way]:
    """The digest of as many bytes, which nobody who verifies one file can do without, or in two threads."""
    command = [str(errand.python), str(PARTS / "program_digest.py"), str(errand.size)]
    return [Way("SHA-256 of as many bytes in memory, nothing fetched", (command,), fetches=False)]


def aria2c(errand: Errand, connections: int) -> list[Way]:
    """aria2c with its checksum, once without allocation and once with what it does by itself."""
    if not installed("aria2c"):
        return []
    quiet = ["--no-conf", "--no-netrc", "--quiet", "--allow-overwrite", "--auto-file-renaming=false"]
    trust = [f"--ca-certificate={errand.ca}"] if errand.ca else []
    split = [f"-x{connections}", f"-s{connections}", "-k1M", f"--checksum=sha-256={errand.one.sha256}"]
    call = ["aria2c", *quiet, *trust, *split, "-o", errand.one.name]
    url = errand.url(errand.one)
    return [
        Way(f"-x{connections} -k1M --checksum --file-allocation={kind}", ([*call, f"--file-allocation={kind}", url],))
        for kind in ("none", "prealloc", "falloc")
    ]


def aria2c_many(errand: Errand, at_once: int) -> list[Way]:
    """aria2c with a list of files and the checksum of each."""
    if not installed("aria2c"):
        return []
    entries = [f"{errand.url(f)}\n  out={f.name}\n  checksum=sha-256={f.sha256}\n" for f in errand.files]
    listed = errand.notes / "aria2.list"
    listed.write_text("".join(entries))
    call = ["aria2c", "--no-conf", "--no-netrc", "--quiet", "-x1", f"-j{at_once}", "--file-allocation=none"]
    return [Way(f"-j{at_once} -x1 -i list, checksums", ([*call, "-i", str(listed)],))]


def curl_then_openssl(errand: Errand) -> list[Way]:
    if not installed("curl", "openssl"):
        return []
    trust = ["--cacert", str(errand.ca)] if errand.ca else []
    get = ["curl", "-q", "--silent", "--show-error", "--fail", *trust, "-o", errand.one.name, errand.url(errand.one)]
    return [Way("curl, then openssl dgst -sha256", (get, ["openssl", "dgst", "-sha256", errand.one.name]))]


def wget(errand: Errand) -> list[Way]:
    if not installed("wget"):
        return []
    trust = [f"--ca-certificate={errand.ca}"] if errand.ca else []
    get = ["wget", "--no-config", "--quiet", *trust, "-O", errand.one.name, errand.url(errand.one)]
    return [Way("verifies nothing", (get,))]


def hf_download(errand: Errand) -> list[Way]:
    if errand.hf is None or errand.hub is None:
        return []
    get = [str(errand.hf), "download", "bench/model", errand.one.name, "--local-dir", ".", "--quiet"]
    told = [f"HF_ENDPOINT={errand.hub}", f"HF_HOME={errand.notes / 'hf'}", "HF_HUB_DISABLE_XET=1"]
    return [Way("download, verifies nothing", (["env", *told, *get],))]
