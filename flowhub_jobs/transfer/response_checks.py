"""Checks responses with valid headers that may still be wrong: a page, a part, a cut or decoded body.

The transfer's lock is held throughout. Before they raise, they also set on the address how the next request differs:
`form` (the whole file), `ignores_if_range`, and the counters `pages` and `cut_at`.
"""

from flowhub_jobs.errors import ConnectionLost, SourceChanged, WrongContent, WrongRange
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.first_bytes_check import is_never_text
from flowhub_jobs.transfer.form_fallback import request_whole
from flowhub_jobs.transfer.http.response_headers import BodyRange, HubMetadata
from flowhub_jobs.transfer.identity_check import address_host, check_size, identity_of
from flowhub_jobs.transfer.range_forms import WHOLE, RangeForm

PAGE_MAX = 1 << 20  # An error page has no more bytes than this.
PAGES_MAX = 3  # More pages than this in a row may be the host's answer to ranges.


def check_not_a_page(task: RangeTask, body_range: BodyRange, hub: HubMetadata | None) -> None:
    """Raise WrongContent for a page with status 200 that stands in the place of a longer file.

    A rate limit, a portal or a proxy sends one, also in the middle of a download, and the next answer is the file
    again. It says nothing about the file's size, and costs no kept byte. A page is recognised by its type, or because
    it is shorter than what came already; a version of the file that is so short names itself, by another validator.
    """
    state, address, total = task.state, task.address, body_range.total
    if not body_range.whole or not total or total == state.size or total > PAGE_MAX:
        return
    kept = state.record.kept.total
    is_shorter = total < kept and identity_of(state, body_range, hub) in (None, state.record.identity)
    if not is_shorter and not (body_range.page and total < (state.size or 0) and is_never_text(state.file.path)):
        return
    host = address_host(address)
    size_text = f"{kept} were already received" if is_shorter else f"the file has {state.size}"
    text = f"{host} sends {total} bytes as the whole file, and {size_text}: it is an error page."
    error = WrongContent(text, host=host, path=state.file.path)
    address.pages += 1
    error.about_range = address.pages > PAGES_MAX and task.form is not RangeForm.NONE
    raise error


def check_not_a_part(task: RangeTask, body_range: BodyRange) -> None:
    """Raise WrongRange for a response that claims to be the whole file and is exactly as long as the requested part.

    A server that cuts the file and answers 200, or names the length of the part as the total, would have a part
    installed as the whole file. The file is then requested without a range; a file that really is that long costs one
    more request. The same holds for a shorter 200 to a range: a server may send less than was requested.
    """
    state, total, host = task.state, body_range.total, address_host(task.address)
    if task.form is RangeForm.NONE or (total is not None and total == state.size):
        return
    if body_range.whole and task.start > 0 and (total is None or state.size is None):
        request_whole(task.address)
        raise WrongRange(f"{host} does not say how much of the file it sends, though a part was requested.", host=host)
    if total is None or task.end == WHOLE:
        return
    cut_first = total == task.end
    may_be_cut = body_range.whole and total <= task.end - task.start
    if cut_first or may_be_cut or (body_range.whole and total == (state.size or 0) - task.start):
        request_whole(task.address)
        raise WrongRange(f"{host} sends {total} bytes as the whole file, which may be a part of it.", host=host)


def check_inside(task: RangeTask, body_range: BodyRange) -> None:
    """Raise WrongRange for a part that ends after the end of the file."""
    size = task.state.size
    if size is not None and body_range.end is not None and body_range.end > size:
        host = address_host(task.address)
        raise WrongRange(f"{host} sends bytes up to {body_range.end} of a file of {size}.", host=host)


def check_end(task: RangeTask) -> None:
    """Raise WrongRange for a body of unknown length that ends exactly at the end of the requested range."""
    unpinned = task.state.size is None and not task.state.pinned_by_digest
    if (
        task.form is not RangeForm.NONE
        and not task.total_stated
        and task.start == 0 < task.written_to
        and (task.written_to == task.requested_end or (unpinned and task.written_to < task.requested_end < WHOLE))
    ):
        request_whole(task.address)
        host = address_host(task.address)
        raise WrongRange(
            f"{host} ends the file at byte {task.written_to}, which may be the end of a part of it.", host=host
        )


def check_cut_off(task: RangeTask, at: int) -> None:
    """Raise ConnectionLost for a body without a length, over TLS, whose connection ended without the end of TLS.

    Whatever cuts the connection would cut the file (RFC 8446, section 6.1). Some servers never end TLS: a second end
    at the same byte is accepted. A digest, or a size, shows by itself whether the file is complete.
    """
    state, address = task.state, task.address
    if state.size is not None or state.pinned_by_digest or task.encoded or address.cut_at == at:
        return
    address.cut_at = at
    host = address_host(address)
    raise ConnectionLost(f"{host} dropped the connection after {at} bytes, without the end of TLS.", host=host)


def check_decoded(task: RangeTask) -> None:
    """Raise SizeMismatch or WrongRange for a decoded body that ended, by its own checksum, before the file's end."""
    state, host = task.state, address_host(task.address)
    check_size(task, task.written_to)
    if state.size is not None:
        raise WrongRange(
            f"{host} sent {task.written_to} bytes of a file of {state.size}.", host=host, path=state.file.path
        )


def check_condition(task: RangeTask, body_range: BodyRange, hub: HubMetadata | None) -> None:
    """Raise SourceChanged for a wrong answer to If-Range: the next request has Range alone.

    The whole of the same version would repeat the kept bytes. A part without a validator does not show which version
    it is of (a 206 to If-Range may leave Last-Modified out, RFC 9110, section 15.3.7).
    """
    state = task.state
    if not task.conditional or body_range.end == body_range.start:
        return
    is_same = identity_of(state, body_range, hub) == state.record.identity
    has_no_validator = body_range.etag is None and body_range.modified is None
    if (body_range.whole and is_same) or (not body_range.whole and has_no_validator):
        task.address.ignores_if_range = True
        host = address_host(task.address)
        text = f"{host} ignores If-Range; flowhub requests the range without it."
        raise SourceChanged(text, host=host, path=state.file.path)


def no_resume_reason(task: RangeTask, body_range: BodyRange) -> str:
    """Return why an interrupted download of the file starts over; "" if it can be resumed."""
    address, path, host = task.address, task.state.file.path, address_host(task.address)
    if address.no_validator:
        return (
            f"{path}: {host} names no version of the file (no strong ETag, no Last-Modified) and no digest is known. "
            "An interrupted download starts again at the first byte; with --sha256 it is resumed."
        )
    if address.no_ranges and body_range.whole:
        return (
            f"{path}: {host} sends the whole file or nothing (no ranges). "
            "An interrupted download starts again at the first byte."
        )
    return ""
