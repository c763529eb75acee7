"""One tree of errors. A leaf has a code, an exit status, and knows whether trying again can help.

Raise, never return. A package converts a foreign error into one of these where it calls the foreign code.
`ERRORS` at the end is the table that `flowhub help errors` prints.

base        the root: message, hint, host and path
database    the database and rows that cannot be read
storage     stores, disks and files
machine_limits  open files, threads and memory of this machine
sign_in     sign-in and licences (exit status 4)
source      the network and the sources (exit status 5)
hint_placeholders  fills the placeholders of hints for their reader
guide       the meaning and the remedy of every code · guide_texts: their texts
"""

from flowhub_jobs.errors.base import FlowhubError
from flowhub_jobs.errors.database import (
    DatabaseDamaged,
    DatabaseNewer,
    DatabaseReplaced,
    DatabaseUnusable,
    JobUnreadable,
)
from flowhub_jobs.errors.machine_limits import (
    OutOfMemory,
    TooManyFiles,
    TooManyThreads,
)
from flowhub_jobs.errors.sign_in import (
    Gated,
    RequestForbidden,
    SignInRequired,
    TokenMissing,
    TokenRefused,
)
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
from flowhub_jobs.errors.storage import (
    DiskFull,
    NameTaken,
    PartialRemoved,
    StorageFailed,
    StoreOffline,
    StoreUnusable,
    TargetFull,
)

__all__ = [  # of the modules of this package; the classes below are public as well
    "NETWORK_SETTINGS",
    "AddressExpired",
    "AnswerMalformed",
    "CatalogSourceMalformed",
    "CatalogUnreachable",
    "ConnectionLost",
    "CutShort",
    "DatabaseDamaged",
    "DatabaseNewer",
    "DatabaseReplaced",
    "DatabaseUnusable",
    "DiskFull",
    "FlowhubError",
    "Gated",
    "HeadersTimeout",
    "JobUnreadable",
    "MirrorMismatch",
    "MirrorUnfit",
    "NameTaken",
    "NetworkDown",
    "OutOfMemory",
    "PartialRemoved",
    "ProxySignIn",
    "ProxyUnreachable",
    "ProxyUnusable",
    "RedirectRefused",
    "RequestForbidden",
    "ServerBusy",
    "SignInRequired",
    "SourceChanged",
    "SourceError",
    "SourceMissing",
    "SourceRefused",
    "Stalled",
    "StorageFailed",
    "StoreOffline",
    "StoreUnusable",
    "TargetFull",
    "TlsUntrusted",
    "TokenMissing",
    "TokenRefused",
    "TooLarge",
    "TooManyFiles",
    "TooManyThreads",
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


class HomeUnusable(FlowhubError):
    code = "home_unusable"
    default_hint = "Set FLOWHUB_HOME to a folder on a local disk that you may write to."


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


class MisdirectedRequest(UsageInvalid):
    """HTTP 421: the request's Host names another server."""

    code = "misdirected"
    default_hint = "Use the URL that `flowhub web` printed, or start it with --allow-host for another name."


class MethodNotAllowed(UsageInvalid):
    """HTTP 405."""

    code = "method_not_allowed"
    default_hint = "GET /api/openapi.json lists every path with its methods."


class BodyTooLarge(UsageInvalid):
    """HTTP 413."""

    code = "body_too_large"
    default_hint = "Send it in parts."


# 3: no such thing --------------------------------------------------------------------------------------------------


class NotFound(FlowhubError):
    code = "not_found"
    exit_status = 3


# 7 to 9: fit, digest, busy -----------------------------------------------------------------------------------------


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
