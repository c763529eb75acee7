"""Checks of a source's first response: size, name, sign-in, and their effect on the artifact. Pure.

An artifact is refused only for a fault that neither a later nor a different request would change. Other faults are left
to the worker.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from flowhub_jobs.catalogs.resolve import PLACEHOLDER, format_of
from flowhub_jobs.errors import DigestMismatch, FlowhubError, SizeMismatch, UsageInvalid, WrongContent
from flowhub_jobs.fs.names import filename_from_url, name_problem
from flowhub_jobs.net.content_disposition import suggested_name
from flowhub_jobs.net.content_range import coding_of
from flowhub_jobs.net.get import Document
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.store.folder_scan import safe_name
from flowhub_jobs.transfer.empty_digest_check import check_not_empty_digest
from flowhub_jobs.transfer.first_bytes_check import HEAD_BYTES, check_first_bytes
from flowhub_jobs.values.artifacts import Artifact, ArtifactFile

ASKED_BYTES = 1024
ALL_MAX = 512  # files that one call checks
_TOTAL = re.compile(r"/\s*([0-9]{1,18})\s*$")
_DIGITS = re.compile(r"[0-9]{1,18}")
_PROGRAMS = {".php", ".asp", ".aspx", ".ashx", ".jsp", ".cgi", ".do", ".action", ".html", ".htm"}
_PAGE_HINT = "Open the URL in a browser: it may want a sign-in, or be the page about the file."
# Who stated the size: an address alone has none.
_CATALOG_HINT = "The size in the catalog is out of date: update the catalog, then enqueue again."
_HUB_HINT = "The Hub lists another size for the file than its server has: look at the repository, then enqueue again."
_NAME_HINT = "Give the file a name: --name model.gguf."


@dataclass(frozen=True, slots=True)
class FirstResponse:
    """Result of an answer: the whole file's size in bytes, its name, the error, or the reason why nothing was seen."""

    size: int | None = None
    name: str | None = None
    error: FlowhubError | None = None
    unchecked_reason: str | None = None


@dataclass(frozen=True, slots=True)
class CheckedArtifact:
    """An artifact as it can be queued and the size that its source stated, or the `error` that refuses it.

    `unchecked_reason` says why it, or some of it, could not be looked at.
    """

    artifact: Artifact
    size: int | None = None
    error: FlowhubError | None = None
    unchecked_reason: str | None = None


def check_artifact(artifact: Artifact, first_responses: Sequence[FirstResponse]) -> CheckedArtifact:
    """Return the artifact as changed by the answers about its first files."""
    unchecked_reason = next((one.unchecked_reason for one in first_responses if one.unchecked_reason), None)
    if not first_responses and artifact.files:
        unchecked_reason = f"not checked; one command checks at most {ALL_MAX} files"
    elif not unchecked_reason and len(first_responses) < len(artifact.files):
        unchecked_reason = f"only {len(first_responses)} of its {len(artifact.files)} files were checked"
    if error := next((one.error for one in first_responses if one.error), None):
        if isinstance(error, SizeMismatch):
            error.hint = _CATALOG_HINT if artifact.option is not None else _HUB_HINT
        return CheckedArtifact(artifact, error=error)
    name = next((answer.name for answer in first_responses if answer.name), None)
    if lacks_name(artifact) and name:
        artifact = renamed(artifact, name)
    elif artifact.name == PLACEHOLDER and name_problem(filename_from_url(artifact.files[0].url)):
        suffix = f" ({unchecked_reason})" if unchecked_reason else ", and its server suggests none"
        message = f"{artifact.ref!r} ends in no usable file name{suffix}."
        return CheckedArtifact(artifact, error=UsageInvalid(message, hint=_NAME_HINT))
    return CheckedArtifact(artifact, _size(artifact, first_responses), unchecked_reason=unchecked_reason)


def _size(artifact: Artifact, first_responses: Sequence[FirstResponse]) -> int | None:
    sizes = [answer.size for answer in first_responses if answer.size is not None]
    return sum(sizes) if len(sizes) == len(artifact.files) else None


def check_response(file: ArtifactFile, answer: Document) -> FirstResponse:
    """Return the result of an answer of status 200 or 206 with the file's first bytes."""
    size, name = total_size(answer), _suggestion(answer)
    head = answer.body[:HEAD_BYTES]
    # An answer of exactly the asked length may be a part that claims to be the whole: the worker asks in another way.
    if file.size is not None and size not in (None, file.size, ASKED_BYTES) and not _is_page(answer):
        message = f"{file.path} should have {file.size} bytes, but {host_of(answer.url)} says that it has {size}."
        return FirstResponse(error=SizeMismatch(message))
    try:
        check_not_empty_digest(file, size, host_of(answer.url))
    except DigestMismatch as error:
        return FirstResponse(error=error)
    if len(head) < HEAD_BYTES and size != len(head):
        return FirstResponse(size, name)  # the body was cut short: nothing to judge
    try:
        check_first_bytes(file.path if name is None or not is_id(file.path) else name, head)
    except WrongContent as error:
        # A published digest is better evidence than the first bytes, unless a page came whose size nothing contradicts.
        if not (file.sha256 or file.git_sha1) or (_is_page(answer) and (size is None or size != file.size)):
            if _is_page(answer):
                error.hint = _PAGE_HINT
            return FirstResponse(error=error.at(host=host_of(answer.url), path=file.path))
    return FirstResponse(size, name)


def _is_page(answer: Document) -> bool:
    return answer.body[:256].removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith((b"<!doctype html", b"<html"))


def total_size(answer: Document) -> int | None:
    """Return the size of the whole file: the total of Content-Range, else the length of a whole answer."""
    if match := _TOTAL.search(answer.headers.get("content-range", "")):
        return int(match[1])
    length = answer.headers.get("content-length", "").strip()
    packed = coding_of(answer.headers.get("content-encoding", "")) is not None
    is_whole = answer.status == 200 and "content-range" not in answer.headers and not packed
    return int(length) if is_whole and _DIGITS.fullmatch(length) else None


# Names ---------------------------------------------------------------------------------------------------------------


def _suggestion(answer: Document) -> str | None:
    """Return the name that the answer or a redirect to it suggests by Content-Disposition, else its address's own."""
    for headers in (answer.headers, *reversed(answer.redirects)):
        suggested = suggested_name(headers.get("content-disposition", ""))
        if suggested and suggested.strip(". "):
            return safe_name(suggested)
    last = filename_from_url(answer.url)
    return None if is_id(last) or name_problem(last) else last


def is_id(name: str) -> bool:
    """Return whether the end of an address is no file's name but a number, a word or a program: `1234`, `get.php`."""
    return PurePosixPath(name).suffix.lower() in {"", *_PROGRAMS}


def lacks_name(artifact: Artifact) -> bool:
    """Return whether an artifact's name stands in for one that its address does not have."""
    if artifact.model is not None or artifact.hub is not None or len(artifact.files) != 1:
        return False
    last = filename_from_url(artifact.files[0].url)
    return artifact.name == PLACEHOLDER if name_problem(last) else artifact.name == last and is_id(last)


def renamed(artifact: Artifact, name: str) -> Artifact:
    """Return an artifact of one file under another name."""
    [file] = artifact.files
    return replace(artifact, name=name, format=format_of(name), files=(replace(file, path=name),))
