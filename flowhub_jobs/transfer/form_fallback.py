"""Chooses another form of the Range header after a fault that is about ranges. The transfer's lock is held throughout.

A server may refuse one form, or answer If-Range with the whole file. No such answer ends a job before every form was
tried.
"""

from flowhub_jobs.errors import ConnectionLost, FlowhubError, ServerBusy, SourceError, SourceRefused, WrongRange
from flowhub_jobs.transfer.file_state import FileState, RangeTask
from flowhub_jobs.transfer.range_forms import RangeForm, forms_of

WITHOUT_RANGE_AFTER = 3  # tries that brought no byte
REPEATED_MAX = 64 << 20  # bytes that a restart may fetch a second time


def is_about_range(error: FlowhubError) -> bool:
    """Return whether the same file, asked for in another form, may be answered otherwise."""
    return isinstance(error, WrongRange) or (isinstance(error, SourceError) and error.about_range)


def fall_back(task: RangeTask, error: FlowhubError) -> bool:
    """Choose another form for the task's file after a fault; return whether to ask again at once.

    The transfer's lock is held. An answer that is right makes all forms worth a try again (`FileState.form_faults`). A
    status is answered by each form once; an answer of the wrong bytes by another form each time.
    """
    state = task.state
    if not is_about_range(error):
        return False
    if task.form is not state.source.form or (task.conditional and state.source.ignores_if_range):
        return True  # another connection has made the change
    if task.encoded:
        return False  # no other form brought anything
    if _may_be_decoded(task, error):
        state.source.form = RangeForm.NONE
        return True
    if _another_form_flows(task):
        return True
    if task.conditional:
        state.source.ignores_if_range = True
        return True
    state.source.form_faults += 1
    forms = forms_of(state.size)
    wrong_bytes = isinstance(error, WrongRange)
    if wrong_bytes and state.identity.identified and state.source.form_faults == 1:
        return False  # a form that was answered well may be answered well again
    if state.source.form_faults <= len(forms) or wrong_bytes:
        at = forms.index(state.source.form) if state.source.form in forms else 0
        state.source.form = forms[(at + 1) % len(forms)]
    return state.source.form_faults < len(forms)


def try_once_without_range(task: RangeTask, error: FlowhubError, faults: int) -> None:
    """Ask for a file without Range in the fourth try, where three brought no byte of it, and with Range again after it.

    Some servers answer 500 to each range, or close the connection, and send the whole file gladly. More often the
    server is away, and comes back in just that try: then what is kept comes again, so no more may be kept than a
    restart may cost. The transfer's lock is held; `faults` counts the tries without a byte.
    """
    state = task.state
    silent = isinstance(error, ServerBusy | ConnectionLost) and task.kept == 0
    if (
        silent
        and not state.identity.identified
        and state.record.kept.total <= REPEATED_MAX
        and faults == WITHOUT_RANGE_AFTER
    ):
        state.source.form = RangeForm.NONE
    elif silent and task.form is RangeForm.NONE and faults == WITHOUT_RANGE_AFTER + 1:
        state.source.form = RangeForm.BOUNDED


def _may_be_decoded(task: RangeTask, error: FlowhubError) -> bool:
    """Return whether a source that compresses what it sends is asked for the whole: that can be decoded.

    Not where ranges of the file came plain in this run, nor where much is kept: the other forms are tried first.
    """
    state = task.state
    coded = isinstance(error, WrongRange) and error.coded and task.form is not RangeForm.NONE
    return (
        coded and (state.source.no_ranges or not state.identity.identified) and state.record.kept.total <= REPEATED_MAX
    )


def _another_form_flows(task: RangeTask) -> bool:
    """Take over the form of a connection to the same file that is answered well, where it is another one."""
    for other in task.state.tasks:
        if other is not task and other.accepted and other.form is not task.form:
            task.state.source.form = other.form
            return True
    return False


def softened(task: RangeTask, error: FlowhubError) -> FlowhubError:
    """Return a fault that passes where the same form flows over another connection: then there are too many of them."""
    flows = any(other is not task and other.accepted for other in task.state.tasks)
    if not (isinstance(error, SourceRefused) and error.about_range and flows):
        return error
    return ServerBusy(error.text, host=error.host, path=error.path)


def ask_without_range(state: FileState) -> None:
    """Ask for the whole file next: parts of it came in a way that does not tell where they belong."""
    state.source.form = RangeForm.NONE
