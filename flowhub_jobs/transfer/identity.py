"""Checks a response against what is known of the file, before a byte is written. The transfer's lock is held.

Two versions never mix in one file: what is kept goes on only with an answer of the same identity, the strongest that
both have: the digest, else the Hub's commit and path, else a strong ETag.
"""

from flowhub_jobs.errors import DigestMismatch, FlowhubError, SizeMismatch, SourceChanged, WrongRange
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.pieces.ranges import piece_size
from flowhub_jobs.transfer.content import Proof, check_first_bytes
from flowhub_jobs.transfer.file_state import CATALOG, FileState, RangeTask
from flowhub_jobs.transfer.http.headers import HubMetadata, RangeAnswer
from flowhub_jobs.transfer.range_forms import WHOLE, RangeForm

RESTARTS_MAX = 2  # for another ETag, before it is no longer believed


def check_hub_metadata(state: FileState, hub: HubMetadata) -> None:
    """Raise DigestMismatch or SizeMismatch where the Hub contradicts the catalog; else take its digests over."""
    said = hub.sha256
    if said and state.file.sha256 and said != state.file.sha256:
        raise DigestMismatch(
            f"the source disagrees with {state.identity.pinned_by}, which pins sha256 "
            f"{state.file.sha256}; {_host(state)} has {said}.",
            hint=f"The file was replaced at its source, or {state.identity.pinned_by} is out of date: {_mend(state)}.",
            host=_host(state),
            path=state.file.path,
        )
    check_size(state, hub.size)
    state.identity.expected_sha256 = state.file.sha256 or said
    state.identity.expected_git_sha1 = state.file.git_sha1 or hub.git_sha1
    if said or hub.git_sha1:
        sized = hub.size is not None or state.file.size is not None
        state.identity.proof = Proof.PUBLISHED_WITH_SIZE if sized else Proof.PUBLISHED


def proof_of(state: FileState, *, published: bool) -> Proof:
    """Return what is known beforehand that tells whether a file is the right one."""
    if not state.pinned_by_digest:
        return Proof.NOTHING
    if not published:
        return Proof.TYPED
    return Proof.PUBLISHED if state.file.size is None else Proof.PUBLISHED_WITH_SIZE


def check_size(state: FileState, total: int | None) -> None:
    if total is not None and state.file.size is not None and total != state.file.size:
        raise SizeMismatch(
            f"{state.identity.pinned_by} says {state.file.size} bytes, the source {_host(state)} has {total} bytes.",
            hint=f"The size in {state.identity.pinned_by} is out of date: {_mend(state)}, then enqueue again.",
            host=_host(state),
            path=state.file.path,
        )


def _mend(state: FileState) -> str:
    return "update the catalog" if state.identity.pinned_by == CATALOG else "look at its source"


def _host(state: FileState) -> str:
    """Return the host to name in a message: where the bytes come from, as far as is known."""
    return host_of(state.source.location or state.file.url)


def is_another_version(state: FileState, answer: RangeAnswer, hub: HubMetadata | None) -> bool:
    """Return whether the answer's content is another one than that of the bytes kept."""
    total = _total(answer, hub)
    resized = total is not None and state.size is not None and total != state.size
    # Also before the first byte is kept: another connection may be about to write what an earlier answer promised.
    begun = state.record.identity is not None or bool(state.record.kept.total)
    return resized or (begun and identity_of(state, answer, hub) != state.record.identity)


def accept(task: RangeTask, answer: RangeAnswer, hub: HubMetadata | None, location: str | None) -> None:
    """Take over what the answer tells of the file, and set the task to what its body is.

    Raises WrongRange for an end that is none, SourceChanged where the file must be asked for in one go.
    """
    state, total = task.state, _total(answer, hub)
    if hub is not None and hub.size is not None and total != hub.size:
        raise SizeMismatch(
            f"the Hub says {hub.size} bytes, and where it leads, {_host(state)}, has {total} bytes.",
            hint="Tell the owner of that repository; another variant of the model may be whole.",
            host=_host(state),
            path=state.file.path,
        )
    if answer.end == answer.start and total != answer.start:
        raise WrongRange(
            f"{_host(state)} says that it ends at byte {total}, not {answer.start}.",
            host=_host(state),
            path=state.file.path,
        )
    kept = task.start if answer.whole else state.record.kept.end
    if total is not None and total < kept:
        raise WrongRange(
            f"{_host(state)} says that it has {total} bytes, and {kept} came already.",
            host=_host(state),
            path=state.file.path,
        )
    if total == 0:  # before the hasher may call it done
        check_first_bytes(state.file.path, b"", state.identity.proof)
    in_one_go = state.source.no_validator
    _learn(state, answer, total, identity_of(state, answer, hub), location)
    if answer.whole and len(state.tasks) > 1:
        raise SourceChanged("its source ignores ranges; it is asked by one connection alone.", path=state.file.path)
    if answer.whole:
        _take_whole(task, total)
    elif answer.end is not None:
        task.end = _end_in(task, answer.end)
    task.response_end = task.end if answer.whole or answer.end is None else max(task.end, answer.end)
    if state.source.no_validator and not answer.whole and task.end < (WHOLE if total is None else total):
        if in_one_go:  # asked for, and not given: that would be asked for ever
            raise WrongRange(
                f"it cannot be fetched safely: {_host(state)} sends it in parts, "
                "and neither a digest nor a lasting ETag or Last-Modified binds them together.",
                host=_host(state),
                path=state.file.path,
            )
        raise SourceChanged("nothing tells its versions apart; it is asked for in one go.", path=state.file.path)


def _total(answer: RangeAnswer, hub: HubMetadata | None) -> int | None:
    """Return the size by the source's own answer; the Hub's word where that does not tell."""
    return answer.total if answer.total is not None or hub is None else hub.size


def _learn(
    state: FileState, answer: RangeAnswer, total: int | None, identity: str | None, location: str | None
) -> None:
    record = state.record
    if total is not None and record.size is None:
        record.size = total
        if not answer.whole:
            state.source.form = RangeForm.BOUNDED  # from now on no range ends behind the file
    record.piece = record.piece or piece_size(record.size)
    record.identity = identity
    state.source.no_ranges = state.source.no_ranges or answer.whole
    state.source.no_validator = identity is None
    state.identity.identified, state.disk.dirty = True, True
    if location is not None:
        state.source.location = location


def _end_in(task: RangeTask, answer_end: int) -> int:
    """Return where a task ends: with its answer, or where what comes behind is kept, or another connection's."""
    if answer_end <= task.end or len(task.state.tasks) > 1:
        return min(task.end, answer_end)
    return next(task.state.record.kept.gaps(task.start, answer_end), (0, task.end))[1]


def _take_whole(task: RangeTask, total: int | None) -> None:
    """A 200 to a range: the kept front is skipped over, not written again; what is behind a gap comes anew."""
    state = task.state
    state.record.kept.remove(task.start, WHOLE)
    size = state.size if total is None else total
    task.end = WHOLE if size is None else size


def identity_of(state: FileState, answer: RangeAnswer, hub: HubMetadata | None) -> str | None:
    """Return what binds the answer's bytes to one content, the strongest first; None if nothing does."""
    known = state.record.identity
    if answer.end == answer.start:
        return known  # no byte comes
    if state.identity.expected_sha256 is not None:
        return f"sha256:{state.identity.expected_sha256}"
    if state.identity.expected_git_sha1 is not None:
        return f"git:{state.identity.expected_git_sha1}"
    if hub is not None and hub.commit is not None:
        return f"commit:{hub.commit}/{state.file.path}"
    if state.source.location is not None and known is not None and known.startswith("commit:"):
        return known  # asked at the CDN, where the Hub's word led; its own ETag is worth nothing
    # A validator that changes with every answer binds nothing; where the ETag does, the date may not.
    if answer.etag is not None and state.restarts <= RESTARTS_MAX:
        return f"etag:{answer.etag}"
    if answer.modified is not None and state.restarts <= 2 * RESTARTS_MAX:
        return f"modified:{answer.modified}"
    return None


def contradiction(state: FileState, digest: str, git: str | None) -> FlowhubError | None:
    """Return DigestMismatch where `digest` (sha256), or `git` (sha1, if that was asked), is not the expected one."""
    expected, came, kind = state.identity.expected_sha256, digest, "sha256"
    if expected is None:
        expected, came, kind = (state.identity.expected_git_sha1, git or "", "git sha1") if git else (None, "", "")
    if expected is None or came == expected:
        return None
    host = host_of(state.source.location or state.file.url)
    pinned = state.file.sha256 is not None or state.file.git_sha1 is not None
    says = (
        f"the source {host} disagrees with {state.identity.pinned_by}, which pins"
        if pinned
        else f"{host} contradicts the Hub, which says"
    )
    return DigestMismatch(
        f"the content is wrong: {says} {kind} {expected}; what came has {came}.",
        host=host,
        path=state.file.path,
        hint="Nothing was installed. {New_try} fetches it again; if it differs again, the digest is out of date.",
    )
