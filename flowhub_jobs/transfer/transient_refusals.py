"""Decides which refusals of a source are transient. The transfer's lock is held throughout.

Firewalls refuse clients that ask too often, for minutes or an hour, with a 403 or the like. A file that is missing
(404, 410) stays missing.
"""

from flowhub_jobs.errors import FlowhubError, ServerBusy, SourceRefused
from flowhub_jobs.transfer.file_state import RangeTask
from flowhub_jobs.transfer.state import TransferState


def busy_if_too_many_connections(task: RangeTask, error: FlowhubError) -> FlowhubError:
    """Return ServerBusy for a refusal if the same form works over another connection: there are too many."""
    works = any(other is not task and (other.accepted and other.address is task.address) for other in task.state.tasks)
    if not (isinstance(error, SourceRefused) and error.about_range and works):
        return error
    return ServerBusy(error.text, host=error.host, path=error.path)


def busy_if_served_before(transfer: TransferState, task: RangeTask, error: FlowhubError) -> FlowhubError:
    """Return ServerBusy for a refusal if its source has sent a part of the job, in any attempt."""
    began = transfer.fetched_by_origin[task.address.name] > 0 or task.state.record.kept.total > 0
    if not (error.may_be_transient and began):
        return error
    return ServerBusy(f"{error.text.rstrip('.')}, although a part came before.", host=error.host, path=error.path)
