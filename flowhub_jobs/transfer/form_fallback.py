"""Chooses another form of the Range header after a fault that is about ranges. The transfer's lock is held throughout.

A server may refuse one form, or answer If-Range with the whole file. No such answer ends a job before every form was
tried.
"""

from flowhub_jobs.errors import ConnectionLost, FlowhubError, ServerBusy, SourceError, WrongRange
from flowhub_jobs.transfer.file_state import AddressState, RangeTask
from flowhub_jobs.transfer.http.content_decoding import ACCEPTED
from flowhub_jobs.transfer.range_forms import RangeForm, forms_of

WITHOUT_RANGE_AFTER = 3  # After this many tries without a byte, the file is requested once without Range.
REPEATED_MAX = 64 << 20  # A restart may fetch no more bytes than this a second time.


def is_about_range(error: FlowhubError) -> bool:
    """Return whether a request in another form may succeed."""
    return isinstance(error, WrongRange) or (isinstance(error, SourceError) and error.about_range)


def choose_other_form(task: RangeTask, error: FlowhubError) -> bool:
    """Choose another form for the task's file after a fault; return whether to request again at once.

    An accepted response makes all forms worth a try again (`AddressState.form_faults`). Each form is tried once against
    a refusal by status; wrong bytes change the form each time.
    """
    state, address = task.state, task.address
    if not is_about_range(error):
        return False
    if task.form is not address.form or (task.conditional and address.ignores_if_range):
        return True  # another connection has changed the form already
    if isinstance(error, SourceError) and error.about_coding and _choose_other_codings(task):
        return True
    if task.encoded:
        return False  # no other form brought anything
    if _may_be_decoded(task, error):
        address.form = RangeForm.NONE
        return True
    if _adopt_working_form(task):
        return True
    if task.conditional:
        address.ignores_if_range = True
        return True
    address.form_faults += 1
    forms = forms_of(state.size)
    wrong_bytes = isinstance(error, WrongRange)
    if wrong_bytes and state.identity.identified and address.form_faults == 1:
        return False  # this form has worked before: try it once more
    if address.form_faults <= len(forms) or wrong_bytes:
        at = forms.index(address.form) if address.form in forms else 0
        address.form = forms[(at + 1) % len(forms)]
    return address.form_faults < len(forms)


def _choose_other_codings(task: RangeTask) -> bool:
    """Send the next Accept-Encoding with the file's next request; return whether there is one."""
    address = task.address
    if task.codings == address.codings:
        address.codings = min(address.codings + 1, len(ACCEPTED) - 1)
    return task.codings != address.codings


def try_once_without_range(task: RangeTask, error: FlowhubError, faults: int) -> None:
    """Request a file without Range in the fourth try, if three brought no byte of it, and with Range again after that.

    Some servers answer 500 to each range, or close the connection, and send the whole file without complaint. More
    often the server is away and comes back in just that try. Then the kept bytes are fetched again, so no more may be
    kept than a restart may cost. `faults` counts the tries without a byte.
    """
    state = task.state
    silent = isinstance(error, ServerBusy | ConnectionLost) and task.bytes_written == 0
    cheap = not state.identity.identified and state.record.kept.total <= REPEATED_MAX
    if silent and cheap and faults == WITHOUT_RANGE_AFTER:
        task.address.form = RangeForm.NONE
    elif silent and task.form is RangeForm.NONE and faults == WITHOUT_RANGE_AFTER + 1:
        task.address.form = RangeForm.BOUNDED


def _may_be_decoded(task: RangeTask, error: FlowhubError) -> bool:
    """Return whether to request the whole file from a source that compresses: a whole body can be decoded.

    Not if ranges of the file came uncompressed in this run, nor if much is kept: other forms are tried first.
    """
    state = task.state
    coded = isinstance(error, WrongRange) and error.coded and task.form is not RangeForm.NONE
    may_be_whole = task.address.no_ranges or not state.identity.identified
    return coded and may_be_whole and state.record.kept.total <= REPEATED_MAX


def _adopt_working_form(task: RangeTask) -> bool:
    """Take over the form of another connection to the file whose response was accepted; return whether there is one."""
    for other in task.state.tasks:
        if other is not task and (other.accepted and other.address is task.address) and other.form is not task.form:
            task.address.form = other.form
            return True
    return False


def request_whole(address: AddressState) -> None:
    """Request the whole file next: a response did not show which part of the file it was."""
    address.form = RangeForm.NONE


def mistrust_parts(address: AddressState, size: int) -> None:
    """Request the file in one response next: parts of it, from several responses, made a file of the wrong digest.

    A cache may have parts of two versions, or send another part than it says. A long file is requested by a range, so
    that an interruption costs nothing.
    """
    address.mistrusted = True
    address.form = RangeForm.NONE if address.no_ranges or size <= REPEATED_MAX else RangeForm.OPEN


def continue_by_range(task: RangeTask) -> None:
    """Request the rest of a file by one range, where the whole was requested for its wrong parts and did not all come.

    A line that drops every large body would never bring the whole of it.
    """
    if task.address.mistrusted and task.form is RangeForm.NONE and not task.address.no_ranges:
        task.address.form = RangeForm.OPEN
