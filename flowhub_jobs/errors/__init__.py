"""One tree of errors. A leaf has a code, an exit status, and knows whether trying again can help.

Raise, never return. A package converts a foreign error into one of these where it calls the foreign code.
`ERRORS` at the end is the table that `flowhub help errors` prints.

base        the root: message, hint, host and path
source      the network and the sources (exit status 5)
hint_placeholders  fills the placeholders of hints for their reader
guide       the meaning and the remedy of every code · guide_texts: their texts
"""

from typing import Self

from flowhub_jobs.errors.base import FlowhubError
from flowhub_jobs.errors.source import (
    NETWORK_SETTINGS,
    AddressExpired,
    AnswerMalformed,
    CatalogSourceMalformed,
    CatalogUnreachable,
    ConnectionLost,
    CutShort,
    HeadersTimeout,
    MirrorMismatch,
    MirrorUnfit,
    NetworkDown,
    ProxySignIn,
    ProxyUnreachable,
    ProxyUnusable,
    RedirectRefused,
    ServerBusy,
    SourceChanged,
    SourceError,
    SourceMissing,
    SourceRefused,
    Stalled,
    TlsUntrusted,
    TooLarge,
    TooSlow,
    TrustUnreadable,
    WaitTooLong,
    WrongContent,
    WrongRange,
)

__all__ = [  # of the modules of this package; the classes below are public as well
    "NETWORK_SETTINGS",
    "AddressExpired",
    "AnswerMalformed",
    "CatalogSourceMalformed",
    "CatalogUnreachable",
    "ConnectionLost",
    "CutShort",
    "FlowhubError",
    "HeadersTimeout",
    "MirrorMismatch",
    "MirrorUnfit",
    "NetworkDown",
    "ProxySignIn",
    "ProxyUnreachable",
    "ProxyUnusable",
    "RedirectRefused",
    "ServerBusy",
    "SourceChanged",
    "SourceError",
    "SourceMissing",
    "SourceRefused",
    "Stalled",
    "TlsUntrusted",
    "TooLarge",
    "TooSlow",
    "TrustUnreadable",
    "WaitTooLong",
    "WrongContent",
    "WrongRange",
]


# 1: failed ---------------------------------------------------------------------------------------------------------


class CatalogMalformed(FlowhubError):
    code = "catalog_malformed"
    default_hint = "`flowhub catalog validate` lists every fault. Correct them, or set FLOWHUB_CATALOG to another."


class CatalogUnreadable(FlowhubError):
    code = "catalog_unreadable"
    default_hint = "Check FLOWHUB_CATALOG; unset it to use the catalog that flowhub ships."


class DatabaseNewer(FlowhubError):
    code = "database_newer"
    default_hint = "Install that version of flowhub on this machine, then start its worker again. Nothing is lost."


class DatabaseUnusable(FlowhubError):
    code = "database_unusable"
    default_hint = "Look whether its disk is full or another program holds it; then try again. Nothing is lost."


class DatabaseReplaced(FlowhubError):
    """The database file that this process opened is no longer the one at its path, or its log was removed."""

    code = "database_replaced"
    retryable = True
    default_hint = "Run the command again. To restore a backup, stop the worker first."


class DatabaseDamaged(DatabaseUnusable):
    """SQLite finds its file malformed."""

    code = "database_damaged"
    default_hint = (
        "Stop the worker and restore a backup, or try `sqlite3 flowhub.db .recover`, or move flowhub.db and "
        "flowhub.db-wal away and start again. Models in the store stay; `flowhub adopt` lists them again."
    )


class JobUnreadable(FlowhubError):
    """A job's row was damaged, or written by a newer version."""

    code = "job_unreadable"
    default_hint = (
        "Queue the model again with {enqueue}; what was kept is used. "
        "If a newer flowhub queued it, run that version's worker."
    )


class HomeUnusable(FlowhubError):
    code = "home_unusable"
    default_hint = "Set FLOWHUB_HOME to a folder on a local disk that you may write to."


class StoreUnusable(FlowhubError):
    code = "store_unusable"
    default_hint = "Set FLOWHUB_STORE to a folder that you may write to."


class SettingInvalid(FlowhubError):
    code = "setting_invalid"


class ManifestUnusable(FlowhubError):
    """The folder of an `export` has no manifest that can be read."""

    code = "manifest_unusable"
    default_hint = "Export to it once more, with `flowhub export MODEL --to FOLDER` on the machine that has the models."


class JobCancelled(FlowhubError):
    """A job that `--wait` waited for was cancelled."""

    code = "cancelled"
    default_hint = "{retry} queues it again."


class NotDoneYet(FlowhubError):
    """A job that was to run at once waits for something: it stays in the queue."""

    code = "not_done_yet"
    retryable = True


class WrongState(FlowhubError):
    """The job's state does not allow what was asked."""

    code = "wrong_state"


class NameTaken(FlowhubError):
    code = "name_taken"
    default_hint = "Move or remove it, then {retry}."


class PlacementRefused(FlowhubError):
    """The program's layout has no place for this model, or its folder cannot have links to it."""

    code = "placement_refused"


class AppFolderUnusable(PlacementRefused):
    """The program's folder is away, read-only, or not the user's to write to: a job's placement is tried again."""

    code = "app_folder_unusable"
    retryable = True


class WorkerLost(FlowhubError):
    code = "worker_lost"
    default_hint = "Look at the worker's log and the machine's memory, then {retry}."


class StoreOffline(FlowhubError):
    """The store's disk is not mounted, or only to be read: parked, not failed."""

    code = "store_offline"
    retryable = True
    default_hint = "Mount the store's disk so that it can be written; {continues}."


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


class TooManyFiles(FlowhubError):
    """EMFILE, ENFILE: a limit of this machine, which says nothing of the disk."""

    code = "too_many_files"
    retryable = True
    default_hint = (
        "Raise the limit of open files (`ulimit -n 1024`; LimitNOFILE= of a service), "
        "or run fewer jobs at once (`flowhub worker --jobs 1`)."
    )


class TooManyThreads(FlowhubError):
    """The system starts no more threads for this process: a limit of processes, or of its memory."""

    code = "too_many_threads"
    retryable = True
    default_hint = (
        "Raise the limit of processes (`ulimit -u`; TasksMax= of a service; pids.max of a container) "
        "or of memory (`ulimit -v`), or run fewer jobs at once (`flowhub worker --jobs 1`)."
    )

    @classmethod
    def of(cls, error: BaseException) -> Self | None:
        """Return Python's error for a thread that could not be started as one of this class; None for another one."""
        if isinstance(error, RuntimeError) and str(error) == "can't start new thread":  # CPython, _threadmodule.c
            return cls("The system starts no more threads for this process.")
        return None


class OutOfMemory(FlowhubError):
    """ENOMEM: a shortage of this machine that passes; it says nothing of the disk."""

    code = "out_of_memory"
    retryable = True
    default_hint = "Close other programs, or run fewer jobs at once (`flowhub worker --jobs 1`)."


class ServiceUnavailable(FlowhubError):
    """No service manager that serves this user: a container, a log-in by `su`, an ssh session on macOS."""

    code = "service_unavailable"
    default_hint = "Run `flowhub worker` in the foreground, or `flowhub worker --drain` from cron."


class ServiceFailed(FlowhubError):
    """The service manager did not do what was asked of it."""

    code = "service_failed"
    default_hint = "`flowhub worker status` shows how the service stands."


class ExtraMissing(FlowhubError):
    """A part of flowhub whose packages are an extra, and are not installed."""

    code = "extra_missing"


class PortUnusable(FlowhubError):
    """No server can listen at this address and port."""

    code = "port_unusable"


class InternalError(FlowhubError):
    code = "internal"
    default_hint = "This is a bug of flowhub's. Please report it with the worker's log."


# 2: usage ----------------------------------------------------------------------------------------------------------


class UsageInvalid(FlowhubError):
    code = "usage"
    exit_status = 2


class AddressRefused(FlowhubError):
    code = "address_refused"
    exit_status = 2
    default_hint = "Use https. For http to another machine, pin the digest: --sha256 HEX, or sha256 in the catalog."


# Of the HTTP API alone; the command line raises none of them.


class Misdirected(UsageInvalid):
    """HTTP 421: the request's Host names another server."""

    code = "misdirected"
    default_hint = "Use the address that `flowhub web` printed, or start it with --allow-host for another name."


class MethodNotAllowed(UsageInvalid):
    """HTTP 405."""

    code = "method_not_allowed"
    default_hint = "GET /api/openapi.json lists every address with its methods."


class BodyTooLarge(UsageInvalid):
    """HTTP 413."""

    code = "body_too_large"
    default_hint = "Send it in parts."


# 3: no such thing --------------------------------------------------------------------------------------------------


class NotFound(FlowhubError):
    code = "not_found"
    exit_status = 3


# 4: sign-in or licence ---------------------------------------------------------------------------------------------


class TokenMissing(FlowhubError):
    code = "token_missing"
    exit_status = 4
    default_hint = "Set HF_TOKEN to a token of an account that may read this model, then {restart_and_retry}."


class TokenRefused(FlowhubError):
    code = "token_refused"
    exit_status = 4
    default_hint = "Make a new token at the Hub, set HF_TOKEN, then {restart_and_retry}."


class Gated(FlowhubError):
    code = "gated"
    exit_status = 4
    default_hint = "Accept the model's terms on its page at the Hub, then {retry}."


class SignInRequired(FlowhubError):
    """HTTP 401: a request to `flowhub web` has neither the cookie nor the token."""

    code = "sign_in_required"
    exit_status = 4
    default_hint = (
        "In a browser, open the URL that `flowhub web` prints. A program sends the token of web.token, in flowhub's "
        "home, as `Authorization: Bearer`."
    )


class RequestForbidden(FlowhubError):
    """HTTP 403: a page of another site makes the request, or a change lacks the page's token."""

    code = "forbidden"
    exit_status = 4
    default_hint = "Open the page at the address that `flowhub web` printed, and repeat the change there."


# 6 to 9: disk, fit, digest, busy -----------------------------------------------------------------------------------


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


class DoesNotFit(FlowhubError):
    code = "does_not_fit"
    exit_status = 7
    default_hint = "`flowhub show` lists smaller variants."


class DigestMismatch(FlowhubError):
    code = "digest_mismatch"
    exit_status = 8


class SizeMismatch(FlowhubError):
    code = "size_mismatch"
    exit_status = 8
    default_hint = "The file was replaced at its source, or the stated size is out of date: look at its source."


class NodeTaken(FlowhubError):
    """Another machine or home works under this node's name."""

    code = "node_taken"
    exit_status = 9
    retryable = True
    default_hint = (
        "Give one of the two another name with FLOWHUB_NODE. If the other one is gone, try again in half a minute."
    )


class Busy(FlowhubError):
    code = "busy"
    exit_status = 9
    retryable = True
    default_hint = "Cancel that job first, or wait for it."


# The rest ----------------------------------------------------------------------------------------------------------


class SomeFailed(FlowhubError):
    code = "some_failed"
    exit_status = 10
    default_hint = "`flowhub status --state failed` lists them with their reasons."


class TimedOut(FlowhubError):
    code = "timeout"
    exit_status = 124
    retryable = True
    default_hint = "The jobs continue; `flowhub wait` again, or see `flowhub status`."


class Interrupted(FlowhubError):
    code = "interrupted"
    exit_status = 130
    retryable = True


class Terminated(FlowhubError):
    code = "terminated"
    exit_status = 143
    retryable = True


def _leaves(kind: type[FlowhubError]) -> list[type[FlowhubError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in _leaves(child))]


ERRORS: dict[str, type[FlowhubError]] = {kind.code: kind for kind in _leaves(FlowhubError)}
