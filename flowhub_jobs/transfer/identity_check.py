"""Checks that a response is of the content that the file must have. The transfer's lock is held throughout.

Two versions never mix in one file: the kept bytes are continued only by a response of the same identity, the strongest
that both have: the digest, else the Hub's commit and path, else a strong ETag, else a strong Last-Modified.
"""

import re

from flowhub_jobs.errors import (
    DigestMismatch,
    FlowhubError,
    MirrorUnfit,
    SizeMismatch,
    SourceChanged,
    WrongContent,
    WrongRange,
)
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.pieces.ranges import piece_size
from flowhub_jobs.transfer.empty_digest_check import EMPTY_GIT_SHA1, EMPTY_SHA256, check_not_empty_digest
from flowhub_jobs.transfer.file_state import CATALOG, AddressState, FileState, RangeTask
from flowhub_jobs.transfer.first_bytes_check import Proof, check_first_bytes
from flowhub_jobs.transfer.http.response_headers import BodyRange, HubMetadata
from flowhub_jobs.transfer.range_forms import WHOLE, RangeForm

_COMMIT = re.compile(r"[0-9a-f]{40}")
RESTARTS_MAX = 2  # After more restarts for another ETag, ETags are no longer trusted.


def check_hub_metadata(task: RangeTask, hub: HubMetadata) -> None:
    """Raise DigestMismatch or SizeMismatch if the Hub contradicts the catalog; else adopt its digests."""
    state, identity, pinned = task.state, task.state.identity, task.state.file.sha256
    if task.address.mirror:
        if hub.sha256 not in (None, pinned) or hub.size not in (None, state.size):
            raise MirrorUnfit(f"{address_host(task.address)} has another file.", host=address_host(task.address))
        return
    if hub.sha256 and pinned and hub.sha256 != pinned:
        host = address_host(task.address)
        raise DigestMismatch(
            f"the source disagrees with {identity.pinned_by}, which pins sha256 {pinned}; {host} has {hub.sha256}.",
            hint=f"The file was replaced at its source, or {identity.pinned_by} is out of date: {_remedy(state)}.",
            host=host,
            path=state.file.path,
        )
    check_size(task, hub.size)
    identity.commit = hub.commit if hub.commit and _COMMIT.fullmatch(hub.commit) else identity.commit
    identity.expected_sha256 = pinned or hub.sha256
    identity.expected_git_sha1 = state.file.git_sha1 or hub.git_sha1
    if hub.sha256 or hub.git_sha1:
        sized = hub.size is not None or state.file.size is not None
        identity.proof = Proof.PUBLISHED_WITH_SIZE if sized else Proof.PUBLISHED


def proof_of(state: FileState, *, published: bool) -> Proof:
    """Return what is known before the first response that shows whether a file is the right one."""
    if not state.pinned_by_digest:
        return Proof.NOTHING
    if not published:
        return Proof.TYPED
    return Proof.PUBLISHED if state.file.size is None else Proof.PUBLISHED_WITH_SIZE


def check_size(task: RangeTask, total: int | None) -> None:
    """Raise SizeMismatch if `total`, the size by the source, contradicts the catalog's; None: it is not known."""
    state = task.state
    if total is not None and state.file.size is not None and total != state.file.size:
        host, pinned_by = address_host(task.address), state.identity.pinned_by
        raise SizeMismatch(
            f"{pinned_by} says {state.file.size} bytes, the source {host} has {total} bytes.",
            hint=f"The size in {pinned_by} is out of date: {_remedy(state)}, then enqueue again.",
            host=host,
            path=state.file.path,
        )


def _remedy(state: FileState) -> str:
    return "update the catalog" if state.identity.pinned_by == CATALOG else "look at its source"


def address_host(address: AddressState) -> str:
    """Return the host that a message should name: where the bytes come from, as far as that is known."""
    return host_of(address.location or address.url)


def is_another_version(state: FileState, body_range: BodyRange, hub: HubMetadata | None) -> bool:
    """Return whether the response's content is another version than that of the kept bytes."""
    total = _total(body_range, hub)
    resized = total is not None and state.size is not None and total != state.size
    # Also before the first byte is kept: another connection may be about to write bytes of an accepted response.
    has_version = state.record.identity is not None or bool(state.record.kept.total)
    return resized or (has_version and identity_of(state, body_range, hub) != state.record.identity)


def accept(task: RangeTask, body_range: BodyRange, hub: HubMetadata | None, location: str | None) -> None:
    """Adopt the response's facts about the file, and set the task to the bytes of the body.

    Raises WrongRange for an impossible end, SourceChanged if the file must be requested in one go, SizeMismatch if the
    Hub and the place it redirects to have different sizes.
    """
    state, total, host = task.state, _total(body_range, hub), address_host(task.address)
    path = state.file.path
    if hub is not None and hub.size is not None and total != hub.size:
        raise SizeMismatch(
            f"the Hub announces {hub.size} bytes, but {host}, to which it redirects, has {total}.",
            hint="Tell the owner of that repository; another variant of the model may be whole.",
            host=host,
            path=path,
        )
    check_not_empty_digest(state.file, total, host)
    if body_range.end == body_range.start and total != body_range.start:
        text = f"{host} answered 416 to a range from byte {body_range.start} on and stated a size of {total} bytes."
        raise WrongRange(text, host=host, path=path)
    received = task.start if body_range.whole else state.record.kept.end
    if total is not None and total < received:
        text = f"{host} states a size of {total} bytes, but {received} were already received."
        raise WrongRange(text, host=host, path=path)
    if total == 0:  # before the hasher may verify it
        check_may_be_empty(state, state.identity.proof)
    in_one_go = task.address.no_validator
    _adopt(task, body_range, total, identity_of(state, body_range, hub), location)
    if body_range.whole and len(state.tasks) > 1:
        text = f"{host} ignores ranges; flowhub requests the file over one connection."
        raise SourceChanged(text, host=host, path=path)
    if body_range.whole:
        _accept_whole_file(task, total)
    elif body_range.end is not None:
        task.end = _end_in(task, body_range.end)
    task.response_end = task.end if body_range.whole or body_range.end is None else max(task.end, body_range.end)
    if task.address.no_validator and not body_range.whole and task.end < (WHOLE if total is None else total):
        if in_one_go:  # the whole was requested, and a part came: that could repeat without end
            raise WrongRange(
                f"it cannot be fetched safely: {host} sends it in parts, "
                "and neither a digest nor a lasting ETag or Last-Modified binds them together.",
                host=host,
                path=path,
            )
        raise SourceChanged("nothing tells its versions apart; flowhub requests it in one response.", path=path)


def check_may_be_empty(state: FileState, proof: Proof) -> None:
    """Raise WrongContent for an empty body of a file that is not empty, before the hasher may verify it.

    An edge that has not fetched the file yet answers so for a moment: a wrong digest would end the job.
    """
    path, identity = state.file.path, state.identity
    check_first_bytes(path, b"", proof)
    sha256, git_sha1 = identity.expected_sha256, identity.expected_git_sha1
    if sha256 not in (None, EMPTY_SHA256) or git_sha1 not in (None, EMPTY_GIT_SHA1):
        raise WrongContent("expected a non-empty file, but the host sent an empty one.", path=path)


def _total(body_range: BodyRange, hub: HubMetadata | None) -> int | None:
    """Return the size by the response, else by the Hub's metadata."""
    return body_range.total if body_range.total is not None or hub is None else hub.size


def _adopt(
    task: RangeTask, body_range: BodyRange, total: int | None, identity: str | None, location: str | None
) -> None:
    state, record, address = task.state, task.state.record, task.address
    if total is not None and record.size is None:
        record.size = total
        if not body_range.whole and not address.mistrusted:
            address.form = RangeForm.BOUNDED  # from now on no range ends after the file
    record.piece = record.piece or piece_size(record.size)
    record.identity = identity
    # The whole that was requested for wrong parts says nothing of ranges.
    address.no_ranges = address.no_ranges or (body_range.whole and not address.mistrusted)
    address.no_validator = identity is None
    state.identity.identified, state.disk.dirty = True, True
    if location is not None:
        address.location = location


def _end_in(task: RangeTask, response_end: int) -> int:
    """Return where a task ends: with its response, or where kept bytes or another connection's range begin."""
    minimum = min(task.end, response_end)
    maximum = minimum if len(task.state.tasks) > 1 else response_end
    return next(task.state.record.kept.gaps(task.start, maximum), (0, minimum))[1]


def _accept_whole_file(task: RangeTask, total: int | None) -> None:
    """Set a task to a 200: the kept front is skipped, not written again; bytes after a gap are fetched again."""
    state = task.state
    state.record.kept.remove(task.start, WHOLE)
    size = state.size if total is None else total
    task.end = WHOLE if size is None else size


def identity_of(state: FileState, body_range: BodyRange, hub: HubMetadata | None) -> str | None:
    """Return what identifies the response's content, the strongest first; None if nothing does."""
    recorded = state.record.identity
    if body_range.end == body_range.start and not body_range.whole:
        return recorded  # 416: there is no body. An empty 200 is a version of its own.
    if state.identity.expected_sha256 is not None:
        return f"sha256:{state.identity.expected_sha256}"
    if state.identity.expected_git_sha1 is not None:
        return f"git:{state.identity.expected_git_sha1}"
    if hub is not None and hub.commit is not None:
        return f"commit:{hub.commit}/{state.file.path}"
    if state.current_address.location is not None and recorded is not None and recorded.startswith("commit:"):
        return recorded  # the request went to where the Hub had redirected; the CDN's own ETag means nothing
    # A validator that changes with every response identifies nothing. The ETag may be stable where the date is not.
    if body_range.etag is not None and state.restarts <= RESTARTS_MAX:
        return f"etag:{body_range.etag}"
    if body_range.modified is not None and state.restarts <= 2 * RESTARTS_MAX:
        return f"modified:{body_range.modified}"
    return None


def contradiction(state: FileState, digest: str, git: str | None) -> FlowhubError | None:
    """Return DigestMismatch if `digest` (sha256), or `git` (sha1, if that was computed), is not the expected one."""
    expected, actual, label = state.identity.expected_sha256, digest, "sha256"
    if expected is None:
        expected, actual, label = (state.identity.expected_git_sha1, git or "", "git sha1") if git else (None, "", "")
    if expected is None or actual == expected:
        return None
    host = address_host(state.current_address)
    pinned = state.file.sha256 is not None or state.file.git_sha1 is not None
    claim = (
        f"the source {host} disagrees with {state.identity.pinned_by}, which pins"
        if pinned
        else f"{host} contradicts the Hub, which says"
    )
    return DigestMismatch(
        f"the content is wrong: {claim} {label} {expected}; what came has {actual}.",
        hint="Nothing was installed. {New_try} downloads it again; if it differs again, the digest is out of date.",
        host=host,
        path=state.file.path,
    )
