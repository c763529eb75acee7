"""Detects model files that are shorter than their header says: interrupted downloads under a final name."""

from collections.abc import Sequence
from contextlib import suppress

from flowhub_jobs.formats.declared_size import declared_size_of
from flowhub_jobs.store.file_hash import HashedFile
from flowhub_jobs.store.folder_scan import Candidate

_FORMATS = (".gguf", ".safetensors")


def truncation_problem(candidate: Candidate, hashes: Sequence[HashedFile]) -> str | None:
    """Return a sentence's end if one of the candidate's files is shorter than its own header says.

    A file whose name claims a digest is skipped: the digest has shown whether it is complete.
    """
    for file, hashed in zip(candidate.files, hashes, strict=True):
        if file.claim is not None or not file.path.lower().endswith(_FORMATS):
            continue
        with suppress(OSError):  # it was read a moment ago; whether it still can be is noticed when it is linked
            declared = declared_size_of(hashed.path)
            if declared is not None and declared > hashed.stamp.size:
                return f"is cut short: it has {hashed.stamp.size:,} bytes, by its own header at least {declared:,}"
    return None
