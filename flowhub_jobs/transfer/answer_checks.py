"""Answers that are lawful by their headers and may still not be what they seem, held against what was asked.

The transfer's lock is held throughout.
"""

from flowhub_jobs.errors import SourceChanged, WrongRange
from flowhub_jobs.net.urls import host_of
from flowhub_jobs.transfer.file_state import FileState, RangeTask
from flowhub_jobs.transfer.form_fallback import ask_without_range
from flowhub_jobs.transfer.http.headers import HubMetadata, RangeAnswer
from flowhub_jobs.transfer.identity import check_size, identity_of
from flowhub_jobs.transfer.range_forms import WHOLE, RangeForm


def check_not_a_part(task: RangeTask, answer: RangeAnswer) -> None:
    """Raise WrongRange for what calls itself the whole file and is exactly as long as the part that was asked for.

    A server that cuts a file and says 200, or calls the length of the part the total, would make a part the whole. The
    file is asked for without a range then; one that is just as long costs one request more. So does a shorter one,
    where a range was answered with 200: the server may send less than was asked.
    """
    state, total = task.state, answer.total
    if task.form is RangeForm.NONE or (total is not None and total == state.size):
        return
    if answer.whole and task.start > 0 and (total is None or state.size is None):
        ask_without_range(state)
        raise WrongRange(
            f"{_host(state)} was asked for a part of the file, and does not say how much it sends.", host=_host(state)
        )
    if total is None or task.end == WHOLE:
        return
    cut_first = total == task.end
    may_be_cut = answer.whole and total <= task.end - task.start
    if cut_first or may_be_cut or (answer.whole and total == (state.size or 0) - task.start):
        ask_without_range(state)
        raise WrongRange(
            f"{_host(state)} sends {total} bytes as the whole file, which may be a part of it.", host=_host(state)
        )


def check_inside(task: RangeTask, answer: RangeAnswer) -> None:
    """Raise WrongRange for a part that ends behind the end of the file."""
    size = task.state.size
    if size is not None and answer.end is not None and answer.end > size:
        raise WrongRange(
            f"{_host(task.state)} sends bytes up to {answer.end} of a file of {size}.", host=_host(task.state)
        )


def check_end(task: RangeTask) -> None:
    """Raise WrongRange where a body of unknown length ends just where the range ended that was asked for."""
    unpinned = task.state.size is None and not task.state.pinned_by_digest
    if (
        task.form is not RangeForm.NONE
        and not task.total_stated
        and task.start == 0 < task.at
        and (task.at == task.requested_end or (unpinned and task.at < task.requested_end < WHOLE))
    ):
        ask_without_range(task.state)
        raise WrongRange(
            f"{_host(task.state)} ends the file at byte {task.at}, which may be the end of a part of it.",
            host=_host(task.state),
        )


def check_decoded(task: RangeTask) -> None:
    """Raise SizeMismatch or WrongRange where a decoded body ended, by its own checksum, before the end of the file."""
    state = task.state
    check_size(state, task.at)
    if state.size is not None:
        raise WrongRange(
            f"{_host(state)} sent {task.at} bytes of a file of {state.size}.", host=_host(state), path=state.file.path
        )


def check_condition(task: RangeTask, answer: RangeAnswer, hub: HubMetadata | None) -> None:
    """Raise SourceChanged where If-Range was not answered as it should be: then the range alone is asked for.

    The whole of the same version would repeat what is kept; a part without a validator does not say of which version
    it is (a 206 to If-Range may leave Last-Modified out, RFC 9110, section 15.3.7).
    """
    state = task.state
    if not task.conditional or answer.end == answer.start:
        return
    same = identity_of(state, answer, hub) == state.record.identity
    unnamed = answer.etag is None and answer.modified is None
    if (answer.whole and same) or (not answer.whole and unnamed):
        state.source.ignores_if_range = True
        raise SourceChanged(
            f"{_host(state)} ignores If-Range; the range alone is asked for.", host=_host(state), path=state.file.path
        )


def no_resume_reason(state: FileState, answer: RangeAnswer) -> str:
    """Return why an interrupted download of the file is begun again at its first byte; "" where it is resumed."""
    path, host = state.file.path, _host(state)
    if state.source.no_validator:
        return (
            f"{path}: {host} names no version of the file (no strong ETag, no Last-Modified) and no digest is known. "
            "An interrupted download starts again at the first byte; with --sha256 it is resumed."
        )
    if state.source.no_ranges and answer.whole:
        return (
            f"{path}: {host} sends the whole file or nothing (no ranges). "
            "An interrupted download starts again at the first byte."
        )
    return ""


def _host(state: FileState) -> str:
    return host_of(state.source.location or state.file.url)
