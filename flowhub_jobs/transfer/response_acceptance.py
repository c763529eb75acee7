"""Accepts or rejects a response, before a byte of it is written, and the end of a body of unknown length.

The checks (`identity_check`, `response_checks`) raise; what they accept is recorded in the task and the file, under
the lock.
"""

from flowhub_jobs.errors import FlowhubError, SourceChanged
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.http.response_headers import BodyRange, HubMetadata
from flowhub_jobs.transfer.identity_check import (
    accept,
    address_host,
    check_hub_metadata,
    check_size,
    is_another_version,
)
from flowhub_jobs.transfer.mirror_choice import after_bytes, after_response
from flowhub_jobs.transfer.mirror_switching import check_mirror_response
from flowhub_jobs.transfer.range_forms import WHOLE
from flowhub_jobs.transfer.response_checks import (
    check_condition,
    check_decoded,
    check_end,
    check_inside,
    check_not_a_page,
    check_not_a_part,
    no_resume_reason,
)
from flowhub_jobs.transfer.state import TransferState
from flowhub_jobs.values.enums import EventKind
from flowhub_jobs.values.jobs import NewEvent


def check_hub(transfer: TransferState, task: RangeTask, hub: HubMetadata) -> None:
    """Check the Hub's metadata against the catalog, before its redirect is followed. Raises as `accept_response`."""
    with transfer.changed:
        check_hub_metadata(task, hub)


def accept_response(
    transfer: TransferState, task: RangeTask, body_range: BodyRange, hub: HubMetadata | None, location: str | None
) -> None:
    """Check a response against what is known of the file, before a byte of it is written.

    `hub` is None if the request went straight to where the Hub had redirected: its earlier metadata holds.

    Raises SizeMismatch and DigestMismatch where the response contradicts the catalog, WrongRange for a wrong range,
    SourceChanged where the content is another version than the kept bytes: then the file has started over.
    """
    with transfer.changed:
        state = task.state
        transfer.check_current_locked(task)
        if hub is not None:
            check_hub_metadata(task, hub)
        if task.address.mirror:
            check_mirror_response(task, body_range)
        check_not_a_page(task, body_range, hub)
        check_not_a_part(task, body_range)
        check_size(task, body_range.total)
        check_condition(task, body_range, hub)
        if is_another_version(state, body_range, hub):
            transfer.restart_locked(state)
            raise SourceChanged("the file behind the address is another one now.", path=state.file.path)
        check_inside(task, body_range)
        accept(task, body_range, hub, location)
        task.address.health, task.address.pages = after_response(task.address.health), 0
        task.accepted, task.total_stated, task.encoded = (
            True,
            body_range.total is not None,
            body_range.coding is not None,
        )
        task.address.no_resume_reason = no_resume_reason(task, body_range)
        if task.address.no_resume_reason:
            transfer.note_no_resume_locked(task)
        transfer.file_changed_locked(state)  # its size may be known now
        transfer.wake_workers_locked()


def accept_end(transfer: TransferState, task: RangeTask) -> None:
    """Record that a body has ended. A file of unknown size ends there too."""
    with transfer.changed:
        state = task.state
        if task.written_to < task.end:
            check_end(task)
            if task.encoded:
                check_decoded(task)
        if state.size is None and task.end == WHOLE:
            check_size(task, task.written_to)
            task.address.size_from_close = True
            state.record.size = task.end = task.written_to
            state.disk.dirty = True
            transfer.file_changed_locked(state)
        task.address.form_faults = 0
        task.address.health = after_bytes(task.address.health)
        transfer.wake_workers_locked()


def drop_decoded_locked(transfer: TransferState, task: RangeTask) -> None:
    """Drop the bytes that were decoded from a damaged body: the next response would continue after them."""
    if task in task.state.tasks:
        transfer.restart_locked(task.state)


def note_other_form_locked(transfer: TransferState, task: RangeTask, error: FlowhubError) -> None:
    """Record that a fault makes the next request use another form of Range."""
    transfer.faults += error.retryable  # a source that never sends the right bytes has a limited number of tries
    error.at(host=address_host(task.address), path=task.state.file.path)
    text = f"{error.message} flowhub asks for it in another form."
    transfer.notes.append(NewEvent(EventKind.AGAIN, text, error.code))
