"""The programs that are compared: flowhub, the limit and each installed competitor, as commands for an empty folder.

Each is called in the ways of `ways`, which are tried once; the best of them is compared.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lib.bench.files import Served

PARTS = Path(__file__).parent
LIMIT_WAYS = ((256, 64), (512, 64), (1024, 64), (256, 0))  # KiB of a buffer, MiB between two fdatasync
DIRECT_WAYS = (1024, 2048)  # KiB of a buffer
Command = list[str]


@dataclass(frozen=True)
class FetchSpec:
    """The files to fetch, from `base`. `ca` is only for TLS; `python` is an interpreter with flowhub."""

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
class Method:
    """One way to call a program: its description, and its commands, run one by one."""

    what: str
    commands: tuple[Command, ...]
    fetches: bool = True


def installed(*tools: str) -> bool:
    return all(shutil.which(tool) for tool in tools)


def flowhub(spec: FetchSpec) -> list[Method]:
    option = spec.notes / "option.json"
    option.write_text(json.dumps(option_of(spec.base, spec.files)))
    return [Method("download()", ([str(spec.python), str(PARTS / "program_flowhub.py"), str(option)],))]


def option_of(base: str, files: Sequence[Served]) -> dict[str, Any]:
    """Return a catalog's option of one file, or of a folder of them."""
    if len(files) == 1:
        file = files[0]
        option_fields = {
            "filename": file.name,
            "url": f"{base}/{file.path}",
            "sizeBytes": file.size,
            "sha256": file.sha256,
        }
        return {"id": "bench", "format": "gguf", **option_fields}
    rows = [{"path": f.name, "url": f"{base}/{f.path}", "sizeBytes": f.size, "sha256": f.sha256} for f in files]
    return {"id": "bench", "format": "mlx", "files": rows}


def limit(spec: FetchSpec) -> list[Method]:
    url, file, program = spec.url(spec.one), spec.one, str(PARTS / "program_limit.py")
    return [
        Method(
            f"buffers of {kib} KiB, fdatasync " + (f"each {mib} MiB" if mib else "at the end"),
            ([str(spec.python), program, url, file.name, file.sha256, str(kib), str(mib)],),
        )
        for kib, mib in LIMIT_WAYS
    ]


def limit_direct(spec: FetchSpec) -> list[Method]:
    """The same loop past the page cache; no aim refers to it."""
    url, file, program = spec.url(spec.one), spec.one, str(PARTS / "program_direct.py")
    return [
        Method(f"O_DIRECT, buffers of {kib} KiB", ([str(spec.python), program, url, file.name, file.sha256, str(kib)],))
        for kib in DIRECT_WAYS
    ]


def digest(spec: FetchSpec) -> list[Method]:
    """The digest of as many bytes, in one thread: the minimum for verifying one file."""
    command = [str(spec.python), str(PARTS / "program_digest.py"), str(spec.size)]
    return [Method("SHA-256 of as many bytes in memory, nothing fetched", (command,), fetches=False)]


def aria2c(spec: FetchSpec, connections: int) -> list[Method]:
    """aria2c with its checksum, once without allocation and once with its default."""
    if not installed("aria2c"):
        return []
    quiet = ["--no-conf", "--no-netrc", "--quiet", "--allow-overwrite", "--auto-file-renaming=false"]
    trust = [f"--ca-certificate={spec.ca}"] if spec.ca else []
    split = [f"-x{connections}", f"-s{connections}", "-k1M", f"--checksum=sha-256={spec.one.sha256}"]
    call = ["aria2c", *quiet, *trust, *split, "-o", spec.one.name]
    url = spec.url(spec.one)
    return [
        Method(
            f"-x{connections} -k1M --checksum --file-allocation={kind}", ([*call, f"--file-allocation={kind}", url],)
        )
        for kind in ("none", "prealloc", "falloc")
    ]


def aria2c_many(spec: FetchSpec, at_once: int) -> list[Method]:
    """aria2c with a list of files and the checksum of each."""
    if not installed("aria2c"):
        return []
    entries = [f"{spec.url(f)}\n  out={f.name}\n  checksum=sha-256={f.sha256}\n" for f in spec.files]
    listed = spec.notes / "aria2.list"
    listed.write_text("".join(entries))
    call = ["aria2c", "--no-conf", "--no-netrc", "--quiet", "-x1", f"-j{at_once}", "--file-allocation=none"]
    return [Method(f"-j{at_once} -x1 -i list, checksums", ([*call, "-i", str(listed)],))]


def curl_then_openssl(spec: FetchSpec) -> list[Method]:
    if not installed("curl", "openssl"):
        return []
    trust = ["--cacert", str(spec.ca)] if spec.ca else []
    get = ["curl", "-q", "--silent", "--show-error", "--fail", *trust, "-o", spec.one.name, spec.url(spec.one)]
    return [Method("curl, then openssl dgst -sha256", (get, ["openssl", "dgst", "-sha256", spec.one.name]))]


def wget(spec: FetchSpec) -> list[Method]:
    if not installed("wget"):
        return []
    trust = [f"--ca-certificate={spec.ca}"] if spec.ca else []
    get = ["wget", "--no-config", "--quiet", *trust, "-O", spec.one.name, spec.url(spec.one)]
    return [Method("verifies nothing", (get,))]


def hf_download(spec: FetchSpec) -> list[Method]:
    if spec.hf is None or spec.hub is None:
        return []
    get = [str(spec.hf), "download", "bench/model", spec.one.name, "--local-dir", ".", "--quiet"]
    environment = [f"HF_ENDPOINT={spec.hub}", f"HF_HOME={spec.notes / 'hf'}", "HF_HUB_DISABLE_XET=1"]
    return [Method("download, verifies nothing", (["env", *environment, *get],))]
