"""Errors of the stores, their disks and their files (exit status 1 and 6)."""

from flowhub_jobs.errors.base import FlowhubError


class StoreUnusable(FlowhubError):
    code = "store_unusable"
    default_hint = "Set FLOWHUB_STORE to a folder that you may write to."


class StoreOffline(FlowhubError):
    """The store's disk is not mounted, or read-only: the job is parked, not failed."""

    code = "store_offline"
    retryable = True
    default_hint = "Mount the store's disk so that it can be written; {continues}."


class NameTaken(FlowhubError):
    code = "name_taken"
    default_hint = "Move or remove it, then {retry}."


class PartialRemoved(FlowhubError):
    """Another program removed an unfinished download from the store while it was written."""

    code = "partial_removed"
    retryable = True
    default_hint = "It starts over by itself. Leave the folder .partial of the store to flowhub."


class StorageFailed(FlowhubError):
    """EIO and its like, from the disk that holds the store."""

    code = "storage_failed"
    retryable = True
    default_hint = "Look at the disk and the system's log; {new_try} continues with what was kept."


class DiskFull(FlowhubError):
    code = "disk_full"
    exit_status = 6
    retryable = True
    default_hint = "Free some space; {continues}."


class TargetFull(FlowhubError):
    """The disk of an export is full. The job fails rather than waits, since such a disk is carried away."""

    code = "target_full"
    exit_status = 6
    default_hint = "Free some space on that disk, or export to another one."
