"""Metadata from a model's header: of an installed file, a partial, or the source.

The parsers are imported only where there is a header: `show` of a model that is not installed does without.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from flowhub_jobs.errors import FlowhubError
from flowhub_jobs.formats.metadata import HeaderUnreadable, ModelMetadata
from flowhub_jobs.formats.read_metadata import read_growing, read_metadata
from flowhub_jobs.formats.transformers_config import MAX_BYTES as CONFIG_BYTES
from flowhub_jobs.formats.transformers_config import read_config
from flowhub_jobs.net import get
from flowhub_jobs.settings import Settings
from flowhub_jobs.store.layout import Store
from flowhub_jobs.transfer.partial.part_file import FILES
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile
from flowhub_jobs.values.enums import HubFormat

FIRST_BYTES = 64 * 1024  # enough for the keys that come before a vocabulary
MOST_BYTES = 32 * 2**20  # the largest vocabularies take some 10 MB
CONNECT_S, HEADER_TIMEOUT_S = 5.0, 20.0  # a user waits for the answer, and a rule replaces a missing header


@dataclass(frozen=True, slots=True)
class HeaderReading:
    """Metadata of a header, or a `note` on why it is missing. `size` is the whole file's, if its source gave it."""

    metadata: "ModelMetadata | None" = None
    note: str | None = None
    size: int | None = None


def local_metadata(store: "Store", node: str, artifact: Artifact, installed: str | None) -> "ModelMetadata | None":
    """Return the metadata of an installed model or its partial; None where there is neither."""
    folder = store.partial_of(artifact, node)
    paths = (
        [store.root / installed] if installed else [folder / FILES / file.path for file in _files_with_header(artifact)]
    )
    if not any(map(os.path.exists, paths)):
        return None
    for path in paths:
        # A partial may lack its beginning, and an installed file may have been changed by hand.
        with suppress(HeaderUnreadable, OSError):
            return read_metadata(path)
    return None


def remote_metadata(artifact: Artifact, settings: "Settings") -> HeaderReading:
    """Return the metadata in the first kilobytes of an artifact at its source; the bytes are not kept."""
    config = next((file for file in artifact.files if file.path == "config.json"), None)
    files = [config] if config and artifact.format is not HubFormat.GGUF else _files_with_header(artifact)
    if not files:
        return HeaderReading(note="no header could be read: it has no file that would hold one")
    try:
        return metadata_of_url(files[0].url, settings, pinned=files[0].sha256 is not None)
    except HeaderUnreadable as error:
        return HeaderReading(note=f"its header could not be read: {error}")
    except FlowhubError as error:
        return HeaderReading(note=f"its header could not be read: {error.message.rstrip('.')}")


def metadata_of_url(url: str, settings: "Settings", *, pinned: bool = False) -> HeaderReading:
    """Return the metadata in the first bytes of a remote file; a config.json is read whole.

    Raises HeaderUnreadable and what `net.get.get` does.
    """
    sizes: list[int] = []

    def first(count: int) -> bytes:
        answer = get.get(
            url,
            max_bytes=count,
            total_s=HEADER_TIMEOUT_S,
            connect_s=min(settings.connect_timeout_s, CONNECT_S),
            byte_range=(0, count),
            tokens=settings.tokens_by_origin,
            endpoint=settings.hf_endpoint,
            pinned=pinned,
        )
        if answer.status not in (200, 206):
            raise HeaderUnreadable(f"its source answered {answer.status}")
        sizes.extend(_whole_size(answer.status, answer.headers))
        return answer.body

    if url.partition("?")[0].endswith(".json"):
        return HeaderReading(read_config(first(CONFIG_BYTES)))
    return HeaderReading(read_growing(first, first=FIRST_BYTES, most=MOST_BYTES), size=next(iter(sizes), None))


def _whole_size(status: int, headers: Mapping[str, str]) -> list[int]:
    """Return the size of the whole file, if the answer says it: Content-Range's total, or a whole answer's length."""
    length = headers.get("content-range", "").rpartition("/")[2] if status == 206 else headers.get("content-length", "")
    return [int(length)] if length.isascii() and length.isdecimal() and len(length) < 19 else []


def _files_with_header(artifact: Artifact) -> list[ArtifactFile]:
    """Return the files that begin with a header, the model's own first."""
    files = [file for file in artifact.files if file.path.lower().endswith((".gguf", ".safetensors"))]
    return sorted(files, key=lambda file: ("mmproj" in file.path.lower(), file.path))
